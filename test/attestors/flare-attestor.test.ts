import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { computeAddress, hashMessage } from 'ethers'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startRpcProxy } from '../../devnet/faults.js'
import { Chain } from '../../devnet/flare/chain.js'
import { boundHash, messageBytes } from '../../devnet/flare/formats.js'
import { type LocalFlare, startFlare } from '../../devnet/flare/index.js'
import { freePorts } from '../../devnet/ports.js'
import { FlareAttestor } from '../../src/attestors/flare/attestor.js'
import { type FlareConfig, flareConfig } from '../../src/attestors/flare/config.js'
import { asTopic, interfaces, topicOf } from '../../src/attestors/flare/contracts.js'
import type { EvmCall } from '../../src/attestors/flare/lane.js'
import { anchorEvent, responseBytes } from '../../src/attestors/flare/request.js'
import { readPolicy, relayCallsIn } from '../../src/attestors/flare/signing-policy.js'
import { attestorDoctor } from '../../src/attestors/index.js'
import type { BatchHeader } from '../../src/domain/batch.js'
import { fromHex, type Hex, keccak, u64, ZERO_HASH } from '../../src/domain/bytes.js'
import { batchId, batchSeq, purpose } from '../../src/domain/ids.js'
import { rootFromPath } from '../../src/domain/merkle.js'
import type { PolicySignature } from '../../src/domain/proof.js'
import type { Store } from '../../src/ports/stores.js'
import { systemClock } from '../../src/runtime/clock.js'
import { type AttestorWorld, attestorContract } from '../ports/attestor-contract.js'
import { PATIENTLY } from '../support/patience.js'
import { StoreFile } from '../support/store-file.js'
import { evmKeyOf, meterKeyOf } from '../support/test-keys.js'

const FDC = 200
const RELAYED = topicOf(interfaces.relay, 'ProtocolMessageRelayed')
let dir: string
let flare: LocalFlare
let config: FlareConfig
let store: Store
const storeFile = new StoreFile(systemClock)

/** Judged with other code than the attestor's: the local network's formats, and noble's curve. */
function checkSignatures(
  signatures: readonly PolicySignature[],
  pre: string,
  policyBytes: Hex,
): void {
  const policy = readPolicy(policyBytes)
  if (policy === undefined) throw new Error('not a policy')
  const digest = fromHex(hashMessage(fromHex(pre as Hex)) as Hex)
  let weight = 0
  let lastIndex = -1
  for (const { index, publicKey, signature } of signatures) {
    expect(index).toBeGreaterThan(lastIndex)
    lastIndex = index
    const key = fromHex(`0x04${publicKey.slice(2)}`)
    const voter = policy.voters[index]
    expect(computeAddress(`0x04${publicKey.slice(2)}`).toLowerCase()).toBe(voter?.address)
    const options = { prehash: false, lowS: true }
    expect(secp256k1.verify(fromHex(signature), digest, key, options)).toBe(true)
    weight += voter?.weight ?? 0
  }
  expect(weight).toBeGreaterThan(policy.threshold)
}

