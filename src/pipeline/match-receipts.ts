import { readEntry } from '../domain/entry.js'
import type { Wad } from '../domain/money.js'
import type { BatchReceipt, Receipts } from '../domain/receipts.js'
import type { PublicDesk } from '../ports/desk.js'

export interface MatchedReceipts {
  /** Where the chain says something else than the receipts. */
  readonly problems: readonly string[]
  /** What could not be compared, and why that is. */
  readonly notes: readonly string[]
  /** What the contract charged for the period, and what its own price function gives; wad. */
  readonly charged: Wad
  readonly price: Wad | undefined
}

/** Holds receipts against what Flow holds: the roots, the newest total it applied, and its price. */
export async function matchReceipts(
  receipts: Receipts,
  desk: PublicDesk,
  signal: AbortSignal,
): Promise<MatchedReceipts> {
  const { provider, batches } = receipts
  const problems: string[] = []
  const notes: string[] = []
  const roots = await desk.roots(
    provider,
    batches.map(({ header }) => header.seq),
    signal,
  )
  const pruned: bigint[] = []
  for (const [i, { header }] of batches.entries()) {
    const root = roots[i]
    if (root === undefined) pruned.push(header.seq)
    else if (root !== header.root) problems.push(`batch ${header.seq}: Flow holds the root ${root}`)
  }
  if (pruned.length > 0) notes.push(notHeld(pruned))

  const applied = await desk.applied(provider, receipts, signal)
  const newest = [...batches].reverse().find(({ entry }) => entry !== undefined)
  const { price, applies } = await priceOnFlow(receipts, applied.lastSeq, desk, signal)
  if (applied.lastSeq > 0n && applies === undefined) {
    problems.push(`Flow has applied batch ${applied.lastSeq}, which is not among the receipts`)
  }
  if (newest !== undefined && newest.header.seq > applied.lastSeq) {
    notes.push(`batch ${newest.header.seq} is not applied on Flow yet`)
  }
  if (price !== undefined && price !== applied.charged) {
    problems.push(`Flow charged ${applied.charged} wad, and its plan gives ${price}`)
  }
  return { problems, notes, charged: applied.charged, price }
}

/** By the contract's own price function, with the vault's plan of the period. */
async function priceOnFlow(
  { provider, accountNumber, periodStart, batches }: Receipts,
  lastSeq: bigint,
  desk: PublicDesk,
  signal: AbortSignal,
): Promise<{ readonly price?: Wad; readonly applies?: BatchReceipt }> {
  const applies = batches.find(({ header }) => header.seq === lastSeq)
  const vault = (await desk.vaults(provider, signal)).find(
    ({ account }) => account === accountNumber,
  )
  const plan = vault?.plans.filter(({ fromPeriodStart }) => fromPeriodStart <= periodStart).at(-1)
  if (applies === undefined) return {}
  if (applies.entry === undefined || plan === undefined) return { applies }
  const quote = await desk.quote(plan.planId, readEntry(applies.entry).rows, signal)
  return { applies, ...(quote === undefined ? {} : { price: quote.price }) }
}

function notHeld(seqs: readonly bigint[]): string {
  const which = seqs.length === 1 ? `batch ${seqs[0]}` : `batches ${seqs.join(', ')}`
  return (
    `Flow holds no root of ${which}: not accepted yet, or older than the 256 it keeps. ` +
    'The roots stand in the UsageBatchAnchored events on Flare for ever.'
  )
}
