import { Command, InvalidArgumentError } from 'commander'
import { formatWad } from '../domain/money.js'
import type { BackfillOutcome } from './metering-tools.js'
import { type CliParts, toJson } from './parts.js'

interface Options {
  readonly from: number
  readonly until: number
  readonly source?: string
  readonly preview?: true
  readonly run?: true
  readonly json?: true
}

/** Reads a range again, or for the first time, as collecting does. */
export function backfillCommand({
  metering,
  print,
}: Pick<CliParts, 'metering' | 'print'>): Command {
  return new Command('backfill')
    .description('Read a range of the past from the sources; what is known already is not added')
    .requiredOption('--from <instant>', 'a UTC day or instant, such as 2026-11-01', instantOf)
    .requiredOption('--until <instant>', 'the end, excluded', instantOf)
    .option('--source <name>', 'one source; all of them unless given')
    .option('--preview', 'show counts, tokens and money, and save nothing')
    .option('--run', 'save what is new; the daemon attributes and seals it')
    .option('--json', 'print one JSON object')
    .action(async (options: Options, command: Command) => {
      const { from: fromMs, until: untilMs, source, json } = options
      if ((options.preview === true) === (options.run === true)) {
        command.error('error: say either --preview or --run', { exitCode: 2 })
      }
      if (untilMs <= fromMs) command.error('error: --until is not after --from', { exitCode: 2 })
      const onSlice = (name: string, atMs: number, added: number): void => {
        if (!json) print(`${name}: read until ${new Date(atMs).toISOString()}, ${added} new`)
      }
      const isRun = options.run === true
      const outcomes = await (await metering()).backfill({
        fromMs,
        untilMs,
        source,
        isRun,
        onSlice,
      })
      if (json) return print(toJson({ backfill: outcomes }))
      for (const line of outcomes.flatMap(toLines)) print(line)
    })
}

function toLines(outcome: BackfillOutcome): string[] {
  const { source } = outcome
  if (outcome.kind === 'nothing') return [`${source}: nothing to read: ${outcome.why}`]
  const { rows, known, added, excluded, rejected, tokens } = outcome
  const verb = outcome.kind === 'run' ? 'saved' : 'new'
  const counts =
    `${source}: ${rows} rows, ${known} known, ${added} ${verb} (${excluded} of them excluded), ` +
    `${rejected} rejected; ${tokens} tokens`
  if (outcome.kind === 'run') return [counts]
  return [
    `${counts}; nothing was saved`,
    ...outcome.plans.map(({ planId, currency, records, tokens: sum, money }) => {
      const value = planId === 'unknown' ? 'not known' : `${formatWad(money)} ${currency}`
      return `  plan ${planId}: ${records} records, ${sum} tokens, ${value}`
    }),
    ...outcome.unmapped.map(
      ({ payer, reason, records, tokens: sum }) =>
        `  would wait: "${payer}", ${records} records, ${sum} tokens; ${reason}`,
    ),
  ]
}

function instantOf(text: string): number {
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text)
  const isInstant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?Z$/.test(text)
  const ms = isDay ? Date.parse(`${text}T00:00:00Z`) : isInstant ? Date.parse(text) : Number.NaN
  // The 31st of February is read as the 3rd of March: only a day that comes back is one.
  const isReal = !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text.slice(0, 10))
  if (isReal) return ms
  throw new InvalidArgumentError('a UTC day or instant: 2026-11-01 or 2026-11-01T10:00:00Z')
}
