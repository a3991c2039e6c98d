import { dataSlice, keccak256 } from 'ethers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Deployed, placeRegistry, send } from '../../devnet/flare/deploy.js'
import {
  decodeResponse,
  type EvmTransactionResponse,
  encodeResponse,
  nameBytes,
} from '../../devnet/flare/evm-transaction.js'
import { boundHash, policyBytes } from '../../devnet/flare/formats.js'
import { signedRoot } from '../../devnet/flare/rounds.js'
import { seedOf, thresholdOf, votersOf } from '../../devnet/flare/voters.js'
import { addressOf, type LocalChain, read, refusalOf, startLocalChain } from './local-chain.js'
import { formats, policyVector, vectors } from './relay-vectors.js'

let local: LocalChain
let governance: string

beforeAll(async () => {
  local = await startLocalChain()
  governance = addressOf(local.accounts, 0)
})

afterAll(() => local?.stop())

describe('FdcHub', () => {
  const { request, items } = vectors.fdcHub
  let hub: Deployed

  beforeAll(async () => {
    const fees = await local.deploy('FdcRequestFeeConfigurations')
    const args = [nameBytes('EVMTransaction'), nameBytes('testFLR'), 1000]
    await send(local.chain, governance, fees, 'setTypeAndSourceFee', args)
    hub = await local.deploy('FdcHub', [fees.address])
  })

  /** The vectors have the calldata of one item; the others differ from it as their name says. */
  function bytesOf(name: string): string {
    const after = dataSlice(request, 64)
    const head = (type: string, source: string) => nameBytes(type) + nameBytes(source).slice(2)
    if (name === 'source FLR has no fee') return head('EVMTransaction', 'FLR') + after.slice(2)
    if (name === 'type Payment has no fee') return head('Payment', 'testFLR') + after.slice(2)
    if (name === '63 bytes') return dataSlice(request, 0, 63)
    if (name === '64 bytes, no body') return dataSlice(request, 0, 64)
    return request
  }

  test.each(items)('$name', async (item) => {
    const data = hub.abi.encodeFunctionData('requestAttestation', [bytesOf(item.name)])
    if (item.calldata !== undefined) expect(data).toBe(item.calldata)
    const call = { from: governance, to: hub.address, data }
    const value = `0x${BigInt(item.value).toString(16)}`
    const refusal = await refusalOf(local.chain, hub.abi, { ...call, value })
    expect(refusal).toBe(item.accepted ? undefined : item.revert)
    if (!item.accepted) return

    const { logs } = await local.chain.transact({ ...call, value: BigInt(item.value) })
    expect(logs.map(({ topics, data }) => ({ topics, data }))).toEqual([item.event])
  })
})

