import type { AccountNumber } from '../domain/ids.js'
import type { Wad } from '../domain/money.js'
import type { QuotaUse } from '../domain/quota.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'

/** Usage that two stretches of time have, both ending together. */
export interface RecentUse extends EntryKey, UsageTotal {
  /** In the shorter one, too. */
  readonly isNewest: boolean
}

/** Of models that clients bring their own provider's key for, and of all others. */
export interface SplitUse {
  readonly own: QuotaUse
  readonly byok: QuotaUse
}

/** What was spent before a day began, by all that was known when the day was first looked at. */
export interface SpendMark {
  readonly account: AccountNumber
  /** Days since 1970, UTC. */
  readonly day: number
  /** All that was ever due, in wad. */
  readonly spentBefore: Wad
}

/**
 * What accounts use, added up by the database from records and totals: the facts behind runways,
 * budgets and quotas. Every question is about a page of accounts, and reads no more records than the
 * stretch of time that it names holds.
 */
export interface Spending {
  /**
   * (Vault, period)s with usage that Flow may not have charged: records that wait to be sealed, and
   * totals whose newest statement was not seen applied.
   */
  unsettled(accounts: readonly AccountNumber[]): Promise<readonly EntryKey[]>
  /** By the time when calls began: since, and until, which is exclusive. Sealed or not. */
  used(
    accounts: readonly AccountNumber[],
    span: { readonly sinceMs: number; readonly newestSinceMs: number; readonly untilMs: number },
  ): Promise<readonly RecentUse[]>
  /** Calls that began in the hour and the day. @param byokModels see `isByok` */
  quotaUse(
    account: AccountNumber,
    span: { readonly hourMs: number; readonly dayMs: number },
    byokModels: readonly string[],
  ): Promise<SplitUse>
  /**
   * Usage of models that clients bring their own provider's key for, of calls that began in a
   * stretch of time. @param byokModels see `isByok`
   */
  byokUse(
    account: AccountNumber,
    span: { readonly sinceMs: number; readonly untilMs: number },
    byokModels: readonly string[],
  ): Promise<readonly (EntryKey & UsageTotal)[]>
  /**
   * Until when all calls that have ended are known, ms: what was read of every source, and of what
   * was read all that was looked at. Undefined while no source was read.
   */
  knownUntilMs(sourcesRead: readonly string[]): Promise<number | undefined>

  /** Keeps what is there. */
  saveMark(mark: SpendMark): Promise<void>
  /** Of these days alone. */
  marks(accounts: readonly AccountNumber[], days: readonly number[]): Promise<readonly SpendMark[]>
  /** Of an account from a day on, oldest first. */
  marksSince(account: AccountNumber, day: number): Promise<readonly SpendMark[]>
  pruneMarks(beforeDay: number): Promise<void>
}
