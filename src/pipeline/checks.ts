import { keccak, utf8 } from '../domain/bytes.js'
import { chunkHash, chunksOf, entryBytes } from '../domain/entry.js'
import { merkleRoot } from '../domain/merkle.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { AppliedRecord, Balance, Conservation } from '../ports/settler.js'
import type { Checks, StoredBatch, Stores } from '../ports/stores.js'
import { type Billable, billableOf, priceOf } from '../pricing/price.js'
import { planOf } from './plan-of.js'
import { nameOf } from './restate.js'

/** The batches that are recomputed each time. `flowmeter audit` recomputes all. */
const BATCHES_CHECKED = 20

/** What Flow holds, of one block. */
export interface SeenOfFlow {
  readonly applied: readonly AppliedRecord[]
  readonly balances: readonly Balance[]
  readonly conservation: Conservation
}

/**
 * What must always hold (design, section 8), as differences: every one of them must be 0. Money is
 * in wad or token units, the others are counts.
 *
 * @param isWhole all batches are looked at, not the newest alone
 */
export async function computeChecks(
  stores: Pick<Stores, 'records' | 'totals' | 'batches' | 'books' | 'corrections'>,
  { applied, balances, conservation }: SeenOfFlow,
  isWhole = false,
): Promise<Checks> {
  const totals = await stores.totals.rows()
  const batches = isWhole
    ? await stores.batches.all()
    : await stores.batches.newest(BATCHES_CHECKED)
  return {
    records_vs_totals: usageDifference(await stores.records.claimedUsage(), totals),
    totals_vs_entries: await entriesDifference(stores, batches, totals),
    seq_gaps: await seqGaps(stores),
    roots: await rootsDifference(stores, batches),
    manifests: BigInt(batches.filter(isManifestWrong).length),
    charged_vs_price: await chargedDifference(stores, applied),
    totals_vs_applied: await appliedDifference(stores, totals, applied),
    corrections_unrecorded: BigInt((await stores.corrections.unrecorded()).length),
    charged_split: splitDifference(balances, applied),
    pool: magnitude(conservation.pool - conservation.vaultBalances - conservation.earnings),
  }
}

/** Tokens and requests by which two sets of counters differ. */
function usageDifference(
  claimed: readonly (EntryKey & UsageTotal)[],
  totals: readonly (EntryKey & UsageTotal)[],
): bigint {
  const sums = new Map<string, bigint>()
  const add = (rows: readonly (EntryKey & UsageTotal)[], sign: bigint): void => {
    for (const row of rows) {
      for (const field of [
        'promptTokens',
        'cachedPromptTokens',
        'completionTokens',
        'requests',
      ] as const) {
        const name = `${nameOf(row)}/${row.modelId}/${field}`
        sums.set(name, (sums.get(name) ?? 0n) + sign * row[field])
      }
    }
  }
  add(claimed, 1n)
  add(totals, -1n)
  return [...sums.values()].reduce((sum, one) => sum + magnitude(one), 0n)
}

/** Entries whose newest statement is not what the totals say. */
async function entriesDifference(
  stores: Pick<Stores, 'totals' | 'batches' | 'corrections'>,
  batches: readonly StoredBatch[],
  totals: readonly (EntryKey & UsageTotal)[],
): Promise<bigint> {
  const rows = groupByEntry(totals)
  const stated = new Map((await stores.totals.all()).map((one) => [nameOf(one), one.statedBy]))
  // Lowered, and stated by the next batch.
  const corrected = new Set((await stores.corrections.unstated()).map(nameOf))
  let differing = 0n
  for (const { header, manifestJson } of batches) {
    if (manifestJson === '') continue // Another batch was anchored in its place.
    for (const entry of await stores.batches.entries(header.seq)) {
      if (stated.get(nameOf(entry)) !== header.seq || corrected.has(nameOf(entry))) continue
      const ours = (rows.get(nameOf(entry)) ?? []).sort((a, b) => a.modelId - b.modelId)
      const recordsRoot = `0x${entry.bytes.slice(28, 92)}`
      const bytes = entryBytes({ ...entry, recordsRoot: recordsRoot as never, rows: ours })
      if (bytes !== entry.bytes) differing += 1n
    }
  }
  return differing
}

async function seqGaps({ batches }: Pick<Stores, 'batches'>): Promise<bigint> {
  const last = await batches.last()
  const counts = await batches.counts()
  const held = Object.values(counts.states).reduce((sum, count) => sum + count, 0)
  return (last?.header.seq ?? 0n) - BigInt(held)
}

