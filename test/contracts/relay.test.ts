import { dataSlice } from 'ethers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Deployed, send, structOf } from '../../devnet/flare/deploy.js'
import { addressOf, type LocalChain, read, refusalOf, startLocalChain } from './local-chain.js'
import { policyFields, policyVector, type RelayItem, vectors } from './relay-vectors.js'

// Goal: our stand-in takes and refuses what Flare's own Relay does, for the same reasons.
// Method: bring a stand-in into the state that an item of the vectors names and send the item.

const NOBODY = '0x0000000000000000000000000000000000000000'
const accepted = vectors.relay.accepted.filter(isBound)
const refused = vectors.relay.refused.filter(isBound)

let local: LocalChain
let setter: string

beforeAll(async () => {
  local = await startLocalChain()
  setter = addressOf(local.accounts, 1)
})

afterAll(() => local?.stop())

function isBound(item: RelayItem): boolean {
  return item.generation === 'bound'
}

/** A Relay in a state such as `A+B, window 1` or `A then B, mirror mode`. */
async function relayIn(
  state: string,
  generation: RelayItem['generation'] = 'bound',
): Promise<Deployed> {
  const [policies = '', mode] = state.split(', ')
  const isMirror = mode === 'mirror mode'
  const config = {
    ...vectors.relayConfig,
    initialSigningPolicyHash: policyVector('A')[generation],
    ...(mode === 'window 1' && { messageFinalizationWindowInRewardEpochs: 1 }),
  }
  const contract = generation === 'bound' ? 'Relay' : 'OlderRelay'
  const relay = await local.deploy(contract, [config, isMirror ? NOBODY : setter])
  for (const name of policies.split('+').slice(1)) {
    const policy = structOf(policyFields(policyVector(name).bytes))
    await send(local.chain, setter, relay, 'setSigningPolicy', [policy])
  }
  if (policies === 'A then B') await relayTo(relay, policyOfMode1())
  return relay
}

function policyOfMode1(): RelayItem {
  const item = accepted.find(({ state }) => state === 'A, mirror mode')
  if (item === undefined) throw new Error('no policy is relayed')
  return item
}

function relayTo(relay: Deployed, item: RelayItem) {
  return local.chain.transact({ from: setter, to: relay.address, data: item.calldata })
}

describe('accepted', () => {
  test.each(accepted)('$state: $name', async (item) => {
    const relay = await relayIn(item.state)
    const { logs } = await relayTo(relay, item)

    const event = logs.map(({ topics, data }) => ({ topics, data }))
    if (item.event !== undefined) expect(event).toEqual([item.event])
    if (item.message === undefined) return
    const protocolId = Number(dataSlice(item.message, 0, 1))
    const round = Number(dataSlice(item.message, 1, 5))
    const root = dataSlice(item.message, 6)
    expect(event[0]?.topics[0]).toBe(vectors.topics.ProtocolMessageRelayed)
    expect(Number(event[0]?.topics[2])).toBe(round)
    expect(event[0]?.data.endsWith(root.slice(2))).toBe(true)
    expect(await read(local.chain, relay, 'isFinalized', [protocolId, round])).toBe(true)
    if (!item.state.endsWith('mirror mode')) {
      expect(await read(local.chain, relay, 'merkleRoots', [protocolId, round])).toBe(root)
    }
  })
})

describe('refused', () => {
  // Two items need what came before them, and are refused for another reason without it.
  const before: Record<string, string> = {
    'same message again': 'two of three, weight 50000 > 32768',
    'same round, other root': 'two of three, weight 50000 > 32768',
    'mode 1: B again': 'mode 1: B signed by indices 0 and 1 of A',
  }

  test.each(refused)('$state: $name', async (item) => {
    const relay = await relayIn(item.state)
    const earlier = accepted.find(({ name }) => name === before[item.name])
    if (earlier !== undefined) await relayTo(relay, earlier)
    const call = { from: setter, to: relay.address, data: item.calldata }
    expect(await refusalOf(local.chain, relay.abi, call)).toBe(item.revert)
  })

  test('the vectors hold as many as we think', () => {
    expect([accepted.length, refused.length]).toEqual([18, 37])
    expect(Object.keys(before).every((name) => refused.some((item) => item.name === name))).toBe(
      true,
    )
  })
})

