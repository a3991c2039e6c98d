import { keccak, utf8 } from '../domain/bytes.js'
import { chunkHash, chunksOf, entryBytes } from '../domain/entry.js'
import { type AccountRange, batchId } from '../domain/ids.js'
import { merkleRoot } from '../domain/merkle.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { Era } from '../ports/meters.js'
import type { AppliedRecord, Balance, Conservation, Vault } from '../ports/settler.js'
import type { Checks, Stated, StoredBatch, Stores } from '../ports/stores.js'
import type { Plan } from '../pricing/plan.js'
import { type Billable, billableOf, priceOf } from '../pricing/price.js'
import { accountRanges } from './in-parts.js'
import { appliedBatch } from './meter-era.js'
import { planOf } from './plan-of.js'
import { nameOf } from './restate.js'

/** The batches that are recomputed each time. All others come round: see check-batches.ts. */
const BATCHES_CHECKED = 20

/** What Flow holds, of one block: asked for one range of accounts after the other. */
export interface SeenOfFlow {
  readonly applied: (range: AccountRange) => Promise<readonly AppliedRecord[]>
  readonly balances: (range: AccountRange) => Promise<readonly Balance[]>
  readonly conservation: Conservation
}

type CheckedStores = Pick<
  Stores,
  'records' | 'totals' | 'batches' | 'books' | 'corrections' | 'meters'
>

/**
 * What must always hold (design, section 8), as differences: every one of them must be 0. Money is
 * in wad or token units, the others are counts. Of batches the newest alone are looked at.
 */
export async function computeChecks(stores: CheckedStores, seen: SeenOfFlow): Promise<Checks> {
  const { conservation } = seen
  const ofTotals = await totalsDifferences(stores, seen)
  const ofBatches = await batchesDifferences(stores)
  return {
    records_vs_totals: ofTotals.records,
    totals_vs_entries: ofBatches.entries,
    seq_gaps: await seqGaps(stores),
    roots: ofBatches.roots,
    manifests: ofBatches.manifests,
    charged_vs_price: ofTotals.charged,
    totals_vs_applied: ofTotals.applied,
    corrections_unrecorded: BigInt((await stores.corrections.unrecorded()).length),
    charged_split: ofTotals.split,
    pool: magnitude(conservation.pool - conservation.vaultBalances - conservation.earnings),
  }
}

/** Everything that has an account, range by range: no more than one of them is in memory. */
async function totalsDifferences(stores: CheckedStores, seen: SeenOfFlow) {
  const sums = { records: 0n, charged: 0n, applied: 0n, split: 0n }
  const plans = await stores.books.plans()
  const eras = await stores.meters.all()
  const last = (await stores.batches.last())?.id ?? 0n
  const begun = batchId(0n, eras.length - 1)
  // The next batch states them. After a number that none of ours has, it would be in vain.
  const unstated = await stores.corrections.unstated()
  const corrected = new Set(
    unstated.filter(({ afterSeq }) => afterSeq <= last || afterSeq <= begun).map(nameOf),
  )
  for await (const range of accountRanges(stores)) {
    const totals = await stores.totals.rows(range)
    const applied = await seen.applied(range)
    const vaults = await stores.books.vaults([
      ...new Set(applied.map(({ accountNumber }) => accountNumber)),
    ])
    const plan = planFinder(vaults, plans)
    const stated = new Map((await stores.totals.all(range)).map((one) => [nameOf(one), one]))
    sums.records += usageDifference(await stores.records.claimedUsage(range), totals)
    sums.charged += chargedDifference(applied, plan)
    sums.applied += appliedDifference(applied, { eras, totals, stated, corrected, plan })
    sums.split += splitDifference(await seen.balances(range), applied)
  }
  return sums
}

type PlanFinder = (key: EntryKey) => Plan | undefined

