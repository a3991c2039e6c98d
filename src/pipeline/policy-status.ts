import type { Watch } from '../ports/sightings.js'

/** Where signing policies stand. Reward epochs of Flare. */
export interface PolicyStatus {
  /** ISO 8601: when this was seen. */
  readonly at: string
  readonly newest: number
  /** The one that signs the current round. */
  readonly inForce: number
  /** The newest that the light client on Flow has. */
  readonly accepted: number
  /** Epochs by which the light client is behind: from 1 on, new batches cannot be accepted. */
  readonly behind: number
}

/** From what was kept: no chain is asked. Undefined before the first look. */
export async function policyStatus(watch: Watch): Promise<PolicyStatus | undefined> {
  const seen = await watch.policies()
  if (seen === undefined) return undefined
  const { atMs, newest, inForce, accepted } = seen
  const behind = Math.max(0, inForce - accepted)
  return { at: new Date(atMs).toISOString(), newest, inForce, accepted, behind }
}
