import { type BatchHeader, type BatchLife, isSameHeader } from '../domain/batch.js'
import { entryBytes } from '../domain/entry.js'
import { type AccountRange, eraOf } from '../domain/ids.js'
import { receiptSalt, recordLeaf, recordsRoot } from '../domain/receipt.js'
import type { UsageTotal } from '../domain/usage-total.js'
import type { AnchorHistory } from '../ports/attestor.js'
import type { Era } from '../ports/meters.js'
import type { Settler } from '../ports/settler.js'
import type { AttributedRecord, Checks, StoredBatch, Stores } from '../ports/stores.js'
import { computeChecks, type SeenOfFlow } from './checks.js'
import { allBatches } from './in-parts.js'
import { verifyLog } from './operator-log.js'
import { keyOf, nameOf } from './restate.js'
import { addRecords, takeFrom } from './totals.js'

export interface AuditParts {
  readonly stores: Stores
  readonly history: AnchorHistory
  readonly settler: Settler
  readonly receiptSecret: string
}

/** Flow keeps the roots of the newest batches only. */
const ROOTS_ASKED = 256

/** What each difference is about, and which of the design's invariants it belongs to. */
export const AUDITED: Readonly<Record<string, readonly [invariant: number, says: string]>> = {
  records_vs_totals: [
    2,
    'tokens and requests by which records, corrections included, and totals differ',
  ],
  totals_vs_entries: [2, 'newest entries that do not state the totals'],
  records_vs_entries: [2, 'entries of any batch that its records do not give, computed anew'],
  corrections_unrecorded: [3, 'corrections on Flow that nobody recorded'],
  seq_gaps: [3, 'batch numbers that are missing'],
  prev_roots: [3, 'batches that do not follow the one before'],
  roots: [3, 'batches whose entries do not hash up to their root'],
  manifests: [3, 'batches whose manifest has another hash'],
  signatures: [3, 'batches that the meter has not signed'],
  operator_log: [3, 'faults in the operators’ log'],
  charged_vs_price: [4, 'wad by which charges and prices of what is applied differ'],
  totals_vs_applied: [4, '1e-4 tokens by which totals and what Flow has applied differ'],
  charged_split: [4, 'wad by which charged is not paid, owed and written off'],
  pool: [5, 'units by which the pool is not balances and earnings'],
  anchors: [6, 'batches that Flare has otherwise, or does not have'],
  accepted_roots: [6, 'batches that Flow has accepted with another root'],
}

/**
 * Computes everything anew from the records, reads both chains, and compares. Changes nothing. Throws
 * RetryableError where a chain cannot be read.
 */
export async function audit(parts: AuditParts, signal: AbortSignal): Promise<Checks> {
  const { stores } = parts
  return {
    ...(await computeChecks(stores, await seenOfFlow(parts, signal), true)),
    records_vs_entries: await replayDifference(parts),
    ...(await headerDifferences(parts, signal)),
    operator_log: BigInt((await verifyLog(stores)).length),
    accepted_roots: await acceptedDifference(parts, signal),
  }
}

/** Of one sealed block, for everything that was ever stated. */
async function seenOfFlow(
  { stores, settler }: AuditParts,
  signal: AbortSignal,
): Promise<SeenOfFlow> {
  const height = await settler.sealedHeight(signal)
  const accountsOf = async (range: AccountRange) => [
    ...new Set((await stores.totals.all(range)).map(({ accountNumber }) => accountNumber)),
  ]
  return {
    applied: async (range) => settler.applied(await stores.totals.all(range), signal, height),
    balances: async (range) => settler.balances(await accountsOf(range), signal, height),
    conservation: await settler.conservation(signal, height),
  }
}