function planFinder(vaults: readonly Vault[], plans: ReadonlyMap<string, Plan>): PlanFinder {
  const byAccount = new Map(vaults.map((vault) => [vault.account, vault]))
  return ({ accountNumber, periodStart }) =>
    planOf(byAccount.get(accountNumber), periodStart, plans)
}

async function batchesDifferences(stores: CheckedStores) {
  const sums = { entries: 0n, roots: 0n, manifests: 0n }
  // Lowered, and stated by the next batch.
  const corrected = new Set((await stores.corrections.unstated()).map(nameOf))
  for (const batch of await stores.batches.newest(BATCHES_CHECKED)) {
    if (batch.manifestJson === '') continue // Adopted: its entries are not known here.
    sums.entries += await entriesDifference(batch, corrected, stores)
    if (!(await isUnderItsRoot(batch, stores))) sums.roots += 1n
    if (!isManifestOf(batch)) sums.manifests += 1n
  }
  return sums
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
export async function entriesDifference(
  { id }: StoredBatch,
  corrected: ReadonlySet<string>,
  stores: Pick<Stores, 'batches' | 'totals'>,
): Promise<bigint> {
  let differing = 0n
  for (const entry of await stores.batches.newestIn(id)) {
    if (corrected.has(nameOf(entry))) continue
    const rows = await stores.totals.of(entry)
    const recordsRoot = `0x${entry.bytes.slice(28, 92)}`
    const bytes = entryBytes({ ...entry, recordsRoot: recordsRoot as never, rows })
    if (bytes !== entry.bytes) differing += 1n
  }
  return differing
}

async function seqGaps({ batches }: Pick<Stores, 'batches'>): Promise<bigint> {
  return (await batches.counts()).gaps
}

export function isManifestOf({ manifestJson, header }: StoredBatch): boolean {
  return keccak(utf8(manifestJson)) === header.manifest
}

/** Whether the entries hash up to it. */
export async function isUnderItsRoot(
  { id, header }: StoredBatch,
  { batches }: Pick<Stores, 'batches'>,
): Promise<boolean> {
  const entries = await batches.entries(id)
  const leaves = entries.map(({ bytes }) => keccak(bytes))
  const isWhole = entries.every(({ leaf }, i) => leaf === leaves[i]) && leaves.length > 0
  return isWhole && merkleRoot(chunksOf(leaves).map(chunkHash)) === header.root
}

/** charged(vault, period) = price(plan of that period, what is applied), to the wad. */
function chargedDifference(applied: readonly AppliedRecord[], planOf: PlanFinder): bigint {
  let difference = 0n
  for (const record of applied.filter(isKnown)) {
    // Nothing was used after all: neither minimum nor fee is due.
    if (record.billable === 0n && record.charged === 0n) continue
    const plan = planOf(record)
    // A charge that cannot be explained is a difference.
    if (plan === undefined) difference += 1n
    else difference += magnitude(priceOf(plan, record.billable as Billable) - record.charged)
  }
  return difference
}

interface Known {
  readonly totals: readonly (EntryKey & UsageTotal)[]
  readonly eras: readonly Era[]
  readonly stated: ReadonlyMap<string, Stated>
  readonly corrected: ReadonlySet<string>
  readonly plan: PlanFinder
}

/** What is applied of a (vault, period) = our total, once its newest statement is applied. 1e-4 tokens. */
function appliedDifference(applied: readonly AppliedRecord[], known: Known): bigint {
  const rows = groupByEntry(known.totals)
  let difference = 0n
  for (const record of applied) {
    // Totals that went on since are applied by a batch that is still on its way.
    const isBehind =
      appliedBatch(record, known.eras) < (known.stated.get(nameOf(record))?.statedBy ?? 0n)
    if (!isKnown(record) || isBehind || known.corrected.has(nameOf(record))) continue
    const plan = known.plan(record)
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

/** Of a (vault, period) that Flow knows nothing of, all is 0. After a correction the number alone may be. */
function isKnown({ meterEpoch, lastSeq }: AppliedRecord): boolean {
  return meterEpoch > 0 || lastSeq > 0n
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
