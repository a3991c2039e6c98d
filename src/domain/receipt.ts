import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes } from '@noble/hashes/utils.js'
import { type Hash, keccak, toHex, u16, u64, utf8, ZERO_HASH } from './bytes.js'
import type { ModelId } from './ids.js'
import { merkleRoot } from './merkle.js'
import type { RecordKey, UsageRecord } from './usage-record.js'

const RECORD_TAG = keccak(utf8('flowmeter.usage-record.v1'))

/** Keeps a single request secret: only who is given the salt can find the record's leaf. */
export function receiptSalt(receiptSecret: string, { source, requestId }: RecordKey): Hash {
  const message = concatBytes(utf8(source), new Uint8Array(1), utf8(requestId))
  return toHex(hmac(sha256, utf8(receiptSecret), message)) as Hash
}

type ReceiptRecord = Pick<
  UsageRecord,
  'key' | 'startedAtMs' | 'model' | 'promptTokens' | 'cachedPromptTokens' | 'completionTokens'
>

/** What a record is committed to as. The salt hides it from everyone but its customer. */
export function recordLeaf(record: ReceiptRecord, modelId: ModelId, salt: Hash): Hash {
  const model = utf8(record.model)
  return keccak(
    RECORD_TAG,
    salt,
    keccak(utf8(record.key.source)),
    keccak(utf8(record.key.requestId)),
    u64(record.startedAtMs),
    u16(modelId),
    u16(model.length),
    model,
    u64(record.promptTokens),
    u64(record.cachedPromptTokens),
    u64(record.completionTokens),
  )
}

/** The tree over the new records of one entry; zero bytes where there are none. */
export function recordsRoot(leaves: readonly Hash[]): Hash {
  return leaves.length === 0 ? ZERO_HASH : merkleRoot([...leaves].sort())
}
