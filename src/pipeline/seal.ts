import { type BatchHeader, IN_FLIGHT_STATES } from '../domain/batch.js'
import { type Hash, keccak, utf8, ZERO_HASH } from '../domain/bytes.js'
import { type CanonicalValue, canonicalJson } from '../domain/canonical-json.js'
import { chunkHash, chunksOf, compareEntries, type Entry, entryBytes } from '../domain/entry.js'
import { type BatchSeq, batchSeq } from '../domain/ids.js'
import { merkleRoot } from '../domain/merkle.js'
import { receiptSalt, recordLeaf, recordsRoot } from '../domain/receipt.js'
import type { Clock } from '../ports/clock.js'
import type { Correction, MovedRecord } from '../ports/corrections.js'
import type { AttributedRecord, Store, StoredBatch, Stores } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import { type AttributeSettings, mappingVersion } from './attribute.js'
import { isSealDue, type SealRules } from './due.js'
import { entriesToRestate, keyOf, nameOf } from './restate.js'
import { addRecords, withRowIds } from './totals.js'

export interface SealParts {
  readonly store: Store
  readonly clock: Clock
  /** Of the settlement chain: a batch for one place is worth nothing at another. */
  readonly target: Hash
  readonly attribution: AttributeSettings
  readonly settings: SealSettings
  /** Compares store and chain before a number is used; throws ConfigError when they differ. */
  readonly checkMeter: (signal: AbortSignal) => Promise<void>
}

export interface SealSettings {
  readonly rules: SealRules
  /** The key of the receipts' salts. */
  readonly receiptSecret: string
}

/** A batch is sealed in one transaction and proven whole, so its size has a bound. */
const RECORDS_A_BATCH_MAX = 20_000
const ENTRIES_A_BATCH_MAX = 5_000

/** What a batch will say, before it has a header. */
interface Draft {
  readonly entries: readonly Entry[]
  /** By entry, with the ids they are billed under. */
  readonly records: ReadonlyMap<string, readonly AttributedRecord[]>
  /** On Flow by now, and in no manifest yet. */
  readonly corrections: readonly Correction[]
}

/**
 * Seals the next batch when it is time and there is something to state. One transaction fixes the
 * records' vault, period and model, the totals, the entries and the header: all of it or nothing.
 */
export async function sealNext(parts: SealParts, signal: AbortSignal): Promise<StepOutcome> {
  const { store } = parts
  // Totals are cumulative: a queue of batches would gain nothing over the next one.
  if ((await store.batches.oldestIn(...IN_FLIGHT_STATES)) !== undefined) return 'idle'
  const last = await store.batches.last()
  if (!(await isTime(last, parts))) return 'idle'
  await parts.checkMeter(signal)
  return store.transaction((stores) => seal(stores, last, parts))
}

async function isTime(
  last: StoredBatch | undefined,
  { store, clock, attribution, settings }: SealParts,
): Promise<boolean> {
  const readWaiting = async () => {
    const version = await mappingVersion({ ...store, settings: attribution })
    return version === undefined ? [] : store.records.attributed(version, RECORDS_A_BATCH_MAX)
  }
  const lastSealedAtMs = last === undefined ? undefined : last.header.sealedAt * 1000
  return isSealDue(store, readWaiting, clock.now(), lastSealedAtMs, settings.rules)
}

async function seal(
  stores: Stores,
  last: StoredBatch | undefined,
  parts: SealParts,
): Promise<StepOutcome> {
  const draft = await draftBatch(stores, parts)
  if (draft.entries.length === 0) return 'idle'
  const seq = batchSeq((last?.header.seq ?? 0n) + 1n)
  const manifestJson = canonicalJson(await manifestOf(seq, draft, stores, parts))

  const bytes = draft.entries.map(entryBytes)
  const leaves = bytes.map((entry) => keccak(entry))
  const header: BatchHeader = {
    seq,
    root: merkleRoot(chunksOf(leaves).map(chunkHash)),
    prevRoot: last?.header.root ?? ZERO_HASH,
    sealedAt: Math.floor(parts.clock.now() / 1000),
    target: parts.target,
    manifest: keccak(utf8(manifestJson)),
  }
  const rows = draft.entries.map((entry, position) => ({
    ...entry,
    position,
    bytes: bytes[position] ?? '0x',
    leaf: leaves[position] ?? ZERO_HASH,
  }))
  await stores.batches.add(header, manifestJson, rows)
  for (const entry of draft.entries) {
    await stores.totals.save(entry, entry.rows, seq)
    const records = draft.records.get(nameOf(entry)) ?? []
    const moved = records.filter(isMoved)
    await stores.records.claim(
      seq,
      records.filter((record) => !isMoved(record)),
    )
    await stores.corrections.claimMoved(seq, moved)
  }
  await stores.corrections.saveListed(
    draft.corrections.map(({ id }) => id),
    seq,
  )
  return 'advanced'
}

