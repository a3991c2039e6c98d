import type { BatchState } from '../domain/batch.js'
import type { AccountNumber } from '../domain/ids.js'
import type { PayerField } from '../domain/usage-record.js'
import type { UsageTotal } from '../domain/usage-total.js'
import type { Fate } from './lane.js'

/** `[fromMs, untilMs)`, ms since 1970, UTC. */
export interface ReportSpan {
  readonly fromMs: number
  readonly untilMs: number
}

/** What one payer used of one model in one hour, on one (vault, period). */
export interface UsageCell extends UsageTotal {
  readonly account: AccountNumber
  readonly periodStart: number
  /** As the source calls it. */
  readonly model: string
  readonly payer: string
  /** Hours since 1970, UTC. */
  readonly hour: number
}

export interface SentTransaction {
  readonly purpose: string
  readonly lane: string
  readonly fate: Fate
  readonly savedAtMs: number
  /** Smallest units that it spends beside gas. */
  readonly cost: bigint | undefined
  /** How often it was signed again at a higher price. */
  readonly raises: number
}

export interface BatchTimes {
  readonly seq: string
  readonly state: BatchState
  readonly sealedAtMs: number
  readonly changedAtMs: number
}

/** What reports are made of. Every answer is bounded, whatever the store holds. */
export interface ReportFacts {
  /**
   * Usage that counts and has a vault, sealed or not yet, by start of the call, where corrections on
   * chain have put it. Reads the beginning of the span, at most ROWS_A_SLICE records, and says up to
   * where: the next call goes on there.
   */
  usage(
    span: ReportSpan,
    payerField: PayerField,
    account?: AccountNumber,
  ): Promise<{ readonly cells: readonly UsageCell[]; readonly untilMs: number }>
  /** How long calls took, ms, of the newest of the span. */
  callDurations(span: ReportSpan, limit: number): Promise<readonly number[]>
  /** Newest first. */
  transactions(span: ReportSpan, limit: number): Promise<readonly SentTransaction[]>
  /** Newest first. */
  batches(span: ReportSpan, limit: number): Promise<readonly BatchTimes[]>
}
