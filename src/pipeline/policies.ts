import type { PolicyFollower } from '../ports/attestor.js'
import type { Clock } from '../ports/clock.js'
import type { Settler } from '../ports/settler.js'
import type { Watch } from '../ports/sightings.js'
import type { StepOutcome } from '../runtime/worker.js'

export interface PoliciesParts {
  readonly watch: Watch
  readonly follower: PolicyFollower
  readonly settler: Pick<Settler, 'lightClient'>
  readonly clock: Clock
}

/**
 * Reads signing policies and who signed them as they come, because public nodes forget both; after
 * an outage, a bounded piece of the past a step. Bringing them to Flow is `accept`'s work. Writes
 * down how far behind the light client is, since when, and what was done to it: with a whole epoch, no
 * new batch can be accepted.
 */
export async function policiesNext(
  { watch, follower, settler, clock }: PoliciesParts,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const { lastEpoch: accepted, proposal, poisonedRounds } = await settler.lightClient(signal)
  const epochs = await follower.epochs(signal)
  const before = (await watch.policies())?.behindSinceMs
  const behindSinceMs = epochs.inForce > accepted ? (before ?? clock.now()) : undefined
  await watch.savePolicies({ ...epochs, accepted, behindSinceMs, proposal, poisonedRounds })
  return (await follower.follow(accepted, signal)) ? 'advanced' : 'idle'
}
