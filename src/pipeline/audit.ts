import type { AccountRange } from '../domain/ids.js'
import type { AnchorHistory, Attestor } from '../ports/attestor.js'
import type { Settler } from '../ports/settler.js'
import type { Checks, Store } from '../ports/stores.js'
import { anchorsCourse, type CheckAnchorsParts, searchOf } from './check-anchors.js'
import { batchesCourse } from './check-batches.js'
import { rootsCourse } from './check-roots.js'
import { computeChecks, type SeenOfFlow } from './checks.js'
import { type Course, runLap } from './laps.js'

export interface AuditParts {
  readonly store: Store
  readonly history: Pick<Attestor, 'meterState'> & AnchorHistory
  readonly settler: Settler
  readonly receiptSecret: string
}

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

/** Every check that goes over all batches, as the daemon makes them all the time and `audit` at once. */
export function coursesOf(
  parts: AuditParts & Pick<CheckAnchorsParts, 'search'>,
): readonly Course[] {
  return [batchesCourse(parts), anchorsCourse(parts), rootsCourse(parts)]
}

/**
 * Computes everything anew from the records, reads both chains, and compares. Changes nothing. Throws
 * RetryableError where a chain cannot be read.
 */
export async function audit(parts: AuditParts, signal: AbortSignal): Promise<Checks> {
  const seen = await seenOfFlow(parts, signal)
  let checks = await computeChecks(parts.store, seen)
  for (const course of coursesOf({ ...parts, search: searchOf(parts) })) {
    checks = { ...checks, ...(await runLap(course, signal)).found }
  }
  return checks
}

/** Of one sealed block, for everything that was ever stated. */
async function seenOfFlow(
  { store, settler }: AuditParts,
  signal: AbortSignal,
): Promise<SeenOfFlow> {
  const height = await settler.sealedHeight(signal)
  const accountsOf = async (range: AccountRange) => [
    ...new Set((await store.totals.all(range)).map(({ accountNumber }) => accountNumber)),
  ]
  return {
    applied: async (range) => settler.applied(await store.totals.all(range), signal, height),
    balances: async (range) => settler.balances(await accountsOf(range), signal, height),
    conservation: await settler.conservation(signal, height),
  }
}