describe('the older digests', () => {
  // What the first Relay let pass and the second does not: our stand-in is as strict as the second.
  const laxer = ['high s with flipped v', 'isSecureRandom 1 for protocol 200', 'zero root']
  const older = (items: readonly RelayItem[]) =>
    items.filter(({ generation, state }) => generation === 'legacy' && !state.includes('mirror'))
  const taken = older(vectors.relay.accepted).filter(({ name }) => !laxer.includes(name))

  test.each(taken)('$state: $name is accepted', async (item) => {
    const relay = await relayIn(item.state, 'legacy')
    const { logs } = await relayTo(relay, item)
    expect(logs.map(({ topics }) => topics[0])).toEqual([vectors.topics.ProtocolMessageRelayed])
  })

  test.each(older(vectors.relay.refused).filter(({ revert }) => revert === 'Wrong signature'))(
    '$state: $name is refused',
    async (item) => {
      const relay = await relayIn(item.state, 'legacy')
      const call = { from: setter, to: relay.address, data: item.calldata }
      expect(await refusalOf(local.chain, relay.abi, call)).toBe('WrongSignature()')
    },
  )

  test('the vectors hold as many as we think', () => expect(taken).toHaveLength(16))
})

describe('policies', () => {
  test.each(['A', 'B', 'C', 'P1', 'flare309'])('%s has the hash of the vectors', async (name) => {
    const vector = policyVector(name)
    const config = {
      ...vectors.relayConfig,
      initialRewardEpochId: vector.rewardEpochId - 1,
      initialSigningPolicyHash: policyVector('A').bound,
    }
    const relay = await local.deploy('Relay', [config, setter])
    const policy = structOf(policyFields(vector.bytes))
    const data = relay.abi.encodeFunctionData('setSigningPolicy', [policy])
    const receipt = await local.chain.transact({ from: setter, to: relay.address, data })

    const [log] = receipt.logs
    expect(log?.topics[0]).toBe(vectors.topics.SigningPolicyInitialized)
    const event = log && relay.abi.parseLog({ ...log, topics: [...log.topics] })
    expect(event?.args.signingPolicyBytes).toBe(vector.bytes)
    const epoch = vector.rewardEpochId
    expect(await read(local.chain, relay, 'toSigningPolicyHash', [epoch])).toBe(vector.bound)
    const start = await read(local.chain, relay, 'startingVotingRoundIds', [epoch])
    expect(start).toBe(BigInt(vector.startVotingRoundId))
  })

  test('nobody but the setter sets one', async () => {
    const relay = await relayIn('A')
    const policy = structOf(policyFields(policyVector('B').bytes))
    const data = relay.abi.encodeFunctionData('setSigningPolicy', [policy])
    const call = { from: addressOf(local.accounts, 2), to: relay.address, data }
    expect(await refusalOf(local.chain, relay.abi, call)).toBe('OnlySigningPolicySetter()')
  })

  test('a mirror hides policies and roots', async () => {
    const relay = await relayIn('A then B, mirror mode')
    for (const [method, args] of [
      ['merkleRoots', [200, 1_465_067]],
      ['toSigningPolicyHash', [6105]],
    ] as const) {
      const data = relay.abi.encodeFunctionData(method, args)
      const call = { from: setter, to: relay.address, data }
      expect(await refusalOf(local.chain, relay.abi, call)).toBe('OnlyOnHome()')
    }
  })

  test('a round is named by its time', async () => {
    const relay = await relayIn('A')
    const { firstVotingRoundStartTs = 0 } = vectors.relayConfig
    const first = firstVotingRoundStartTs + 1_465_067 * 90
    expect(await read(local.chain, relay, 'getVotingRoundId', [first])).toBe(1_465_067n)
    expect(await read(local.chain, relay, 'getVotingRoundId', [first - 1])).toBe(1_465_066n)
  })
})