/** Batches whose entries do not hash up to their root. */
async function rootsDifference(
  stores: Pick<Stores, 'batches'>,
  batches: readonly StoredBatch[],
): Promise<bigint> {
  let differing = 0n
  for (const { header, manifestJson } of batches) {
    if (manifestJson === '') continue // Adopted: its entries are not known here.
    const entries = await stores.batches.entries(header.seq)
    const leaves = entries.map(({ bytes }) => keccak(bytes))
    const isWhole = entries.every(({ leaf }, i) => leaf === leaves[i]) && leaves.length > 0
    const isUnder = isWhole && merkleRoot(chunksOf(leaves).map(chunkHash)) === header.root
    if (!isUnder) differing += 1n
  }
  return differing
}

function isManifestWrong({ header, manifestJson }: StoredBatch): boolean {
  return manifestJson !== '' && keccak(utf8(manifestJson)) !== header.manifest
}

/** charged(vault, period) = price(plan of that period, what is applied), to the wad. */
async function chargedDifference(
  { books }: Pick<Stores, 'books'>,
  applied: readonly AppliedRecord[],
): Promise<bigint> {
  const plans = await books.plans()
  const vaults = new Map((await books.vaults()).map((vault) => [vault.account, vault]))
  let difference = 0n
  for (const record of applied.filter(({ lastSeq }) => lastSeq > 0n)) {
    // Nothing was used after all: neither minimum nor fee is due.
    if (record.billable === 0n && record.charged === 0n) continue
    const plan = planOf(vaults.get(record.accountNumber), record.periodStart, plans)
    // A charge that cannot be explained is a difference.
    if (plan === undefined) difference += 1n
    else difference += magnitude(priceOf(plan, record.billable as Billable) - record.charged)
  }
  return difference
}

/** What is applied of a (vault, period) = our total, once its newest statement is applied. 1e-4 tokens. */
async function appliedDifference(
  stores: Pick<Stores, 'totals' | 'books' | 'corrections' | 'batches'>,
  totals: readonly (EntryKey & UsageTotal)[],
  applied: readonly AppliedRecord[],
): Promise<bigint> {
  const rows = groupByEntry(totals)
  const plans = await stores.books.plans()
  const vaults = new Map((await stores.books.vaults()).map((vault) => [vault.account, vault]))
  const stated = new Map((await stores.totals.all()).map((one) => [nameOf(one), one.statedBy]))
  const last = (await stores.batches.last())?.header.seq ?? 0n
  // The next batch states them. After a number that none of ours has, it would be in vain.
  const unstated = await stores.corrections.unstated()
  const corrected = new Set(unstated.filter(({ afterSeq }) => afterSeq <= last).map(nameOf))
  let difference = 0n
  for (const record of applied) {
    // Totals that went on since are applied by a batch that is still on its way.
    const isBehind = record.lastSeq < (stated.get(nameOf(record)) ?? 0n)
    if (record.lastSeq === 0n || isBehind || corrected.has(nameOf(record))) continue
    const plan = planOf(vaults.get(record.accountNumber), record.periodStart, plans)
    if (plan === undefined) continue // It is a difference of `charged_vs_price` already.
    difference += magnitude(billableOf(plan, rows.get(nameOf(record)) ?? []) - record.billable)
  }
  return difference
}

/** charged = paid + owed + writtenOff for every vault, and charged = the sum of its periods. */
function splitDifference(balances: readonly Balance[], applied: readonly AppliedRecord[]): bigint {
  let difference = 0n
  const periods = new Map<bigint, bigint>()
  for (const { accountNumber, charged } of applied) {
    periods.set(accountNumber, (periods.get(accountNumber) ?? 0n) + charged)
  }
  for (const { account, charged, paid, owed, writtenOff } of balances) {
    difference += magnitude(charged - paid - owed - writtenOff)
    difference += magnitude(charged - (periods.get(account) ?? 0n))
  }
  return difference
}

function groupByEntry(
  totals: readonly (EntryKey & UsageTotal)[],
): Map<string, (EntryKey & UsageTotal)[]> {
  const groups = new Map<string, (EntryKey & UsageTotal)[]>()
  for (const row of totals) {
    const group = groups.get(nameOf(row)) ?? []
    group.push(row)
    groups.set(nameOf(row), group)
  }
  return groups
}

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value
}
