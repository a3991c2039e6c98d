import type { Correction } from '../ports/corrections.js'
import type { UsageCorrected } from '../ports/settler.js'
import type { Stores } from '../ports/stores.js'
import { nameOf } from './restate.js'
import { takeFrom } from './totals.js'

/**
 * A correction is in a sealed block: the total falls by what was recorded, and by nothing else. One
 * that nobody recorded here, or that left more than was recorded, lowers nothing and is kept for the
 * operator: the total would else fall without a fact that says why.
 */
export async function applyCorrection(
  stores: Pick<Stores, 'corrections' | 'totals'>,
  event: UsageCorrected,
): Promise<void> {
  const { corrections, totals } = stores
  const recorded = (await corrections.pending()).find((one) => isMeant(one, event))
  if (recorded === undefined) return corrections.saveUnrecorded(event)
  await totals.lower(recorded, takeFrom(await totals.of(recorded), recorded.taken))
  const { height, txId, billable } = event
  await corrections.saveSealed(recorded.id, { height, txId, billable })
}

/**
 * Flow may hold less than the new total, where a batch up to `afterSeq` was still on its way: the next
 * batch states the rest. More would be refused as `regressed` by every later entry.
 */
function isMeant(recorded: Correction, event: UsageCorrected): boolean {
  const isSame = nameOf(recorded) === nameOf(event) && recorded.afterSeq === event.afterSeq
  return isSame && event.billable <= recorded.billable
}
