import { type BatchHeader, IN_FLIGHT_STATES } from '../domain/batch.js'
import { type Hash, keccak, utf8, ZERO_HASH } from '../domain/bytes.js'
import { type CanonicalValue, canonicalJson } from '../domain/canonical-json.js'
import { chunkHash, chunksOf, compareEntries, type Entry, entryBytes } from '../domain/entry.js'
import { type BatchSeq, batchSeq } from '../domain/ids.js'
import { merkleRoot } from '../domain/merkle.js'
import { receiptSalt, recordLeaf, recordsRoot } from '../domain/receipt.js'
import type { Clock } from '../ports/clock.js'
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
    await stores.records.claim(seq, draft.records.get(nameOf(entry)) ?? [])
  }
  return 'advanced'
}

/** New totals = last totals + the sums of what is claimed, every model row of each entry. */
async function draftBatch(stores: Stores, parts: SealParts): Promise<Draft> {
  const version = await mappingVersion({ ...stores, settings: parts.attribution })
  const claimable =
    version === undefined ? [] : await stores.records.attributed(version, RECORDS_A_BATCH_MAX)
  const keys = new Map((await entriesToRestate(stores)).map((key) => [nameOf(key), key]))
  const fresh = new Map<string, AttributedRecord[]>()
  for (const record of claimable) {
    const key = keyOf(record)
    keys.set(nameOf(key), key)
    const records = fresh.get(nameOf(key)) ?? []
    records.push(record)
    fresh.set(nameOf(key), records)
  }

  const entries: Entry[] = []
  const records = new Map<string, AttributedRecord[]>()
  // The first by number win; what is left over is in the next batch.
  for (const key of [...keys.values()].sort(compareEntries).slice(0, ENTRIES_A_BATCH_MAX)) {
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
  return { entries, records }
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
    corrections: [],
    operatorLog: ZERO_HASH,
  }
}

function leafOf(record: AttributedRecord, receiptSecret: string): Hash {
  return recordLeaf(record, record.modelId, receiptSalt(receiptSecret, record.key))
}
