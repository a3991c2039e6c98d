import type { BatchHeader } from './batch.js'
import type { Hash, Hex } from './bytes.js'
import type { ModelId } from './ids.js'
import type { UsageRecord } from './usage-record.js'
import type { EntryKey } from './usage-total.js'

/**
 * What a customer needs to check the bill of one period of their vault: every batch that stated it,
 * from its single calls up to the root that Flare and Flow hold. Of others it has hashes alone.
 */
export interface Receipts extends EntryKey {
  readonly provider: bigint
  /** Of all batches that state the period, meter by meter, by ascending number. */
  readonly batches: readonly BatchReceipt[]
}

export interface BatchReceipt {
  /** Who signed it; each meter counts its batches from 1. `epoch`: Flow's number of it, 0 for the first. */
  readonly meter?: { readonly address: Hex; readonly epoch: number }
  readonly header: BatchHeader
  /** The canonical JSON that `header.manifest` is the hash of. */
  readonly manifestJson: string
  /** The bytes of the entry that states the period; absent where the batch only lists corrections. */
  readonly entry?: Hex
  /** The leaves of the entry's chunk, in order: the chunk's hash is the keccak of them. */
  readonly leaves: readonly Hash[]
  /** From the chunk up to the root. */
  readonly path: readonly Hash[]
  /** The calls that are new in this batch. */
  readonly records: readonly RecordReceipt[]
}

/** One call as it was committed. With the salt, and only with it, its leaf can be found. */
export interface RecordReceipt
  extends Pick<
    UsageRecord,
    'key' | 'startedAtMs' | 'model' | 'promptTokens' | 'cachedPromptTokens' | 'completionTokens'
  > {
  /** The row of the entry that it counts in. */
  readonly modelId: ModelId
  readonly salt: Hash
}
