import { z } from 'zod'
import { RetryableError } from '../domain/errors.js'
import type { ControlTotals } from '../ports/control-totals.js'
import type { Finding } from '../ports/finding.js'
import type { Readings, SourceKind } from '../ports/source-kind.js'
import type { ReceiverKind, UsageReceiver } from '../ports/usage-receiver.js'
import type { UsageSource } from '../ports/usage-source.js'
import { systemClock } from '../runtime/clock.js'
import * as kinds from './kinds.js'

export { litellmSettings } from './litellm/config.js'

import { problemsAmong } from './neighbours.js'

const CLOCK_SECONDS_MAX = 30

type Kind = (typeof kinds)[keyof typeof kinds]

/** What every source may have, of whatever kind. */
const everySource = z.object({
  /** Where the reading of this source begins when it is new: now, or a UTC date or instant. */
  collectFrom: z
    .union([z.literal('now'), z.iso.datetime(), z.iso.date()], 'expected now, or a UTC date')
    .optional(),
  /** The variable that holds the token of POST /v1/hints/<name>, which wakes its reading. */
  hintTokenEnv: z.string().optional(),
})

const schemas = Object.values(kinds).map(({ config }) =>
  (config as unknown as z.ZodObject).extend(everySource.shape),
)

export type SourceConfig = z.infer<Kind['config']> & z.infer<typeof everySource>

/** The settings of one source. */
export const sourceConfig = z.discriminatedUnion(
  'kind',
  schemas as unknown as [z.ZodObject, ...z.ZodObject[]],
) as unknown as z.ZodType<SourceConfig>

/** The settings of all sources: names are permanent and unique, and no usage is read twice. */
export const sourcesConfig = z
  .array(sourceConfig)
  .min(1)
  .superRefine((sources, context) => {
    for (const { index, field, problem } of problemsAmong(sources)) {
      context.addIssue({ code: 'custom', path: [index, field], message: problem })
    }
  })

/** The variables with secrets that a source names: the settings whose names end in `Env`. */
export function secretVariablesOf(source: SourceConfig): string[] {
  return Object.entries(source).flatMap(([name, value]) =>
    name.endsWith('Env') && typeof value === 'string' ? [value] : [],
  )
}

/** Whether the daemon reads it; the others send by themselves. */
export function isRead(source: SourceConfig): boolean {
  return 'create' in kindOf(source)
}

/**
 * Loads the adapter that was chosen. Asks the source nothing yet.
 *
 * @param secretOf the value of an environment variable, checked to be there with the settings
 * @param readings what gateways that sum said last; not needed to look at a source only
 */
export function createSource(
  config: SourceConfig,
  secretOf: (variable: string) => string,
  readings?: Readings,
): Promise<UsageSource> {
  const parts = { secretOf, ...(readings === undefined ? {} : { readings }) }
  return readKind(config).create(config, parts)
}

/** Loads the adapter of a source that sends; undefined for one that is read. */
export async function createReceiver(
  config: SourceConfig,
  secretOf: (variable: string) => string,
): Promise<UsageReceiver | undefined> {
  const kind = kindOf(config)
  // A kind takes the settings of its own schema, which is how it was found.
  return 'receive' in kind
    ? (kind as ReceiverKind<SourceConfig>).receive(config, secretOf)
    : undefined
}

/** The sums that a source keeps beside its rows; undefined where it keeps none. */
export async function createControlTotals(
  config: SourceConfig,
  secretOf: (variable: string) => string,
): Promise<ControlTotals | undefined> {
  if (!isRead(config)) return undefined
  return readKind(config).controlTotals?.(config, { secretOf })
}

/** Looks at one source from end to end and says what to mend. Throws only what is a bug. */
export async function examineSource(
  config: SourceConfig,
  secretOf: (variable: string) => string,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const check = `source ${config.name}`
  if (!isRead(config)) {
    await createReceiver(config, secretOf)
    return [{ check, verdict: 'ok', says: 'its events are taken at POST /v1/usage' }]
  }
  try {
    const source = await createSource(config, secretOf)
    const { version = 'of unknown version', warnings } = await source.probe(signal)
    const fine: Finding = { check, verdict: 'ok', says: `${config.kind} ${version} can be read` }
    const told = warnings.map((says): Finding => ({ check, verdict: 'warning', says }))
    return [fine, ...told, clockFinding(`${check} clock`, await source.now(signal))]
  } catch (error) {
    if (!(error instanceof RetryableError)) throw error
    const fix = readKind(config).fixOf(error.code, config)
    return [{ check, verdict: 'broken', says: error.message, fix }]
  }
}

/** Rows are stamped by the source's clock: one that is far ahead or behind makes them late or hidden. */
function clockFinding(check: string, nowMs: number): Finding {
  const seconds = Math.round((systemClock.now() - nowMs) / 1_000)
  const says = `this clock is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} its`
  if (Math.abs(seconds) <= CLOCK_SECONDS_MAX) return { check, verdict: 'ok', says }
  const fix = 'Set the clocks of both machines (NTP).'
  return { check, verdict: 'warning', says, fix }
}

/** What an operator does about a code of the port's errors. Shows no secret. */
export function fixOfSource(config: SourceConfig, code: string): string {
  return readKind(config).fixOf(code, config)
}

function kindOf(source: SourceConfig): Kind {
  const kind = Object.values(kinds).find(({ config }) => config.shape.kind.value === source.kind)
  if (kind === undefined) throw new Error(`no kind of source is called ${source.kind}`)
  return kind
}

function readKind(source: SourceConfig): SourceKind<SourceConfig> {
  const kind = kindOf(source)
  if (!('create' in kind)) throw new Error(`source ${source.name} is not read: it sends`)
  // A kind takes the settings of its own schema, which is how it was found.
  return kind as SourceKind<SourceConfig>
}