function isMoved(record: AttributedRecord): record is MovedRecord {
  return 'correctionId' in record
}

/** New totals = last totals + the sums of what is claimed, every model row of each entry. */
async function draftBatch(stores: Stores, parts: SealParts): Promise<Draft> {
  const fresh = await claimable(stores, parts)
  const keys = new Map((await entriesToRestate(stores)).map((key) => [nameOf(key), key]))
  for (const [name, [first]] of fresh) if (first !== undefined) keys.set(name, keyOf(first))
  // Until Flow has lowered a total, nobody can say what comes on top of it.
  for (const key of await stores.corrections.pending()) keys.delete(nameOf(key))

  const entries: Entry[] = []
  const records = new Map<string, AttributedRecord[]>()
  // Who waits longest comes first; what is left over is in the next batch.
  for (const key of [...keys.values()].slice(0, ENTRIES_A_BATCH_MAX).sort(compareEntries)) {
    const before = await stores.totals.of(key)
    const claimed = withRowIds(fresh.get(nameOf(key)) ?? [], before)
    const leaves = claimed.map((record) => leafOf(record, parts.settings.receiptSecret))
    entries.push({
      ...key,
      recordsRoot: recordsRoot(leaves),
      rows: addRecords(before, claimed),
    })
    records.set(nameOf(key), claimed)
  }
  return { entries, records, corrections: await stores.corrections.unlisted() }
}

/** By entry: what waits to be counted, and what a correction lets count again elsewhere. */
async function claimable(
  stores: Stores,
  { attribution }: SealParts,
): Promise<Map<string, AttributedRecord[]>> {
  const version = await mappingVersion({ ...stores, settings: attribution })
  const attributed =
    version === undefined ? [] : await stores.records.attributed(version, RECORDS_A_BATCH_MAX)
  const moved = await stores.corrections.recountable(RECORDS_A_BATCH_MAX)
  const fresh = new Map<string, AttributedRecord[]>()
  for (const record of [...attributed, ...moved]) {
    const name = nameOf(keyOf(record))
    const records = fresh.get(name) ?? []
    records.push(record)
    fresh.set(name, records)
  }
  return fresh
}

/** What the batch was made of, for whoever audits it: kept, served, and bound by its hash. */
async function manifestOf(
  seq: BatchSeq,
  draft: Draft,
  stores: Stores,
  parts: SealParts,
): Promise<CanonicalValue> {
  const claimed = [...draft.records.values()].reduce((sum, records) => sum + records.length, 0)
  const sources = await stores.records.sources()
  return {
    version: '1',
    seq: seq.toString(),
    entries: draft.entries.length.toString(),
    records: claimed.toString(),
    sources: Object.fromEntries(
      sources.map(({ name, readUntilMs }) => [name, { readUntilMs: readUntilMs.toString() }]),
    ),
    mapping: parts.attribution.version,
    books: await stores.books.version(),
    corrections: draft.corrections.map(correctionOf),
    operatorLog: await stores.operatorLog.head(),
  }
}

function correctionOf(correction: Correction): CanonicalValue {
  const { id, accountNumber, periodStart, afterSeq, billable, taken, reason } = correction
  return {
    id: id.toString(),
    account: accountNumber.toString(),
    periodStart: periodStart.toString(),
    afterSeq: afterSeq.toString(),
    billable: billable.toString(),
    taken: taken.map((row) => ({
      modelId: row.modelId.toString(),
      promptTokens: row.promptTokens.toString(),
      cachedPromptTokens: row.cachedPromptTokens.toString(),
      completionTokens: row.completionTokens.toString(),
      requests: row.requests.toString(),
    })),
    reason,
  }
}

function leafOf(record: AttributedRecord, receiptSecret: string): Hash {
  return recordLeaf(record, record.modelId, receiptSalt(receiptSecret, record.key))
}
