import type { BatchId, ModelId } from '../domain/ids.js'
import type { PayerField, RecordKey } from '../domain/usage-record.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { AttributedRecord } from './stores.js'

/** Where a record goes that a correction takes out of a total. */
export interface Destination extends EntryKey {
  readonly modelId: ModelId
}

export interface CorrectedRecord {
  readonly key: RecordKey
  /** The row that it counts in until now. */
  readonly modelId: ModelId
  /** Absent: it counts nowhere any more. */
  readonly to?: Destination
}

/** A lowering of one total, written down before anything is done about it on the chain. */
export interface NewCorrection extends EntryKey {
  /** The last batch that was sealed. No batch up to it can raise the total again. */
  readonly afterSeq: BatchId
  /** What the period's total is worth after it, in 1e-4 tokens. */
  readonly billable: bigint
  readonly reason: string
  readonly by: string
  readonly records: readonly CorrectedRecord[]
}

export interface Correction extends Omit<NewCorrection, 'records'> {
  /** From 1. */
  readonly id: number
  readonly recordedAtMs: number
  /** What it takes off, model by model. */
  readonly taken: readonly UsageTotal[]
  /** How many records. */
  readonly records: number
  /** Absent until a sealed block of the chain has it. */
  readonly sealed?: SealedCorrection
  /** The batch whose manifest names it. */
  readonly listedBy?: BatchId
}

/** A record that counts again, elsewhere. */
export interface MovedRecord extends AttributedRecord {
  readonly correctionId: number
}

/** A record where a batch counts it now. */
export interface CountedRecord extends AttributedRecord {}

/** What the chain says of it. */
export interface SealedCorrection {
  readonly txId: string
  /** No entry of a batch up to it is applied any more. At least what was recorded. */
  readonly afterSeq: BatchId
  /** At most what was recorded. */
  readonly billable: bigint
  readonly height: number
}

/** A correction on the chain, whoever put it there. */
export interface SeenCorrection extends EntryKey, SealedCorrection {
  readonly reason: string
}

/** Which counted records are meant. */
export type CountedChoice =
  | { readonly keys: readonly RecordKey[] }
  | {
      readonly source: string
      readonly field: PayerField
      readonly payer: string
      readonly from: EntryKey
    }

/** Corrections and the records that they move. Rows are added, never taken back. */
export interface Corrections {
  /** At most one that waits for the chain a (vault, period): a second one is refused. */
  record(correction: NewCorrection): Promise<Correction>
  /** In no sealed block yet: nothing is sealed for their (vault, period). Oldest first. */
  pending(): Promise<readonly Correction[]>
  countPending(): Promise<number>
  /** Newest first. */
  list(limit: number): Promise<readonly Correction[]>
  saveSealed(id: number, sealed: SealedCorrection): Promise<void>
  /**
   * On the chain, and stated by no batch since: the next one says what the total is now, if its number
   * is above `afterSeq`, up to which none counts.
   */
  unstated(): Promise<readonly (EntryKey & { readonly afterSeq: BatchId })[]>
  /** Of one (vault, period), listed by a batch of this span. Oldest first. */
  listedOf(
    key: EntryKey,
    span: { readonly after: bigint; readonly until: BatchId },
  ): Promise<readonly Correction[]>
  /** On the chain, and in no manifest. Oldest first. */
  unlisted(): Promise<readonly Correction[]>
  saveListed(ids: readonly number[], id: BatchId): Promise<void>

  counted(choice: CountedChoice): Promise<readonly CountedRecord[]>
  /**
   * Taken out by a correction that is on the chain, and counted nowhere yet. Oldest first, and without
   * what goes to a (vault, period) that waits for a correction or for an operator.
   */
  recountable(limit: number): Promise<readonly MovedRecord[]>
  /** All of them that go to one (vault, period), whatever that waits for. */
  recountableOf(key: EntryKey): Promise<readonly MovedRecord[]>
  /** Fixes where they count for ever, but for another correction. */
  claimMoved(id: BatchId, records: readonly MovedRecord[]): Promise<void>
  /** Records that this batch counted after a correction. */
  movedBy(id: BatchId): Promise<readonly MovedRecord[]>

  saveSeen(correction: SeenCorrection): Promise<void>
  /** In order. */
  seenOf(key: EntryKey): Promise<readonly SeenCorrection[]>
  /**
   * Seen, and no recorded correction of the same (vault, period) is that one or later; nor has an
   * operator acknowledged them by a release: see `Stops.open`.
   */
  unrecorded(): Promise<readonly SeenCorrection[]>
}
