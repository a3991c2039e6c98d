import { type Hash, type Hex, hash, join, keccak, u16, u32, u64 } from './bytes.js'
import { assert } from './errors.js'
import { accountNumber, modelId } from './ids.js'
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
/** Hexadecimal digits of an entry without rows, `0x` included, and of a row. */
const [HEAD_DIGITS, ROW_DIGITS] = [92, 60]
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

/** The entry that these bytes are the canonical form of; any others are a bug of the caller. */
export function readEntry(bytes: Hex): Entry {
  const number = (from: number, digits: number) => BigInt(`0x${bytes.slice(from, from + digits)}`)
  const rows = Math.floor((bytes.length - HEAD_DIGITS) / ROW_DIGITS)
  const entry = {
    accountNumber: accountNumber(number(4, 16)),
    periodStart: Number(number(20, 8)),
    recordsRoot: hash(`0x${bytes.slice(28, HEAD_DIGITS)}`),
    rows: Array.from({ length: rows }, (_, i) => {
      const row = HEAD_DIGITS + i * ROW_DIGITS
      return {
        modelId: modelId(Number(number(row, 4))),
        promptTokens: number(row + 4, 16),
        cachedPromptTokens: number(row + 20, 16),
        completionTokens: number(row + 36, 16),
        requests: number(row + 52, 8),
      }
    }),
  }
  assert(entryBytes(entry) === bytes, 'these are not the bytes of an entry')
  return entry
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
