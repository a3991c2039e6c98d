import { setImmediate as breathe } from 'node:timers/promises'
import { entryBytes, readEntry } from '../domain/entry.js'
import { receiptSalt, recordLeaf, recordsRoot } from '../domain/receipt.js'
import type { UsageTotal } from '../domain/usage-total.js'
import type { AttributedRecord, StoredBatch, StoredEntry, Stores } from '../ports/stores.js'
import { keyOf, nameOf } from './restate.js'
import { addRecords, takeFrom } from './totals.js'

/** Each takes some hashes to compute; a batch may have twenty thousand. */
const RECORDS_A_BREATH = 500

type ReplayStores = Pick<Stores, 'records' | 'batches' | 'corrections'>

/**
 * Entries of a batch that the statement before, corrections listed since and the batch's own records do
 * not give, and (vault, period)s whose records the batch has without an entry. Where it is 0 for every
 * batch, each entry is the sum of all records up to it, and never more than one batch was in memory.
 */
export async function replayDifference(
  { id }: Pick<StoredBatch, 'id'>,
  stores: ReplayStores,
  receiptSecret: string,
): Promise<bigint> {
  const claimed = await stores.records.claimedBy(id)
  const byName = byEntry([...claimed, ...(await stores.corrections.movedBy(id))])
  let differing = 0n
  let done = 0
  for (const entry of await stores.batches.entries(id)) {
    const records = byName.get(nameOf(entry)) ?? []
    byName.delete(nameOf(entry))
    done += 1 + records.length
    if (done >= RECORDS_A_BREATH) {
      await breathe()
      done = 0
    }
    if ((await bytesGivenBy(records, entry, stores, receiptSecret)) !== entry.bytes) differing += 1n
  }
  return differing + BigInt(byName.size)
}

/** What the entry has to say; undefined where there is nothing that it could. */
async function bytesGivenBy(
  records: readonly AttributedRecord[],
  entry: StoredEntry,
  { batches, corrections }: ReplayStores,
  receiptSecret: string,
): Promise<StoredEntry['bytes'] | undefined> {
  const before = await batches.statementBefore(entry, entry.batch)
  let rows = before === undefined ? [] : readEntry(before.bytes).rows
  const span = { after: before?.batch ?? 0n, until: entry.batch }
  for (const { taken } of await corrections.listedOf(entry, span)) {
    if (!isPart(taken, rows)) return undefined
    rows = takeFrom(rows, taken)
  }
  rows = addRecords(rows, records)
  if (rows.length === 0) return undefined
  const leaves = records.map((record) =>
    recordLeaf(record, record.modelId, receiptSalt(receiptSecret, record.key)),
  )
  return entryBytes({ ...entry, recordsRoot: recordsRoot(leaves), rows })
}

function isPart(taken: readonly UsageTotal[], before: readonly UsageTotal[]): boolean {
  return taken.every((row) => {
    const has = before.find(({ modelId }) => modelId === row.modelId)
    return (
      has !== undefined &&
      has.promptTokens >= row.promptTokens &&
      has.cachedPromptTokens >= row.cachedPromptTokens &&
      has.completionTokens >= row.completionTokens &&
      has.requests >= row.requests
    )
  })
}

function byEntry(records: readonly AttributedRecord[]): Map<string, AttributedRecord[]> {
  const groups = new Map<string, AttributedRecord[]>()
  for (const record of records) {
    const name = nameOf(keyOf(record))
    const group = groups.get(name) ?? []
    group.push(record)
    groups.set(name, group)
  }
  return groups
}
