import type { Hash } from '../domain/bytes.js'
import { CHUNK_MAX, chunkHash, chunksOf } from '../domain/entry.js'
import type { EntrySpan } from '../domain/ids.js'
import { merklePath } from '../domain/merkle.js'
import type { EntryRun } from '../domain/proof.js'
import type { StoredEntry } from '../ports/stores.js'

/**
 * What a transaction may cost, of Flow's limit of 9,999 computation units. Measured on the emulator
 * with the weights of July 2026: an entry costs 26.1 units with 3 models and 94 with 32, in the
 * dearest case (the first of its period).
 */
const UNITS_MAX = 9_999
const UNITS_A_RUN = 7_000
const UNITS_AN_ENTRY = 24
const UNITS_A_ROW = 2.3
/** Bytes of an entry without rows, and of a row. */
const [HEAD_BYTES, ROW_BYTES] = [45, 30]

/** Below this, what a transaction costs whatever it brings weighs too much to learn from. */
const LEARNT_UNITS_MIN = 1_000
const [DEARNESS_MIN, DEARNESS_MAX] = [0.25, 10]

export interface RunLimits {
  /** What other transactions are bringing. */
  readonly busy: readonly EntrySpan[]
  /** What Flow refused: a transaction reverts whole, so one of its entries may be at fault. */
  readonly refused: readonly EntrySpan[]
  /** Entries a transaction brings at most. */
  readonly entriesMax: number
  /** How much an entry uses, by the last transactions, for each unit that was measured. */
  readonly dearness: number
}

export interface RunPlan {
  /** One transaction each, in order. */
  readonly spans: readonly EntrySpan[]
  /** Positions of entries that were refused alone. They are not brought again. */
  readonly refusedAlone: readonly number[]
}

/**
 * Cuts the entries without a result into runs. What was refused comes again in halves, so that one
 * bad entry ends alone and all others are settled.
 */
export function planRuns(entries: readonly StoredEntry[], limits: RunLimits): RunPlan {
  const busy = new Set(limits.busy.flatMap(positionsOf))
  const halves = halvesOf(limits.refused)
  const spans: EntrySpan[] = []
  const refusedAlone: number[] = []
  let run = { first: 0, count: 0, units: 0, countMax: 0 }
  const close = (): void => {
    if (run.count > 0) spans.push({ first: run.first, count: run.count })
    run = { first: 0, count: 0, units: 0, countMax: 0 }
  }
  for (const entry of entries) {
    const { position, result } = entry
    const half = halves.get(position) ?? limits.entriesMax
    if (result === undefined && half === 0) refusedAlone.push(position)
    if (result !== undefined || half === 0 || busy.has(position)) {
      close()
      continue
    }
    const units = unitsOf(entry) * limits.dearness
    const countMax = Math.min(half, limits.entriesMax)
    const isFull = run.count + 1 > Math.min(run.countMax, countMax)
    if (isFull || run.units + units > UNITS_A_RUN) close()
    if (run.count === 0) run = { first: position, count: 0, units: 0, countMax }
    const countedMax = Math.min(run.countMax, countMax)
    run = { ...run, count: run.count + 1, units: run.units + units, countMax: countedMax }
  }
  close()
  return { spans, refusedAlone }
}

/**
 * How dear entries are, after one more transaction: more is believed at once, less bit by bit.
 *
 * @param use of what one transaction may use, 0 to 1
 */
export function learnt(dearness: number, brought: readonly StoredEntry[], use: number): number {
  const units = brought.reduce((sum, entry) => sum + unitsOf(entry), 0)
  if (units < LEARNT_UNITS_MIN) return dearness
  const seen = (use * UNITS_MAX) / units
  const next = seen > dearness ? seen : (3 * dearness + seen) / 4
  return Math.min(DEARNESS_MAX, Math.max(DEARNESS_MIN, next))
}

/** A run for each chunk that the span touches. */
export function runsFrom(entries: readonly StoredEntry[], { first, count }: EntrySpan): EntryRun[] {
  const chunks = chunksOf(entries.map(({ leaf }) => leaf))
  const hashes = chunks.map(chunkHash)
  const runs: EntryRun[] = []
  const spanEnd = Math.min(entries.length, first + count)
  let position = first
  while (position < spanEnd) {
    const chunk = Math.floor(position / CHUNK_MAX)
    const start = chunk * CHUNK_MAX
    const end = Math.min(start + (chunks[chunk]?.length ?? 0), spanEnd)
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

function positionsOf({ first, count }: EntrySpan): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}

/** For each position that was refused, half of the smallest refused span that it was in. */
function halvesOf(refused: readonly EntrySpan[]): ReadonlyMap<number, number> {
  const halves = new Map<number, number>()
  for (const span of refused) {
    const half = Math.floor(span.count / 2)
    for (const position of positionsOf(span)) {
      halves.set(position, Math.min(half, halves.get(position) ?? half))
    }
  }
  return halves
}

function unitsOf({ bytes }: StoredEntry): number {
  const rows = ((bytes.length - 2) / 2 - HEAD_BYTES) / ROW_BYTES
  return UNITS_AN_ENTRY + UNITS_A_ROW * rows
}
