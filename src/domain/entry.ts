import { type Hash, type Hex, join, keccak, u16, u32, u64 } from './bytes.js'
import { assert } from './errors.js'
import type { EntryKey, UsageTotal } from './usage-total.js'

/** The state of one (vault, period): every model row of it, cumulative in the period. */
export interface Entry extends EntryKey {
  /** Root over the records that are new in this batch; zero bytes where there are none. */
  readonly recordsRoot: Hash
  readonly rows: readonly UsageTotal[]
}

// They tell entries from chunks. Neither is ever 64 bytes long, so neither can pose as a node.
const ENTRY_TAG = '0x01'
const CHUNK_TAG = '0x02'
export const ROWS_MAX = 32
export const CHUNK_MAX = 128

/** The canonical form. TypeScript and Cadence agree on every byte of it: see test/vectors. */
export function entryBytes({ accountNumber, periodStart, recordsRoot, rows }: Entry): Hex {
  assert(rows.length >= 1 && rows.length <= ROWS_MAX, `an entry of ${rows.length} rows`)
  const ascending = rows.every((row, i) => row.modelId > (rows[i - 1]?.modelId ?? -1))
  assert(ascending, 'the model ids of an entry ascend')
  const head = join(ENTRY_TAG, u64(accountNumber), u32(periodStart), recordsRoot)
  return join(head, ...rows.map(rowBytes))
}

export function entryLeaf(entry: Entry): Hash {
  return keccak(entryBytes(entry))
}

/** Hashed flat, because a tree would cost more on Flow. */
export function chunkHash(leaves: readonly Hash[]): Hash {
  assert(leaves.length >= 1 && leaves.length <= CHUNK_MAX, `a chunk of ${leaves.length} leaves`)
  return keccak(CHUNK_TAG, ...leaves)
}

/** The order of entries in a batch. */
export function compareEntries(a: EntryKey, b: EntryKey): number {
  if (a.accountNumber !== b.accountNumber) return a.accountNumber < b.accountNumber ? -1 : 1
  return a.periodStart - b.periodStart
}

/** Cuts sorted leaves into chunks, in order; only the last may be shorter. */
export function chunksOf(leaves: readonly Hash[], chunkMax = CHUNK_MAX): Hash[][] {
  const chunks: Hash[][] = []
  for (let start = 0; start < leaves.length; start += chunkMax) {
    chunks.push(leaves.slice(start, start + chunkMax))
  }
  return chunks
}

function rowBytes(row: UsageTotal): Hex {
  assert(row.cachedPromptTokens <= row.promptTokens, 'cached tokens are part of the prompt')
  const tokens = [row.promptTokens, row.cachedPromptTokens, row.completionTokens]
  return join(u16(row.modelId), ...tokens.map(u64), u32(row.requests))
}
