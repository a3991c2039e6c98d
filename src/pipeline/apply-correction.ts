import type { Correction, SeenCorrection } from '../ports/corrections.js'
import type { Era } from '../ports/meters.js'
import type { UsageCorrected } from '../ports/settler.js'
import type { Stores } from '../ports/stores.js'
import { appliedBatch } from './meter-era.js'
import { takeFrom } from './totals.js'

/**
 * Corrections are in sealed blocks: each total falls by what was recorded, and by nothing else. One
 * that nobody recorded here, or that left more than was recorded, lowers nothing and is kept for the
 * operator: the total would else fall without a fact that says why. Until it is recorded or released,
 * nothing of its (vault, period) is sealed, since that would charge again what was given back.
 *
 * @param known the store's meters, where one is about to follow; those that it has unless given
 */
export async function applyCorrections(
  stores: Pick<Stores, 'corrections' | 'totals' | 'meters'>,
  events: readonly UsageCorrected[],
  known?: readonly Era[],
): Promise<void> {
  const { corrections, totals, meters } = stores
  const eras = known ?? (await meters.all())
  for (const event of events) {
    const { meterEpoch, afterSeq } = event
    const upTo = appliedBatch({ meterEpoch, lastSeq: afterSeq }, eras)
    await corrections.saveSeen({ ...event, afterSeq: upTo })
  }
  for (const recorded of await corrections.pending()) {
    // Also one that another record was meant by: where Flow is so already, nothing is sent for this.
    const event = (await corrections.seenOf(recorded)).findLast((one) => isMeant(recorded, one))
    if (event === undefined) continue
    await totals.lower(recorded, takeFrom(await totals.of(recorded), recorded.taken))
    await corrections.saveSealed(recorded.id, event)
  }
}

/**
 * Flow may hold less than the new total, where a batch up to `afterSeq` was still on its way: the next
 * batch states the rest. More would be refused as `regressed` by every later entry. Between the
 * two no batch was sealed that could be applied since.
 */
function isMeant(recorded: Correction, seen: SeenCorrection): boolean {
  return recorded.afterSeq <= seen.afterSeq && seen.billable <= recorded.billable
}