async function startWorld(): Promise<AttestorWorld> {
  dir = mkdtempSync(join(tmpdir(), 'flowmeter-attestor-'))
  flare = await startFlare({ dir })
  store = await storeFile.open()
  const [gas, stranger] = flare.accounts
  if (gas === undefined || stranger === undefined) throw new Error('too few accounts')
  const [closedPort] = await freePorts(1)
  config = flareConfig.parse({
    rpcUrls: flare.rpcUrl,
    daUrl: flare.daUrl,
    verifierUrl: flare.verifierUrl,
    apiKey: flare.verifierKey,
    anchorAddress: flare.anchorAddress,
    gasKey: gas.privateKey,
    meterKey: `0x${'07'.repeat(32)}`,
    daRequestsPerMinute: 100_000,
    missedAfterRounds: 10_000,
    requestTimeoutMs: 60_000,
  })
  const attestor = new FlareAttestor(config, store, evmKeyOf(config.gasKey))
  const nowhere = `http://127.0.0.1:${closedPort}`
  const chain = new Chain(flare.rpcUrl, new AbortController().signal)
  let meters = 0
  return {
    attestor,
    impatient: attestorOf({ missedAfterRounds: 2 }),
    cutOff: new FlareAttestor(
      { ...config, rpcUrls: [nowhere], daUrl: nowhere },
      store,
      evmKeyOf(config.gasKey),
    ),
    newMeter() {
      meters += 1
      const meterKey = keccak(u64(meters))
      return meterKeyOf({ ...config, meterKey, signerFile: join(dir, `${meters}.json`) })
    },
    checkpoint: {
      rewardEpoch: flare.checkpoint.rewardEpochId,
      policy: flare.checkpoint.policyBytes.toLowerCase() as Hex,
    },
    dropNextRequest: () => void flare.faults.add({ kind: 'droppedRequest' }),
    failNextRound: () => void flare.faults.add({ kind: 'missedRound' }),
    delayNextProofs: (delayMs) => void flare.faults.add({ kind: 'lateProofs', delayMs }),
    answerNext(...answers) {
      flare.faults.clear()
      for (const [status, body] of answers) {
        flare.faults.add({ kind: 'answer', server: 'da', status, body })
      }
    },
    async sendAsStranger({ body }) {
      const { to, data, value } = body as EvmCall
      await chain.transact({ from: stranger.address, to, data, value })
    },
    checkProof({ header, meter, attested, path, rootProof }, policy) {
      const { anchorAddress } = attestor.identity
      const event = anchorEvent(anchorAddress, meter, header, attested.logIndex)
      const leaf = keccak(responseBytes(attested, event, 'testFLR'))
      expect(rootFromPath(leaf, path)).toBe(rootProof.root)
      const votingRoundId = rootProof.round
      const message = { protocolId: FDC, votingRoundId, isSecureRandom: false }
      const bytes = messageBytes({ ...message, merkleRoot: rootProof.root })
      checkSignatures(rootProof.signatures, boundHash(flare.chainId, bytes), policy)
    },
    checkPolicy({ policy, signatures }, previousPolicy) {
      checkSignatures(signatures, boundHash(flare.chainId, policy), previousPolicy)
    },
    async end() {
      await flare.stop()
      await storeFile.remove()
      rmSync(dir, { recursive: true })
    },
  }
}