describe('FdcVerification', () => {
  const { trees, refused, alsoAccepted, round } = vectors.fdcVerification
  const zeroByte = decodeResponse(formats.fdc.zeroByteInput)
  const empty = decodeResponse(formats.fdc.emptyInput)

  /** The vectors' Relay with one root in it, and the contract that asks it. */
  async function withRoot(calldata: string): Promise<{ verification: Deployed; relay: Deployed }> {
    const { chain } = local
    const registry = await placeRegistry(chain, governance, local.artifact('FlareContractRegistry'))
    const config = { ...vectors.relayConfig, initialSigningPolicyHash: policyVector('A').bound }
    return relayed(chain, registry, await local.deploy('Relay', [config, governance]), calldata)
  }

  /** The same under a policy of ours: for a root that the vectors do not sign. */
  async function withUnsignedRoot(root: string): Promise<{ verification: Deployed }> {
    const { chain } = local
    const registry = await placeRegistry(chain, governance, local.artifact('FlareContractRegistry'))
    const voters = votersOf(6104)
    const threshold = thresholdOf(voters)
    const startVotingRoundId = 1_465_000
    const policy = {
      rewardEpochId: 6104,
      startVotingRoundId,
      threshold,
      seed: seedOf(6104),
      voters,
    }
    const initialSigningPolicyHash = boundHash(vectors.chainId, policyBytes(policy))
    const config = { ...vectors.relayConfig, initialSigningPolicyHash }
    const relay = await local.deploy('Relay', [config, governance])
    return relayed(chain, registry, relay, signedRoot(policy, round, root))
  }

  async function relayed(
    chain: LocalChain['chain'],
    registry: Deployed,
    relay: Deployed,
    calldata: string,
  ): Promise<{ verification: Deployed; relay: Deployed }> {
    await send(chain, governance, registry, 'register', ['Relay', relay.address])
    await chain.transact({ from: governance, to: relay.address, data: calldata })
    return { verification: await local.deploy('FdcVerification', [registry.address]), relay }
  }

  function verify(
    verification: Deployed,
    data: EvmTransactionResponse,
    merkleProof: readonly string[],
  ): Promise<unknown> {
    return read(local.chain, verification, 'verifyEVMTransaction', [{ merkleProof, data }])
  }

  function tree(leafCount: number) {
    const found = trees.find((item) => item.leafCount === leafCount)
    if (found === undefined) throw new Error(`no tree of ${leafCount} leaves`)
    return found
  }

  test.each(trees)('takes the proofs of the tree of $leafCount leaves', async (item) => {
    const { verification } = await withRoot(item.relayCalldataBound)
    const responses: Record<string, EvmTransactionResponse> = {
      emptyInput: empty,
      zeroByteInput: zeroByte,
    }
    const results: [string, unknown][] = []
    for (const [name, { proof }] of Object.entries(item.proofs)) {
      const response = responses[name]
      results.push([name, response && (await verify(verification, response, proof))])
    }
    expect(results).toEqual(Object.keys(item.proofs).map((name) => [name, true]))
  })

  const other = (proof: readonly string[]) => [...proof.slice(1), ...proof.slice(0, 1)]
  const full = tree(5).proofs.zeroByteInput?.proof ?? []
  const cases: Record<string, [EvmTransactionResponse, readonly string[]]> = {
    'proof of the other leaf': [zeroByte, tree(5).proofs.emptyInput?.proof ?? []],
    'first proof node dropped': [zeroByte, full.slice(1)],
    'one node more': [zeroByte, [...full, tree(5).root]],
    'empty proof': [zeroByte, []],
    'order of two nodes swapped': [zeroByte, other(full)],
    'sourceId FLR': [{ ...zeroByte, sourceId: nameBytes('FLR') }, full],
    'type Payment': [{ ...zeroByte, attestationType: nameBytes('Payment') }, full],
    'votingRound 1465068 (no root)': [{ ...zeroByte, votingRound: '1465068' }, full],
    'value of last data word changed': [withLastWordChanged(zeroByte), full],
    'lowestUsedTimestamp + 1': [laterBySecond(zeroByte), full],
  }

  test.each(refused.filter(({ root }) => root === undefined))(
    'refuses: $name',
    async ({ name }) => {
      const { verification } = await withRoot(tree(5).relayCalldataBound)
      expect(await verify(verification, zeroByte, full)).toBe(true)
      const [response, proof] = cases[name] ?? []
      if (response === undefined || proof === undefined) throw new Error(`no case: ${name}`)
      expect(await verify(verification, response, proof)).toBe(false)
    },
  )

  test('looks at the type of a leaf in the tree, but not at its source', async () => {
    const [wrongType] = refused.filter(({ root }) => root !== undefined)
    const [otherSource] = alsoAccepted.filter(({ root }) => root !== undefined)
    const asPayment = { ...zeroByte, attestationType: nameBytes('Payment') }
    const asFlare = { ...zeroByte, sourceId: nameBytes('FLR') }
    expect(keccak256(encodeResponse(asPayment))).toBe(wrongType?.leaf)
    expect(keccak256(encodeResponse(asFlare))).toBe(otherSource?.leaf)

    expect(wrongType?.root).toBe(otherSource?.root)
    const { verification } = await withUnsignedRoot(wrongType?.root ?? '')
    expect(await verify(verification, asPayment, wrongType?.proof ?? [])).toBe(false)
    expect(await verify(verification, asFlare, otherSource?.proof ?? [])).toBe(true)
  })

  test('ignores what follows the response: it hashes what it has decoded', async () => {
    const { verification } = await withRoot(tree(5).relayCalldataBound)
    const args = [{ merkleProof: full, data: zeroByte }]
    const data = verification.abi.encodeFunctionData('verifyEVMTransaction', args)
    const result = await local.chain.call(verification.address, `${data}${'00'.repeat(32)}`)
    expect(BigInt(result)).toBe(1n)
  })

  test('the tree alone does not tell a node from a leaf', async () => {
    const { relay } = await withRoot(tree(5).relayCalldataBound)
    const [, last = ''] = full
    const [inner = ''] = full
    const node = foldOf(tree(5).leaves[0] ?? '', inner)
    const asks = async (leaf: string, proof: readonly string[]) =>
      read(local.chain, relay, 'verify', [200, round, leaf, proof])
    expect(await asks(tree(5).root, [])).toBe(true)
    expect(await asks(node, [last])).toBe(true)
    expect(await asks(node, [])).toBe(false)
  })

  function foldOf(a: string, b: string): string {
    return keccak256(a < b ? a + b.slice(2) : b + a.slice(2))
  }
})

function withLastWordChanged(response: EvmTransactionResponse): EvmTransactionResponse {
  const [event] = response.responseBody.events
  if (event === undefined) throw new Error('no event')
  const events = [{ ...event, data: `${event.data.slice(0, -2)}ff` }]
  return { ...response, responseBody: { ...response.responseBody, events } }
}

function laterBySecond(response: EvmTransactionResponse): EvmTransactionResponse {
  const lowestUsedTimestamp = String(BigInt(response.lowestUsedTimestamp) + 1n)
  return { ...response, lowestUsedTimestamp }
}