/** Adds up the records batch by batch, corrections where they are listed, and says each entry again. */
async function replayDifference({ stores, receiptSecret }: AuditParts): Promise<bigint> {
  const corrections = await stores.corrections.list(Number.MAX_SAFE_INTEGER)
  const totals = new Map<string, readonly UsageTotal[]>()
  let differing = 0n
  for await (const { id, manifestJson } of allBatches(stores)) {
    for (const one of corrections.filter(({ listedBy }) => listedBy === id)) {
      const before = totals.get(nameOf(one)) ?? []
      // A store that is broken is what this looks for: it must not stop at the first fault.
      if (isPart(one.taken, before)) totals.set(nameOf(one), takeFrom(before, one.taken))
      else differing += 1n
    }
    const records = await stores.records.claimedBy(id)
    const claimed = byEntry([...records, ...(await stores.corrections.movedBy(id))])
    for (const [name, records] of claimed) {
      totals.set(name, addRecords(totals.get(name) ?? [], records))
    }
    if (manifestJson === '') continue // Adopted: what was anchored is not known here.
    for (const entry of await stores.batches.entries(id)) {
      const rows = totals.get(nameOf(entry)) ?? []
      const leaves = (claimed.get(nameOf(entry)) ?? []).map((record) =>
        recordLeaf(record, record.modelId, receiptSalt(receiptSecret, record.key)),
      )
      const isSame =
        rows.length > 0 &&
        entryBytes({ ...entry, recordsRoot: recordsRoot(leaves), rows }) === entry.bytes
      if (!isSame) differing += 1n
    }
  }
  return differing
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

/** Each meter begins anew. */
function follows({ id, header }: StoredBatch, before: StoredBatch | undefined): boolean {
  if (before === undefined || eraOf(before.id) < eraOf(id))
    return header.seq === 1n && /^0x0+$/.test(header.prevRoot)
  return header.seq === before.header.seq + 1n && header.prevRoot === before.header.root
}

/**
 * A batch that only waits for its signature has none yet, and a void one may have none; an adopted one
 * had it when it was anchored.
 */
function isUnsigned(
  { id, header, signature, manifestJson, life }: StoredBatch,
  eras: readonly Era[],
  { history }: AuditParts,
): boolean {
  if (manifestJson === '') return false
  if (signature === undefined) return life.state !== 'sealed' && !isVoid(life)
  return history.signerOf(header, signature) !== eras[eraOf(id)]?.meter
}

/** Its meter was revoked first, perhaps since somebody else had its key: nothing was made of it. */
function isVoid(life: BatchLife): boolean {
  return life.state === 'superseded' && life.reason !== undefined
}

/**
 * Each batch follows the one before, is signed, and anchored just so: all but the newest, which may be
 * on its way. Of a revoked meter void ones need not be, and more may be anchored: whoever has its key can
 * do so for ever, to no effect.
 */
async function headerDifferences(
  parts: AuditParts,
  signal: AbortSignal,
): Promise<Pick<Checks, 'prev_roots' | 'signatures' | 'anchors'>> {
  const { stores } = parts
  const eras = await stores.meters.all()
  let bySeq = new Map<bigint, BatchHeader>()
  let era = -1
  const readAnchored = async (next: number) => {
    era = next
    const meter = eras[era]?.meter
    const anchored =
      meter === undefined ? [] : await parts.history.anchoredHeaders(meter, () => false, signal)
    bySeq = new Map(anchored.map((header) => [header.seq, header]))
  }
  const differing = { prev_roots: 0n, signatures: 0n, anchors: 0n }
  let before: StoredBatch | undefined
  for await (const batch of allBatches(stores)) {
    const { id, header, life } = batch
    if (eraOf(id) !== era) await readAnchored(eraOf(id))
    if (!follows(batch, before)) differing.prev_roots += 1n
    if (isUnsigned(batch, eras, parts)) differing.signatures += 1n
    const there = bySeq.get(header.seq)
    bySeq.delete(header.seq)
    const isSame = there !== undefined && isSameHeader(there, header)
    const isOnItsWay = isVoid(life) || (there === undefined && life.state === 'sealed')
    if (!isSame && !isOnItsWay) differing.anchors += 1n
    before = batch
  }
  if (era < eras.length - 1) await readAnchored(eras.length - 1)
  return { ...differing, anchors: differing.anchors + BigInt(bySeq.size) }
}

async function acceptedDifference(
  { stores, settler }: AuditParts,
  signal: AbortSignal,
): Promise<bigint> {
  let differing = 0n
  const { era } = await stores.meters.current()
  for (const { id, header } of await stores.batches.newest(ROOTS_ASKED)) {
    if (eraOf(id) < era) break // Flow dropped the roots of the meter before.
    const root = await settler.acceptedRoot(header.seq, signal)
    if (root !== undefined && root !== header.root) differing += 1n
  }
  return differing
}
