import { toBeHex } from 'ethers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Deployed, placeRegistry, send, structOf } from '../../devnet/flare/deploy.js'
import { addressOf, type LocalChain, read, refusalOf, startLocalChain } from './local-chain.js'
import { policyFields, policyVector, vectors, voterAddress } from './relay-vectors.js'

const ROUND_SECONDS = 90
const ROUNDS_PER_EPOCH = 240
const A = policyFields(policyVector('A').bytes)
const B = policyFields(policyVector('B').bytes)

let local: LocalChain
let governance: string

beforeAll(async () => {
  local = await startLocalChain()
  governance = addressOf(local.accounts, 0)
})

afterAll(() => local?.stop())

/** A systems manager and its Relay under policy A, with the present in the given round. */
async function managerIn(
  round: number,
  startDelayRounds: number,
): Promise<{ manager: Deployed; relay: Deployed }> {
  const { chain } = local
  const registry = await placeRegistry(chain, governance, local.artifact('FlareContractRegistry'))
  const { timestamp } = await chain.head()
  const clock = {
    firstVotingRoundStartTs: timestamp - round * ROUND_SECONDS,
    votingEpochDurationSeconds: ROUND_SECONDS,
    rewardEpochDurationInVotingEpochs: ROUNDS_PER_EPOCH,
    startDelayRounds,
  }
  const manager = await local.deploy('FlareSystemsManager', [registry.address, clock, structOf(A)])
  const config = {
    ...vectors.relayConfig,
    initialSigningPolicyHash: policyVector('A').bound,
  }
  const relay = await local.deploy('Relay', [config, manager.address])
  await send(chain, governance, registry, 'register', ['Relay', relay.address])
  return { manager, relay }
}

async function initialiseB(manager: Deployed): Promise<void> {
  await send(local.chain, governance, manager, 'initialiseNextSigningPolicy', [
    B.voters.map(({ address }) => address),
    B.voters.map(({ weight }) => weight),
    B.seed,
  ])
}

describe('signing a new policy', () => {
  // The items build on each other, so they are one test.
  test('takes and refuses what Flare does, in the order of the vectors', async () => {
    // Five rounds of delay, and the present in the last round of A: so B starts where it has to.
    const { manager, relay } = await managerIn(B.startVotingRoundId - 6, 5)
    await initialiseB(manager)
    const hash = await read(local.chain, relay, 'toSigningPolicyHash', [B.rewardEpochId])
    expect(hash).toBe(policyVector('B').bound)

    const items = vectors.signNewSigningPolicy.items.filter((item) => item.generation === 'bound')
    expect(items).toHaveLength(7)
    for (const item of items) {
      const call = { from: addressOf(local.accounts, 3), to: manager.address, data: item.calldata }
      const refusal = await refusalOf(local.chain, manager.abi, call)
      expect([item.name, refusal]).toEqual([item.name, item.accepted ? undefined : item.revert])
      if (!item.accepted) continue

      const { logs } = await local.chain.transact(call)
      expect(logs.map(({ topics }) => topics[0])).toEqual([vectors.topics.SigningPolicySigned])
      const [log] = logs
      const event = log && manager.abi.parseLog({ ...log, topics: [...log.topics] })
      expect(event?.args.thresholdReached).toBe(item.event?.thresholdReached)
      const signer = item.name.startsWith('index 1') ? 2 : 1
      expect(event?.args.voter.toLowerCase()).toBe(voterAddress(signer))
    }
  })

  test('the hash of an epoch without a policy is no hash', async () => {
    const { manager } = await managerIn(1_465_190, 1)
    const signature = { v: 27, r: toBeHex(1, 32), s: toBeHex(1, 32) }
    const args = [6105, toBeHex(0, 32), signature]
    const data = manager.abi.encodeFunctionData('signNewSigningPolicy', args)
    const call = { from: governance, to: manager.address, data }
    const refusal = await refusalOf(local.chain, manager.abi, call)
    expect(refusal).toBe('new signing policy hash invalid')
  })
})

describe('the next policy', () => {
  test.each([
    { present: 1_465_100, start: 1_465_200n, when: 'its nominal start, when it is set early' },
    { present: 1_465_198, start: 1_465_200n, when: 'its nominal start, when it is just in time' },
    { present: 1_465_210, start: 1_465_212n, when: 'after the delay, when it is set late' },
  ])('starts at $when', async ({ present, start }) => {
    const { manager, relay } = await managerIn(present, 1)
    await initialiseB(manager)
    expect(await read(local.chain, relay, 'startingVotingRoundIds', [6105])).toBe(start)
    expect(await read(local.chain, manager, 'getStartVotingRoundId', [6105])).toBe(start)
  })

  test('has half of the weight as its threshold, rounded up', async () => {
    const { manager } = await managerIn(1_465_190, 1)
    await initialiseB(manager)
    const total = B.voters.reduce((sum, { weight }) => sum + weight, 0)
    expect(total).toBe(65_535)
    expect(await read(local.chain, manager, 'getThreshold', [6105])).toBe(32_768n)
  })

  test('begins the reward epoch', async () => {
    const { manager } = await managerIn(1_465_198, 1)
    await initialiseB(manager)
    expect(await read(local.chain, manager, 'getCurrentRewardEpochId')).toBe(6104n)
    await local.chain.rpc('evm_increaseTime', [2 * ROUND_SECONDS])
    await local.chain.rpc('evm_mine', [])
    expect(await read(local.chain, manager, 'getCurrentRewardEpochId')).toBe(6105n)
  })

  test('is set by governance alone', async () => {
    const { manager } = await managerIn(1_465_190, 1)
    const data = manager.abi.encodeFunctionData('initialiseNextSigningPolicy', [[], [], 0])
    const call = { from: addressOf(local.accounts, 4), to: manager.address, data }
    expect(await refusalOf(local.chain, manager.abi, call)).toBe('only governance')
  })
})
