import type { Reject, UsageRecord } from '../domain/usage-record.js'

/** `[fromMs, untilMs)` of the records' start. */
export interface TimeRange {
  readonly fromMs: number
  readonly untilMs: number
}

/** All that a source shows of one range. */
export interface UsageSlice {
  readonly records: readonly UsageRecord[]
  readonly rejects: readonly Reject[]
  /**
   * Ids name one call wherever they are seen, as LiteLLM's do: the same call under another source
   * is a twin, and counts once. Absent where ids are the source's own numbering.
   */
  readonly areIdsGlobal?: boolean
  /** What was read in full. It may end before the range asked for: the rest is asked for next. */
  readonly range: TimeRange
  /** Of a gateway that shows sums alone: what the records were computed from. Saved with them. */
  readonly readings?: readonly Reading[]
}

/** The sum that a gateway showed of one user and model in one bucket of time. Only ever rises. */
export interface Reading {
  readonly bucketStartMs: number
  readonly user: string
  readonly model: string
  readonly promptTokens: bigint
  /** A part of `promptTokens`. */
  readonly cachedPromptTokens: bigint
  readonly completionTokens: bigint
  /** How many records it was counted as: the next increase has this number in its id. */
  readonly increases: number
}

/** What a source is, as far as it can be told. Nothing secret. */
export interface SourceFacts {
  readonly version?: string
  /** What an operator should mend, a sentence each. */
  readonly warnings: readonly string[]
  /** How long the source keeps its rows, where that is known. */
  readonly retentionMs?: number
  /** Start of the oldest row that it still holds. */
  readonly oldestRowAtMs?: number
}

/**
 * Where usage comes from. May show a row twice; must never skip one: a slice is returned only when
 * every row of its range that the source holds is in it.
 */
export interface UsageSource {
  /** Permanent id. It is part of every record's key and of every receipt. */
  readonly name: string
  /**
   * How far back what it shows may still change by its nature, in ms: a sum that grows for a day is
   * read again for a day. Absent where rows never change.
   */
  readonly rereadMs?: number
  /**
   * Reads a slice that begins at `range.fromMs`.
   *
   * @throws RetryableError `source_unreachable`, `source_refused` (the key), `source_role` (the
   *   key may not see all rows), `source_no_database`, `source_nonsense` (not what LiteLLM says)
   */
  fetchSlice(range: TimeRange, signal: AbortSignal): Promise<UsageSlice>
  /** Its clock, in ms: rows are stamped by it, not by ours. Same errors as fetchSlice. */
  now(signal: AbortSignal): Promise<number>
  /** Looks once whether it can be read at all. Same errors as fetchSlice. */
  probe(signal: AbortSignal): Promise<SourceFacts>
}