describe('on the local Flare', () => {
  attestorContract(startWorld)

  // Goal: a stranger who hides the signatures stops nothing. Method: the root is relayed through a
  // contract that inverts its input.
  test('proves a batch though the relayer encoded the signatures', async () => {
    const { signal } = new AbortController()
    const { meter, header } = await anchorFirst('0c')
    const attestor = attestorOf({})
    const anchor = await attestor.findAnchor(meter, header, signal)
    if (anchor === undefined) throw new Error('not anchored')
    onTestFinished(flare.faults.add({ kind: 'encodedRelay', times: Number.POSITIVE_INFINITY }))
    const call = await attestor.requestCall(anchor, signal)
    const tx = await attestor.lane.sign(call, signal)
    await attestor.lane.send(tx, signal)
    const round = await vi.waitUntil(() => attestor.findRequest(anchor, [], signal), PATIENTLY)
    const answer = await vi.waitUntil(async () => {
      const now = await attestor.fetchProof(meter, header, anchor, round, signal)
      return now.outcome === 'pending' ? undefined : now
    }, PATIENTLY)
    if (answer.outcome !== 'proven') throw new Error(`expected a proof, got ${answer.outcome}`)
    const { rootProof } = answer.proof
    const relayed = await relayedInput(round)
    expect(relayed.to).not.toBe(relayed.relay)
    expect(relayCallsIn(relayed.input)).toEqual([])
    const head = { protocolId: FDC, votingRoundId: round, isSecureRandom: false }
    const bytes = messageBytes({ ...head, merkleRoot: rootProof.root })
    const policy = await attestor.policyBytes(rootProof.rewardEpoch, signal)
    checkSignatures(rootProof.signatures, boundHash(flare.chainId, bytes), policy ?? '0x')
  })

  test('the doctor finds everything well', async () => {
    const findings = await attestorDoctor(config, new AbortController().signal)
    expect(findings.map(({ check, verdict }) => [check, verdict])).toEqual([
      [`flare rpc ${new URL(flare.rpcUrl).host}`, 'ok'],
      ['flare meter key', 'ok'],
      ['flare gas key', 'ok'],
      ['flare gas wallet', 'ok'],
      ['flare contracts', 'ok'],
      ['flare anchor', 'ok'],
      ['flare fees', 'ok'],
      ['flare clock', 'ok'],
      ['flare da layer', 'ok'],
      ['flare verifier', 'ok'],
    ])
  })

  test('the doctor names what is wrong, and a fix', async () => {
    const [port] = await freePorts(1)
    const broken: FlareConfig = {
      ...config,
      rpcUrls: [`http://127.0.0.1:${port}`, ...config.rpcUrls],
      anchorAddress: `0x${'11'.repeat(20)}`,
      gasKey: `0x${'05'.repeat(32)}`,
      daUrl: `http://127.0.0.1:${port}`,
      apiKey: 'not-the-key',
    }
    const findings = await attestorDoctor(broken, new AbortController().signal)
    const bad = findings.filter(({ verdict }) => verdict === 'broken')
    expect(bad.map(({ check }) => check)).toEqual([
      `flare rpc 127.0.0.1:${port}`,
      'flare gas wallet',
      'flare anchor',
      'flare da layer',
      'flare verifier',
    ])
    for (const { fix } of bad) expect(fix).toBeTruthy()
    expect(JSON.stringify(findings)).not.toContain('not-the-key')
  })

  // Goal: one broken thing has one fix. Without a node, "send FLR" would be advice that mends nothing.
  test('without a node, the doctor says nothing of what it cannot see', async () => {
    const [port] = await freePorts(1)
    const alone: FlareConfig = { ...config, rpcUrls: [`http://127.0.0.1:${port}`] }
    const findings = await attestorDoctor(alone, new AbortController().signal)
    expect(findings.map(({ check, verdict }) => [check, verdict])).toEqual([
      [`flare rpc 127.0.0.1:${port}`, 'broken'],
      ['flare meter key', 'ok'],
      ['flare gas key', 'ok'],
      ['flare da layer', 'ok'],
      ['flare verifier', 'ok'],
    ])
    expect(findings[0]?.fix).toContain('cannot be seen without a node')
  })

  // Goal: a client that was away for some epochs catches up. Method: nothing is waited for.
  test('proves all policies of the past at once', async () => {
    const attestor = new FlareAttestor(config, store, evmKeyOf(config.gasKey))
    const { signal } = new AbortController()
    let previous = flare.checkpoint.policyBytes as Hex
    const { rewardEpochId } = flare.checkpoint
    const { rewardEpochId: last } = flare.lastPolicy()
    expect(last).toBeGreaterThan(rewardEpochId + 1)
    for (let epoch = rewardEpochId + 1; epoch < last; epoch += 1) {
      const proof = await attestor.policyProof(epoch, signal)
      if (proof === undefined) throw new Error(`no proof of policy ${epoch}`)
      checkSignatures(proof.signatures, boundHash(flare.chainId, proof.policy), previous)
      previous = proof.policy
    }
  })

  test('shows the bytes of every policy, also of the first, which no event shows', async () => {
    const { rewardEpochId, policyBytes } = flare.checkpoint
    const { signal } = new AbortController()
    const first = await new FlareAttestor(config, store, evmKeyOf(config.gasKey)).policyBytes(
      rewardEpochId,
      signal,
    )
    expect(first).toBe(policyBytes)
    const second = await new FlareAttestor(config, store, evmKeyOf(config.gasKey)).policyBytes(
      rewardEpochId + 1,
      signal,
    )
    expect(readPolicy(second ?? '0x')?.rewardEpoch).toBe(rewardEpochId + 1)
    const none = new FlareAttestor(config, store, evmKeyOf(config.gasKey)).policyBytes(
      rewardEpochId - 1,
      signal,
    )
    expect(await none).toBeUndefined()
    await expect(
      new FlareAttestor(config, store, evmKeyOf(config.gasKey)).policyProof(rewardEpochId, signal),
    ).rejects.toMatchObject({
      code: 'policy_not_found',
    })
  })

  // The local network asks 1000 wei, as Coston2 does.
  test('asks for no attestation above the fee budget of the day', async () => {
    const { signal } = new AbortController()
    const { meter, header } = await anchorFirst('0d')
    const attestor = attestorOf({ dailyFeeBudgetFlr: 1_999n })
    const anchor = await attestor.findAnchor(meter, header, signal)
    if (anchor === undefined) throw new Error('not anchored')
    const call = await attestor.requestCall(anchor, signal)
    expect(call.body).toMatchObject({ value: 1_000n })
    await attestor.requestCall(anchor, signal) // Only what is signed and saved is spent.
    const tx = await attestor.lane.sign(call, signal)
    await store.outbox.save(purpose.request(batchId(header.seq), 0), attestor.lane.name, tx)
    const [saved] = await store.outbox.newest(1)
    if (saved === undefined) throw new Error('nothing was saved')
    const spent = { code: 'fee_budget_spent' }
    await expect(attestor.requestCall(anchor, signal)).rejects.toMatchObject(spent)
    // Nor does a restart forget it; a request that was refused gives its fee back.
    const restarted = new FlareAttestor(
      { ...config, dailyFeeBudgetFlr: 1_999n },
      store,
      evmKeyOf(config.gasKey),
    )
    await expect(restarted.requestCall(anchor, signal)).rejects.toMatchObject(spent)
    await store.outbox.close(saved, 'refused')
    await expect(restarted.requestCall(anchor, signal)).resolves.toBeDefined()
  })

  // Goal: what ends the daemon does not hang on one node's word. Method: the node that is asked first
  // lies, with an honest one beside it and without.
  test('takes no lie of one node about its meter or its chain for the end', async () => {
    const { signal } = new AbortController()
    const { meter, header } = await anchorFirst('1a')
    const anchor = await attestorOf({}).findAnchor(meter, header, signal)
    if (anchor === undefined) throw new Error('not anchored')
    const sightOf = (attestor: FlareAttestor) =>
      attestor.sight(meter, header, anchor.blockNumber, signal)
    const liar = await startRpcProxy(flare.rpcUrl)
    try {
      const both = () => attestorOf({ rpcUrls: [liar.url, flare.rpcUrl] })
      const alone = () => attestorOf({ rpcUrls: [liar.url] })
      const disagree = { name: 'RetryableError', code: 'nodes_disagree' }
      const another = { name: 'ConfigError', code: 'another_root_anchored' }
      for (const where of ['state', 'events'] as const) {
        liar.misbehave({ kind: 'otherAnchors', where })
        const found = both().findAnchor(meter, header, signal)
        if (where === 'state') await expect(found).rejects.toMatchObject(disagree)
        else expect(await found).toBeDefined()
        await expect(alone().findAnchor(meter, header, signal)).rejects.toMatchObject(another)
        expect(await sightOf(both())).toBe('there')
        if (where === 'events') expect(await sightOf(alone())).toBe('other')
      }
      liar.misbehave({ kind: 'otherAnchors', where: 'state' })
      const seen = both().meterState(meter, signal, 'two_nodes')
      await expect(seen).rejects.toMatchObject(disagree)
      liar.misbehave({ kind: 'otherChain' })
      expect(await both().findAnchor(meter, header, signal)).toBeDefined()
      const wrong = { name: 'ConfigError', code: 'wrong_chain' }
      await expect(alone().findAnchor(meter, header, signal)).rejects.toMatchObject(wrong)
      liar.misbehave(undefined)
      const state = { lastSeq: header.seq, lastRoot: header.root }
      expect(await both().meterState(meter, signal, 'two_nodes')).toEqual(state)
    } finally {
      await liar.stop()
    }
  })

  // Goal: what landed is not paid for again because logs are not shown. Method: a look at no block.
  test('knows what became of its anchor and request, where no node shows events or one lied', async () => {
    const { signal } = new AbortController()
    const { meter, header } = await anchorFirst('0e')
    const attestor = attestorOf({})
    const anchor = await attestor.findAnchor(meter, header, signal)
    if (anchor === undefined) throw new Error('not anchored')
    const own = await attestor.lane.sign(await attestor.requestCall(anchor, signal), signal)
    const blind = attestorOf({ logSearchBlocks: -1 })
    expect(await blind.findRequest(anchor, [], signal, own)).toBeUndefined() // Not sent yet.
    await attestor.lane.send(own, signal)
    const round = await vi.waitUntil(() => attestor.findRequest(anchor, [], signal), PATIENTLY)
    expect(await blind.findRequest(anchor, [], signal)).toBeUndefined()
    expect(await blind.findRequest(anchor, [], signal, own)).toBe(round)
    expect(await blind.findRequest(anchor, [round], signal, own)).toBeUndefined()
    // After days the anchor is further back than is searched, and still where it was.
    const far = { code: 'anchor_event_not_found' }
    await expect(blind.findAnchor(meter, header, signal)).rejects.toMatchObject(far)
    expect(await blind.findAnchor(meter, header, signal, anchor)).toEqual(anchor)
    expect(await blind.sight(meter, header, anchor.blockNumber, signal)).toBe('there')
    // A node that has not come to a block says nothing of it: neither that it is empty, nor otherwise.
    const ahead = blind.sight(meter, header, anchor.blockNumber + 1_000_000, signal)
    await expect(ahead).rejects.toMatchObject({
      code: expect.stringMatching(/^(node_behind|attestor_unreachable)$/),
    })
    const moved = { ...anchor, blockNumber: anchor.blockNumber - 1 }
    expect(await attestor.findAnchor(meter, header, signal, moved)).toEqual(anchor)
    // A block's time was a lie: nothing was asked for in a round that is yet to come.
    const never = round + 1_000_000
    expect(await blind.fetchProof(meter, header, anchor, never, signal)).toEqual({
      outcome: 'missed',
    })
    expect(await blind.isRequestDue([never], signal)).toBe(true)
    expect(await blind.findRequest(anchor, [never], signal, own)).toBe(round)
    // The request of one thing is none of another.
    const another = await anchorFirst('0f')
    const other = await attestor.findAnchor(another.meter, another.header, signal)
    if (other === undefined) throw new Error('not anchored')
    expect(await blind.findRequest(other, [], signal, own)).toBeUndefined()
  })
})

