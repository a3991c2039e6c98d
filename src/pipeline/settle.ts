import { advance, type BatchEvent } from '../domain/batch.js'
import type { Hash } from '../domain/bytes.js'
import { CHUNK_MAX, chunkHash, chunksOf } from '../domain/entry.js'
import { RetryableError } from '../domain/errors.js'
import { purpose } from '../domain/ids.js'
import { merklePath } from '../domain/merkle.js'
import type { EntryRun } from '../domain/proof.js'
import type { Settler } from '../ports/settler.js'
import type { Store, StoredBatch, StoredEntry } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import { deliver } from './deliver.js'
import { guard } from './guard.js'
import { readResults } from './results.js'

export interface SettleParts {
  readonly store: Store
  readonly settler: Settler
  /** Entries a transaction brings at most. */
  readonly entriesMax: number
  readonly pass: SettlePass
}

/** How much of a full run this process sends: halved when Flow refuses one. */
export interface SettlePass {
  share: number
}

/**
 * What a transaction may cost, of Flow's limit of 9,999 computation units. Measured on the emulator
 * with the weights of July 2026: an entry costs 29.4 units with 3 models and 94 with 32, in the
 * dearest case (the first of its period).
 */
const UNITS_A_RUN = 8_000
const UNITS_AN_ENTRY = 24
const UNITS_A_ROW = 2.3
/** Bytes of an entry without rows, and of a row. */
const [HEAD_BYTES, ROW_BYTES] = [45, 30]

/** Brings the accepted batch's entries to Flow, run by run, until each has a result. */
export async function settleNext(parts: SettleParts, signal: AbortSignal): Promise<StepOutcome> {
  const { batches } = parts.store
  const batch = await batches.oldestIn('accepted')
  if (batch === undefined) return 'idle'
  const { header, life } = batch
  const event = await guard<BatchEvent | undefined>(
    () => settle(batch, parts, signal),
    async (reason) => ({ type: 'parked', reason }),
    signal,
  )
  if (event === undefined) return 'idle'
  await batches.saveLife(header.seq, advance(life, event))
  return 'advanced'
}

async function settle(
  { header }: StoredBatch,
  { store, settler, entriesMax, pass }: SettleParts,
  signal: AbortSignal,
): Promise<BatchEvent | undefined> {
  // Results come from sealed blocks alone, whoever brought the entries.
  await readResults({ store, settler }, signal)
  const entries = await store.batches.entries(header.seq)
  const first = entries.find(({ result }) => result === undefined)
  if (first === undefined) return { type: 'settled' }
  if ((await settler.acceptedRoot(header.seq, signal)) === undefined) {
    return { type: 'superseded' } // Flow gave the root up: a later batch states these again.
  }
  const size = Math.max(1, Math.floor(sizeOfRun(entries, first.position, entriesMax) * pass.share))
  const runs = runsFrom(entries, first.position, size)
  const way = { lane: settler.lane, outbox: store.outbox }
  const name = purpose.settle(header.seq, first.position)
  const sent = await deliver(name, () => settler.settleCall(header, runs), way, signal)
  if (sent === 'landed') pass.share = Math.min(1, pass.share * 2)
  if (sent !== 'refused') return undefined
  // A run reverts whole. Smaller ones find the entry that is at fault, and settle all the others.
  const why = settler.lane.lastRefusal ?? 'no reason given'
  if (size === 1) {
    const { accountNumber, periodStart } = first
    const entry = `account ${accountNumber}, period ${periodStart}`
    return { type: 'parked', reason: `Flow refused the entry of ${entry} alone: ${why}` }
  }
  pass.share /= 2
  throw new RetryableError('settle_refused', `batch ${header.seq}, ${size} entries: ${why}`)
}

/** How many entries from `first` on fit one transaction. */
function sizeOfRun(entries: readonly StoredEntry[], first: number, entriesMax: number): number {
  let units = 0
  let size = 0
  for (const { bytes } of entries.slice(first, first + entriesMax)) {
    const rows = ((bytes.length - 2) / 2 - HEAD_BYTES) / ROW_BYTES
    units += UNITS_AN_ENTRY + UNITS_A_ROW * rows
    if (units > UNITS_A_RUN) break
    size += 1
  }
  return size
}

/** Consecutive entries without a result from `first` on, cut where a chunk ends. */
export function runsFrom(
  entries: readonly StoredEntry[],
  first: number,
  entriesMax: number,
): EntryRun[] {
  const chunks = chunksOf(entries.map(({ leaf }) => leaf))
  const hashes = chunks.map(chunkHash)
  const runs: EntryRun[] = []
  let position = first
  while (position < entries.length && position < first + entriesMax) {
    const chunk = Math.floor(position / CHUNK_MAX)
    const start = chunk * CHUNK_MAX
    const end = Math.min(start + (chunks[chunk]?.length ?? 0), first + entriesMax)
    runs.push(runOf(entries, chunks[chunk] ?? [], { start, from: position, end }, hashes, chunk))
    position = end
  }
  return runs
}

function runOf(
  entries: readonly StoredEntry[],
  leaves: readonly Hash[],
  { start, from, end }: { start: number; from: number; end: number },
  chunkHashes: readonly Hash[],
  chunk: number,
): EntryRun {
  return {
    leavesBefore: leaves.slice(0, from - start),
    entries: entries.slice(from, end).map(({ bytes }) => bytes),
    leavesAfter: leaves.slice(end - start),
    path: merklePath(chunkHashes, chunk),
  }
}
