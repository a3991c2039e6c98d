import type { BatchState } from '../domain/batch.js'
import type { Status } from './status.js'

/** `page`: somebody gets up. `warning`: in working hours. `info`: know it. */
export type Severity = 'page' | 'warning' | 'info'

/** All but the alarms themselves. */
export type StatusFacts = Omit<Status, 'alarms'>

/** What depends on settings. */
export interface AlarmLimits {
  readonly sealIntervalMs: number
  /** The sources that are read; the others send, or were taken out of the settings. All, if absent. */
  readonly sourcesRead?: readonly string[]
}

export interface Found {
  readonly says: string
  readonly since?: string | undefined
}

export interface AlarmRule {
  readonly severity: Severity
  /** What it means, whenever it is raised. */
  readonly means: string
  readonly find: (facts: StatusFacts, limits: AlarmLimits) => Found | undefined
}

const NAMED_MAX = 5
/** Of what customers may have written. */
const QUOTED_CHARS = 80

export function behind(state: BatchState | 'collected', limitS: number, means: string): AlarmRule {
  const find = (facts: StatusFacts) => oldest(waiting(state, limitS, facts))
  return { severity: 'warning', means, find }
}

interface Waiting extends Found {
  readonly waitS: number
}

export function waiting(
  state: string,
  limitS: number,
  { backlog, at }: Pick<StatusFacts, 'backlog' | 'at'>,
): Waiting[] {
  const { count = 0, oldestAgeS: waitS = 0 } = backlog[state] ?? {}
  if (count === 0 || waitS < limitS) return []
  return [
    { says: `${count} in ${state}, the oldest for ${waitS} s`, since: before(at, waitS), waitS },
  ]
}

export function oldest(found: readonly Waiting[]): Found | undefined {
  const [first] = [...found].sort((a, b) => b.waitS - a.waitS)
  return first && { says: first.says, since: first.since }
}

export function aboutWorkers(workers: NonNullable<Status['workers']>): Found | undefined {
  const who = named(workers.map(({ name, why }) => (why === undefined ? name : `${name}: ${why}`)))
  return who && { ...who, since: earliest(workers.map(({ since }) => since)) }
}

type Source = Status['sources'][number]

export function aboutSources(
  sources: readonly Source[],
  says: (source: Source) => string,
  since: (source: Source) => string | undefined,
): Found | undefined {
  const who = named(sources.map((source) => `${source.name}: ${says(source)}`))
  return who && { ...who, since: earliest(sources.map(since)) }
}

export function isRead(name: string, { sourcesRead }: AlarmLimits): boolean {
  return sourcesRead === undefined || sourcesRead.includes(name)
}

export function heldRows({ twins = 0, held = {} }: Source): number {
  return Object.values(held).reduce((sum, rows) => sum + rows, twins)
}

export function aboutWallets(wallets: Status['wallets']): Found | undefined {
  return named(
    wallets.map(({ wallet, address, balance, runwayDays }) => {
      const lasts = runwayDays === undefined ? '' : `, ${runwayDays} days`
      return `${wallet} ${address} has ${balance}${lasts}`
    }),
  )
}

export function aboutPrices(prices: NonNullable<Status['prices']>): Found | undefined {
  return named(
    prices.map(({ token, currency, paymentsWait }) => `${token} in ${currency}: ${paymentsWait}`),
  )
}

export function aboutDisk(
  storage: Status['storage'],
  from: number,
  until: number,
): Found | undefined {
  if (storage === undefined) return undefined
  const { freeBytes, storeBytes } = storage
  if (freeBytes < from || freeBytes >= until) return undefined
  return { says: `${mib(freeBytes)} MiB are free, the store has ${mib(storeBytes)} MiB` }
}

/** Of our own reasons: what people hold themselves they know of. */
export function aboutHolds(budgets: StatusFacts['budgets']): Found | undefined {
  if (budgets === undefined) return undefined
  const { balance, budget, quota } = budgets.held
  return named(
    Object.entries({ balance, budget, quota }).flatMap(([reason, accounts]) =>
      accounts === 0 ? [] : `${accounts} for ${reason}`,
    ),
  )
}

export function nearText({
  account,
  level,
  available,
  currency,
  timeLeftS = 0,
}: NonNullable<StatusFacts['budgets']>['near'][number]): string {
  const minutes = Math.floor(timeLeftS / 60)
  return `account ${account} (${level}): ${available} ${currency}, ${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

function mib(bytes: number): number {
  return Math.floor(bytes / 2 ** 20)
}

/** The first few by name, and how many more. */
export function named(names: readonly string[]): Found | undefined {
  if (names.length === 0) return undefined
  const more = names.length > NAMED_MAX ? `; and ${names.length - NAMED_MAX} more` : ''
  return { says: `${names.slice(0, NAMED_MAX).join('; ')}${more}` }
}

/** What a customer may have written: bounded, and in one line. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > QUOTED_CHARS ? `${text.slice(0, QUOTED_CHARS)}…` : text)
}

/** Never is longer than any limit. */
export function ageS(since: string | undefined, at: string): number {
  return since === undefined
    ? Number.POSITIVE_INFINITY
    : (Date.parse(at) - Date.parse(since)) / 1_000
}

export function before(at: string, seconds: number): string {
  return new Date(Date.parse(at) - seconds * 1_000).toISOString()
}

export function earliest(instants: readonly (string | undefined)[]): string | undefined {
  return instants.filter((one) => one !== undefined).sort()[0]
}
