import type { LaneKeys } from '../../ports/desk.js'
import { openSigner } from '../../signers/index.js'
import { CadenceFiles } from './cadence.js'
import { FlowClient } from './client.js'
import { flowSettings, nodesOf } from './config.js'
import type { LaneKeysConfig } from './desk-config.js'
import { Errands, type ErrandsParts } from './errand.js'
import { int } from './json-cadence.js'
import { checkKey, FULL_WEIGHT } from './signing.js'

/**
 * Sees to it that the daemon's account has so many keys of the daemon's. Run again, it adds what is
 * missing and no more; the daemon may be running.
 *
 * @throws ConfigError where the first key of the settings is not the daemon's
 */
export async function ensureKeys(
  config: LaneKeysConfig,
  count: number,
  tell: ErrandsParts['tell'],
  signal: AbortSignal,
): Promise<LaneKeys> {
  const { accountAddress: address, privateKey, keyIndexes, network } = config
  const client = new FlowClient(nodesOf(config))
  const files = new CadenceFiles({ network, contractsAddress: address })
  const keyIndex = keyIndexes[0] ?? 0
  const usable = async (height?: number): Promise<readonly number[]> => {
    const keys = await client.accountKeys(address, signal, height)
    const first = keys.get(keyIndex)
    return [...keys].flatMap(([index, { publicKey, weight, isRevoked }]) => {
      const isOurs = publicKey === first?.publicKey && !isRevoked && weight >= FULL_WEIGHT
      return isOurs ? [index] : []
    })
  }
  // Before anything is sent: a key that cannot sign must not be repeated.
  const own = await client.accountKey(address, keyIndex, signal)
  const signer = openSigner(privateKey, flowSettings.privateKey.env)
  await checkKey(signer, own, `key ${keyIndex} of ${address}`, signal)

  const before = await usable()
  const missing = count - before.length
  if (missing <= 0) return { address, indexes: before, added: 0 }
  const variables = {
    address: flowSettings.accountAddress.env,
    key: flowSettings.privateKey.env,
    keyIndex: flowSettings.keyIndexes.env,
  }
  const errands = new Errands({ client, files, config: { ...config, keyIndex }, variables, tell })
  await errands.run(
    {
      what: `add ${missing} keys to ${address}`,
      transaction: 'relayer/add_keys',
      args: [int(keyIndex), int(missing)],
      isDone: async (height) => (await usable(height)).length >= count,
    },
    signal,
  )
  const after = await usable()
  return { address, indexes: after, added: after.length - before.length }
}
