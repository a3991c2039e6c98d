import type { BatchId } from '../domain/ids.js'
import type { EntryKey } from '../domain/usage-total.js'

/**
 * `refused_alone`: Flow refused it twice, as the only entry of a transaction. `above_history` and
 * `above_day_limit`: its new charge is beyond a bound. `retried`: an operator asked for it once more.
 * `corrected_on_flow`: the provider lowered it there, and nothing recorded here says so, so that the
 * next entry would undo it.
 */
export type StopCause =
  | 'refused_alone'
  | 'above_history'
  | 'above_day_limit'
  | 'retried'
  | 'corrected_on_flow'

/** Nothing of a (vault, period) is sealed until an operator has released it. */
export interface Stop extends EntryKey {
  readonly cause: StopCause
  readonly why: string
  readonly stoppedAtMs: number
}

export interface Release {
  readonly atMs: number
  /** Wad: what the period may cost in all before it is looked at again. */
  readonly upTo: bigint
}

/** What waits for an operator before it is sealed. Rows are added, and released once. */
export interface Stops {
  /** Changes nothing where one is open. */
  add(key: EntryKey, cause: StopCause, why: string): Promise<void>
  /** Oldest first; at most 1,000 unless told. */
  open(limit?: number): Promise<readonly Stop[]>
  isOpen(key: EntryKey): Promise<boolean>
  /**
   * Releases what is open, and acknowledges what was corrected on Flow; where nothing is open, it is
   * noted that the entry is to be stated again.
   */
  release(key: EntryKey, upTo: bigint): Promise<void>
  /** The newest release. */
  released(key: EntryKey): Promise<Release | undefined>

  /** What a batch adds to the bills, by currency, in wad. */
  saveCharge(id: BatchId, currency: string, charge: bigint): Promise<void>
  chargedSince(currency: string, sinceMs: number): Promise<bigint>
}