/** The transaction that relayed a round's root, and the Relay it came to. */
async function relayedInput(round: number): Promise<{ to: Hex; relay: Hex; input: Hex }> {
  const chain = new Chain(flare.rpcUrl, new AbortController().signal)
  const topics = [RELAYED, asTopic(FDC), asTopic(round)]
  const [log] = (await chain.rpc('eth_getLogs', [{ topics, fromBlock: '0x0' }])) as {
    address: Hex
    transactionHash: string
  }[]
  if (log === undefined) throw new Error('nobody relayed it')
  const transaction = await chain.transaction(log.transactionHash)
  if (!transaction?.to) throw new Error('no transaction')
  return { to: transaction.to as Hex, relay: log.address, input: transaction.input as Hex }
}

function attestorOf(more: Partial<FlareConfig>): FlareAttestor {
  return new FlareAttestor({ ...config, ...more }, store, evmKeyOf(config.gasKey))
}

/** The first batch of a meter of its own, anchored by a stranger. */
async function anchorFirst(byte: string): Promise<{ meter: Hex; header: BatchHeader }> {
  const key = { meterKey: `0x${byte.repeat(32)}` as const, signerFile: join(dir, `${byte}.json`) }
  const meterKey = meterKeyOf({ ...config, ...key })
  const root = keccak(`0x${byte}`)
  const rest = { sealedAt: 1_790_000_000, target: root, manifest: root }
  const header = { seq: batchSeq(1n), root, prevRoot: ZERO_HASH, ...rest }
  const signature = await meterKey.sign(header)
  const { to, data } = attestorOf({}).anchorCall(header, signature).body as EvmCall
  const chain = new Chain(flare.rpcUrl, new AbortController().signal)
  await chain.transact({ from: flare.accounts[1]?.address ?? '', to, data })
  return { meter: meterKey.address, header }
}
