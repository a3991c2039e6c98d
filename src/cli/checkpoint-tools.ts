import { attestorConfig, attestorSettings, createAttestor } from '../attestors/index.js'
import { loadSettings } from '../config.js'
import { RetryableError } from '../domain/errors.js'
import { systemClock } from '../runtime/clock.js'
import { openStore } from '../store/index.js'
import type { Checkpoint } from './checkpoint.js'
import type { DeskSurroundings } from './desk-tools.js'

/**
 * With the daemon's settings of Flare, and a store that is forgotten. The attestor compares a
 * policy with its hash on chain, and checks that the policy before it signed it.
 */
export async function readCheckpoint(
  epoch: number | undefined,
  { env, folder, shutdownSignal }: DeskSurroundings,
): Promise<Checkpoint> {
  const config = loadSettings(attestorConfig, attestorSettings, env, folder)
  const store = openStore(':memory:', systemClock)
  try {
    await store.migrate()
    const signal = shutdownSignal()
    const attestor = await createAttestor(config, store)
    const rewardEpoch = epoch ?? (await attestor.epochs(signal)).inForce
    const proof = await attestor.policyProof(rewardEpoch, signal).catch(unlessNotShown)
    return {
      rewardEpoch,
      policy: proof?.policy,
      flareChainId: config.chainId,
      anchor: config.anchorAddress,
    }
  } finally {
    await store.close()
  }
}

/** Nobody shows it: said by whoever asked, who knows what can be done about it. */
function unlessNotShown(error: unknown): undefined {
  if (error instanceof RetryableError && error.code === 'policy_not_found') return undefined
  throw error
}
