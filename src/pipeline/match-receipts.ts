import { readEntry } from '../domain/entry.js'
import { formatWad, type Wad } from '../domain/money.js'
import { PERIOD_KINDS, type PeriodKind, periodAt } from '../domain/period.js'
import type { BatchReceipt, Receipts, RecordReceipt } from '../domain/receipts.js'
import type { PublicDesk } from '../ports/desk.js'
import type { AppliedRecord } from '../ports/settler.js'

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
  const now = await desk.meter(provider, signal)
  const ofNow = batches.filter(({ meter }) => meter === undefined || meter.address === now)
  if (ofNow.length < batches.length) notes.push(revoked(batches.length - ofNow.length))
  const roots = await desk.roots(
    provider,
    ofNow.map(({ header }) => header.seq),
    signal,
  )
  const pruned: bigint[] = []
  for (const [i, { header }] of ofNow.entries()) {
    const root = roots[i]
    if (root === undefined) pruned.push(header.seq)
    else if (root !== header.root) problems.push(`batch ${header.seq}: Flow holds the root ${root}`)
  }
  if (pruned.length > 0) notes.push(notHeld(pruned))

  const applied = await desk.applied(provider, receipts, signal)
  const stating = batches.filter(({ entry }) => entry !== undefined)
  const newest = stating.at(-1)
  const applies = appliedOf(stating, applied)
  const { price, period } = await vaultOnFlow(receipts, applies, desk, signal)
  const late = period && batches.flatMap(({ records }) => records).find(isAfter(period, receipts))
  if (late) problems.push(`the call ${late.key.source}/${late.key.requestId} is after the period`)
  if (newest !== applies) notes.push(`batch ${newest?.header.seq} is not applied on Flow yet`)
  const charged = formatWad(applied.charged)
  if (price === undefined ? applied.charged > 0n : applied.charged > price) {
    const gives =
      price === undefined ? 'no price of it is known' : `its plan gives ${formatWad(price)}`
    const from =
      applies?.header.seq === applied.lastSeq ? '' : `, applied from batch ${applied.lastSeq}`
    problems.push(`Flow charged ${charged}${from}, and ${gives} for what these receipts state`)
  } else if (price !== undefined && applied.charged < price) {
    notes.push(
      `Flow charged ${charged}, less than ${formatWad(price)}: a correction has lowered it`,
    )
  }
  return { problems, notes, charged: applied.charged, price }
}

/** The newest that is applied, as the contract orders them: first by meter, then by number. */
function appliedOf(
  stating: readonly BatchReceipt[],
  { meterEpoch, lastSeq }: AppliedRecord,
): BatchReceipt | undefined {
  const epochOf = ({ meter }: BatchReceipt): number => meter?.epoch ?? 0
  const epoch = Math.max(...stating.map(epochOf).filter((one) => one <= meterEpoch))
  return stating.findLast(
    (batch) => epochOf(batch) < epoch || (epochOf(batch) === epoch && batch.header.seq <= lastSeq),
  )
}

function revoked(count: number): string {
  const are = count === 1 ? 'One batch is' : `${count} batches are`
  return (
    `${are} of a meter that is revoked: Flow keeps what it applied of them, and no root. ` +
    'The roots stand in the UsageBatchAnchored events on Flare for ever.'
  )
}

/** By the contract's own price function, with the vault's plan of the period. */
async function vaultOnFlow(
  { provider, accountNumber, periodStart }: Receipts,
  applies: BatchReceipt | undefined,
  desk: PublicDesk,
  signal: AbortSignal,
): Promise<{ readonly price?: Wad; readonly period?: PeriodKind }> {
  const vaults = await desk.vaults(provider, signal)
  const vault = vaults.find(({ account }) => account === accountNumber)
  if (vault === undefined) return {}
  const period = PERIOD_KINDS.find((kind) => kind === vault.period)
  const known = period === undefined ? {} : { period }
  const plan = vault.plans.filter(({ fromPeriodStart }) => fromPeriodStart <= periodStart).at(-1)
  if (applies?.entry === undefined || plan === undefined) return known
  const quote = await desk.quote(plan.planId, readEntry(applies.entry).rows, signal)
  return quote === undefined ? known : { ...known, price: quote.price }
}

/** A call counts in the period that it began in. */
function isAfter(kind: PeriodKind, { periodStart }: Receipts) {
  const { endsUntil } = periodAt(periodStart * 1000, kind)
  return ({ startedAtMs }: RecordReceipt) => startedAtMs >= endsUntil * 1000
}

function notHeld(seqs: readonly bigint[]): string {
  const which = seqs.length === 1 ? `batch ${seqs[0]}` : `batches ${seqs.join(', ')}`
  return (
    `Flow holds no root of ${which}: not accepted yet, or older than the 256 it keeps. ` +
    'The roots stand in the UsageBatchAnchored events on Flare for ever.'
  )
}
