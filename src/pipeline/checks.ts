import { chunkHash, chunksOf, entryBytes } from '../domain/entry.js'
import { merkleRoot } from '../domain/merkle.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { AppliedRecord, Conservation } from '../ports/settler.js'
import type { Checks, Stores } from '../ports/stores.js'
import { type Billable, billableOf, priceOf } from '../pricing/price.js'
import { planOf } from './plan-of.js'
import { nameOf } from './restate.js'

/** The batches that are recomputed each time. `flowmeter audit` recomputes all. */
const BATCHES_CHECKED = 20

/**
 * What must always hold (design, section 8), as differences: every one of them must be 0. Money is
 * in wad or token units, the others are counts.
 */
export async function computeChecks(
  stores: Pick<Stores, 'records' | 'totals' | 'batches' | 'books' | 'corrections'>,
  conservation: Conservation,
): Promise<Checks> {
  const totals = await stores.totals.rows()
  const applied = await stores.books.applied()
  return {
    records_vs_totals: usageDifference(await stores.records.claimedUsage(), totals),
    totals_vs_entries: await entriesDifference(stores, totals),
    seq_gaps: await seqGaps(stores),
    roots: await rootsDifference(stores),
    charged_vs_price: await chargedDifference(stores, applied),
    totals_vs_applied: await appliedDifference(stores, totals, applied),
    corrections_unrecorded: BigInt((await stores.corrections.unrecorded()).length),
    charged_split: await splitDifference(stores, applied),
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
  stores: Pick<Stores, 'totals' | 'batches'>,
  totals: readonly (EntryKey & UsageTotal)[],
): Promise<bigint> {
  const rows = groupByEntry(totals)
  const newest = (await stores.batches.newest(BATCHES_CHECKED)).map(({ header }) => header.seq)
  const stated = new Map((await stores.totals.all()).map((one) => [nameOf(one), one.statedBy]))
  let differing = 0n
  for (const seq of newest) {
    for (const entry of await stores.batches.entries(seq)) {
      if (stated.get(nameOf(entry)) !== seq) continue
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

async function rootsDifference({ batches }: Pick<Stores, 'batches'>): Promise<bigint> {
  let differing = 0n
  for (const { header, manifestJson } of await batches.newest(BATCHES_CHECKED)) {
    if (manifestJson === '') continue // Adopted: its entries are not known here.
    const leaves = (await batches.entries(header.seq)).map(({ leaf }) => leaf)
    const isUnder = leaves.length > 0 && merkleRoot(chunksOf(leaves).map(chunkHash)) === header.root
    if (!isUnder) differing += 1n
  }
  return differing
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
    // Corrected before anything was applied: minimum and fee are due with the first entry.
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
  stores: Pick<Stores, 'totals' | 'books' | 'corrections'>,
  totals: readonly (EntryKey & UsageTotal)[],
  applied: readonly AppliedRecord[],
): Promise<bigint> {
  const rows = groupByEntry(totals)
  const plans = await stores.books.plans()
  const vaults = new Map((await stores.books.vaults()).map((vault) => [vault.account, vault]))
  const stated = new Map((await stores.totals.all()).map((one) => [nameOf(one), one.statedBy]))
  const corrected = new Set((await stores.corrections.unstated()).map(nameOf))
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
async function splitDifference(
  stores: Pick<Stores, 'books'>,
  applied: readonly AppliedRecord[],
): Promise<bigint> {
  let difference = 0n
  const periods = new Map<bigint, bigint>()
  for (const { accountNumber, charged } of applied) {
    periods.set(accountNumber, (periods.get(accountNumber) ?? 0n) + charged)
  }
  for (const { account, charged, paid, owed, writtenOff } of await stores.books.balances()) {
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
