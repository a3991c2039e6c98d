import type { PolicyFollower } from '../ports/attestor.js'
import type { Settler } from '../ports/settler.js'
import type { Watch } from '../ports/sightings.js'
import type { StepOutcome } from '../runtime/worker.js'

export interface PoliciesParts {
  readonly watch: Watch
  readonly follower: PolicyFollower
  readonly settler: Settler
}

/**
 * Reads signing policies and who signed them as they come, because public nodes forget both; after
 * an outage, a bounded piece of the past a step. Bringing them to Flow is `accept`'s work. Writes
 * down how far behind the light client is: with a whole epoch, no new batch can be accepted.
 */
export async function policiesNext(
  { watch, follower, settler }: PoliciesParts,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const accepted = await settler.lastPolicyEpoch(signal)
  await watch.savePolicies({ ...(await follower.epochs(signal)), accepted })
  return (await follower.follow(accepted, signal)) ? 'advanced' : 'idle'
}
