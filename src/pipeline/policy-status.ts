import { iso } from '../domain/instant.js'
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
  /** ISO 8601: since when it is behind. */
  readonly behindSince?: string
  /** A checkpoint that governance has proposed, and ISO 8601 from when on anybody may adopt it. */
  readonly proposal?: { readonly epoch: number; readonly adoptableAt: string }
  /** Rounds for which Flare's voters signed two roots, ascending. */
  readonly poisonedRounds?: readonly number[]
}

/** From what was kept: no chain is asked. Undefined before the first look. */
export async function policyStatus(watch: Watch): Promise<PolicyStatus | undefined> {
  const seen = await watch.policies()
  if (seen === undefined) return undefined
  const { atMs, newest, inForce, accepted, behindSinceMs, proposal, poisonedRounds = [] } = seen
  const behind = Math.max(0, inForce - accepted)
  return {
    ...{ at: iso(atMs), newest, inForce, accepted, behind },
    ...(behindSinceMs === undefined ? {} : { behindSince: iso(behindSinceMs) }),
    ...(proposal === undefined
      ? {}
      : { proposal: { ...proposal, adoptableAt: iso(proposal.adoptableAt * 1_000) } }),
    ...(poisonedRounds.length === 0 ? {} : { poisonedRounds }),
  }
}
