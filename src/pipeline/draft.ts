import type { Hash } from '../domain/bytes.js'
import { compareEntries, type Entry } from '../domain/entry.js'
import { receiptSalt, recordLeaf, recordsRoot } from '../domain/receipt.js'
import type { Clock } from '../ports/clock.js'
import type { Correction } from '../ports/corrections.js'
import type { AttributedRecord, Stores } from '../ports/stores.js'
import { type AttributeSettings, mappingVersion } from './attribute.js'
import { BoundsCheck, type ChargeBounds } from './bounds.js'
import { entriesToRestate, keyOf, nameOf } from './restate.js'
import { addRecords, withRowIds } from './totals.js'

export interface DraftParts {
  readonly clock: Clock
  readonly attribution: AttributeSettings
  readonly settings: {
    /** The key of the receipts' salts. */
    readonly receiptSecret: string
    readonly bounds: ChargeBounds
    /** BATCH_LIMITS unless given. */
    readonly limits?: BatchLimits
  }
}

/** What one batch takes in at most. */
export interface BatchLimits {
  readonly records: number
  readonly entries: number
}

/** A batch is sealed in one transaction and proven whole, so its size has a bound. */
export const BATCH_LIMITS: BatchLimits = { records: 20_000, entries: 5_000 }

/** What a batch will say, before it has a header. */
export interface Draft {
  readonly entries: readonly Entry[]
  /** By entry, with the ids they are billed under. */
  readonly records: ReadonlyMap<string, readonly AttributedRecord[]>
  /** On Flow by now, and in no manifest yet. */
  readonly corrections: readonly Correction[]
  /** What it adds to the bills, by currency, in wad. */
  readonly charges: ReadonlyMap<string, bigint>
}

/** New totals = last totals + the sums of what is claimed, every model row of each entry. */
export async function draftBatch(stores: Stores, parts: DraftParts): Promise<Draft> {
  const fresh = await claimable(stores, parts)
  const { limits = BATCH_LIMITS } = parts.settings
  // Neither has what waits for a correction or an operator: until Flow has lowered a total, nobody
  // can say what comes on top of it.
  const restated = await entriesToRestate(stores, parts.clock.now(), limits.entries)
  const keys = new Map(restated.map((key) => [nameOf(key), key]))
  for (const [name, [first]] of fresh) if (first !== undefined) keys.set(name, keyOf(first))

  const chosen = [...keys.values()].slice(0, limits.entries).sort(compareEntries)
  const accounts = [...new Set(chosen.map(({ accountNumber }) => accountNumber))]
  const check = await BoundsCheck.begin(stores, parts.settings.bounds, parts.clock, accounts)
  const entries: Entry[] = []
  const records = new Map<string, AttributedRecord[]>()
  // Who waits longest comes first; what is left over is in the next batch.
  for (const key of chosen) {
    const before = await stores.totals.of(key)
    const claimed = withRowIds(fresh.get(nameOf(key)) ?? [], before)
    const rows = addRecords(before, claimed)
    if (!(await check.mayPass(key, before, rows))) continue
    const leaves = claimed.map((record) => leafOf(record, parts.settings.receiptSecret))
    entries.push({ ...key, recordsRoot: recordsRoot(leaves), rows })
    records.set(nameOf(key), claimed)
  }
  const corrections = await stores.corrections.unlisted()
  return { entries, records, corrections, charges: check.charges }
}

/** By entry: what waits to be counted, and what a correction lets count again elsewhere. */
async function claimable(
  stores: Stores,
  { attribution, settings: { limits = BATCH_LIMITS } }: DraftParts,
): Promise<Map<string, AttributedRecord[]>> {
  const version = await mappingVersion({ ...stores, settings: attribution })
  const attributed =
    version === undefined ? [] : await stores.records.attributed(version, limits.records)
  const moved = await stores.corrections.recountable(limits.records)
  const fresh = new Map<string, AttributedRecord[]>()
  for (const record of [...attributed, ...moved]) {
    const name = nameOf(keyOf(record))
    const records = fresh.get(name) ?? []
    records.push(record)
    fresh.set(name, records)
  }
  return fresh
}

function leafOf(record: AttributedRecord, receiptSecret: string): Hash {
  return recordLeaf(record, record.modelId, receiptSalt(receiptSecret, record.key))
}
