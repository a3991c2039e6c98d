import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  concat,
  dataLength,
  dataSlice,
  type EventLog,
  hashMessage,
  Interface,
  id,
  keccak256,
  recoverAddress,
  type TransactionReceipt,
  toBeHex,
  ZeroHash,
} from 'ethers'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type LocalFlare, startFlare } from '../../devnet/flare/index.js'
import { flareSystemsManagerAbi } from '../../src/attestors/flare/abi.js'
import { FlareClient, get, post, requestFor, until } from './flare-client.js'

// Goal: the local network does for a client what Coston2 does, its failures included.
// Method: one network, and a client who knows Flare's ABIs and HTTP routes and nothing else.

let dir: string
let flare: LocalFlare
let client: FlareClient
let lastRoot = ZeroHash
let lastSeq = 0n

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'flowmeter-flare-'))
  flare = await startFlare({ dir, roundSeconds: 2 })
  client = new FlareClient(flare)
})

afterEach(() => flare.faults.clear())

afterAll(async () => {
  client?.stop()
  await flare?.stop()
  rmSync(dir, { recursive: true })
})

async function anchorNext(): Promise<TransactionReceipt> {
  const seq = lastSeq + 1n
  const root = keccak256(toBeHex(seq, 32))
  const receipt = await client.anchor({ seq, root, prevRoot: lastRoot })
  lastSeq = seq
  lastRoot = root
  return receipt
}

function fold(leaf: string, proof: readonly string[]): string {
  return proof.reduce(
    (node, other) => keccak256(node < other ? concat([node, other]) : concat([other, node])),
    leaf,
  )
}

/**
 * Asks for what is not confirmed, until a round has a root all the same: of what others asked for,
 * which on a busy machine is not in every round.
 */
async function untilShared(bytes: string): Promise<number> {
  return until('a round that others asked in', async () => {
    const round = await client.request(bytes)
    await client.untilRound(round + 3)
    return (await client.isFinalized(round)) ? round : undefined
  })
}

async function rootOf(round: number): Promise<string> {
  return (await client.contract('Relay')).getFunction('merkleRoots')(200, round)
}

describe('an anchored batch', () => {
  test('is attested: requested, finalised, proven and verified', async () => {
    const receipt = await anchorNext()
    const [log] = receipt.logs
    expect(log?.topics[2]).toBe(toBeHex(lastSeq, 32))
    expect(log?.topics[3]).toBe(lastRoot)

    const bytes = await client.prepared(receipt)
    expect(dataLength(bytes)).toBe(352)
    const round = await client.request(bytes)
    await client.untilFinalized(round)
    const { body } = await client.untilProof(bytes, round)

    const { response_hex: response, proof } = body
    expect(body.attestation_type).toBe(dataSlice(bytes, 0, 32))
    expect(dataLength(response)).toBe(1344)
    expect(Number(dataSlice(response, 96, 128))).toBe(round)
    expect(response).toContain(receipt.hash.slice(2))
    // Neighbours asked too, so it is a tree and not a single leaf.
    expect(proof.length).toBeGreaterThan(0)
    expect(fold(keccak256(response), proof)).toBe(await rootOf(round))
    expect(await client.verify(response, proof)).toBe(true)
    const [first, ...rest] = proof
    expect(await client.verify(response, [...rest, first, first])).toBe(false)
  })

  test('is relayed in calldata that says policy, message and signatures', async () => {
    const bytes = await client.prepared(await anchorNext())
    const round = await client.request(bytes)
    await client.untilFinalized(round)
    const relay = await client.contract('Relay')
    const filter = relay.filters.ProtocolMessageRelayed?.(200, round)
    const [event] = filter ? await relay.queryFilter(filter) : []
    const { data } = (await event?.getTransaction()) ?? { data: '0x' }

    const voters = Number(dataSlice(data, 4, 6))
    const messageAt = 4 + 43 + 22 * voters
    const policy = dataSlice(data, 4, messageAt)
    const message = dataSlice(data, messageAt, messageAt + 38)
    const epoch = Number(dataSlice(policy, 2, 5))
    const bound = (content: string) => keccak256(concat([toBeHex(flare.chainId, 32), content]))
    expect(await relay.getFunction('toSigningPolicyHash')(epoch)).toBe(bound(policy))
    expect(dataSlice(message, 6)).toBe(await rootOf(round))
    const signers = signersOf(bound(message), dataSlice(data, messageAt + 38))
    expect(signers.length).toBe(5)
    for (const { index, address } of signers) {
      expect(dataSlice(policy, 43 + 22 * index, 63 + 22 * index)).toBe(address)
    }
  })
})

interface Signer {
  readonly index: number
  readonly address: string
}

function signersOf(pre: string, packed: string): Signer[] {
  const digest = hashMessage(Buffer.from(pre.slice(2), 'hex'))
  return Array.from({ length: Number(dataSlice(packed, 0, 2)) }, (_, i) => {
    const at = 2 + 67 * i
    const signature = {
      v: Number(dataSlice(packed, at, at + 1)),
      r: dataSlice(packed, at + 1, at + 33),
      s: dataSlice(packed, at + 33, at + 65),
    }
    const address = recoverAddress(digest, signature).toLowerCase()
    return { index: Number(dataSlice(packed, at + 65, at + 67)), address }
  })
}

describe('signing policies', () => {
  test('rotate, each signed by more than the threshold of the one before', async () => {
    const { rewardEpochId, policyBytes } = flare.checkpoint
    const next = rewardEpochId + 1
    const manager = await client.contract('FlareSystemsManager')
    const signed = await until('a signed policy', async () => {
      const filter = manager.filters.SigningPolicySigned?.(next)
      const events = filter ? ((await manager.queryFilter(filter)) as EventLog[]) : []
      return events.some(({ args }) => args.thresholdReached) ? events : undefined
    })

    const relay = await client.contract('Relay')
    const filter = relay.filters.SigningPolicyInitialized?.(next)
    const [event] = filter ? ((await relay.queryFilter(filter)) as EventLog[]) : []
    const bytes = event?.args.signingPolicyBytes as string
    const hash = keccak256(concat([toBeHex(flare.chainId, 32), bytes]))
    expect(await relay.getFunction('toSigningPolicyHash')(next)).toBe(hash)
    expect(dataSlice(bytes, 2, 5)).toBe(toBeHex(next, 3))
    expect(bytes).not.toBe(policyBytes)

    const weights = await Promise.all(signed.map((one) => signedWeight(one, hash, policyBytes)))
    const threshold = Number(dataSlice(policyBytes, 9, 11))
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeGreaterThan(threshold)
    // Just enough: without the last one it was not.
    expect(signed.map(({ args }) => args.thresholdReached)).toEqual([false, false, true])
  })

  // Whichever rounds have a root: those in which nobody got to ask for anything have none.
  test('sign the rounds from their start on', async () => {
    const relay = await client.contract('Relay')
    const filter = relay.filters.ProtocolMessageRelayed?.(200)
    const first = flare.checkpoint.rewardEpochId
    const startOf = async (epoch: number) =>
      Number(await relay.getFunction('startingVotingRoundIds')(epoch))
    const start = await until(
      'the next policy',
      async () => (await startOf(first + 1)) || undefined,
    )
    const relayed = await until('rounds before and after', async () => {
      const events = filter ? ((await relay.queryFilter(filter)) as EventLog[]) : []
      const rounds = events.map(({ args }) => Number(args.votingRoundId))
      return Math.min(...rounds) < start && Math.max(...rounds) >= start ? events : undefined
    })
    for (const event of relayed) {
      const { data } = await event.getTransaction()
      const epoch = Number(dataSlice(data, 6, 9))
      const round = Number(event.args.votingRoundId)
      const [from, end] = [await startOf(epoch), (await startOf(epoch + 1)) || round + 1]
      expect([epoch, round >= from, round < end]).toEqual([epoch, true, true])
    }
  })

  test('that are late leave the rounds to the last one', async () => {
    const lift = flare.faults.add({ kind: 'policyLate' })
    const speak = await flare.hush() // One that was in the making still comes.
    const last = flare.lastPolicy()
    speak()
    const { rewardEpochDurationInVotingEpochs: length } = flare.params
    const nextNominal = (last.rewardEpochId + 1) * length
    const bytes = await client.prepared(await anchorNext())
    await client.untilRound(nextNominal + 2)
    await client.untilFinalized(await client.request(bytes))
    expect(flare.lastPolicy()).toEqual(last)
    lift()
    await until('the next policy', async () =>
      flare.lastPolicy().rewardEpochId > last.rewardEpochId ? true : undefined,
    )
    expect(flare.lastPolicy().startVotingRoundId).toBeGreaterThan(nextNominal + 1)
  })
})

/** The weight that the old policy gives to who signed the new one in this transaction. */
async function signedWeight(event: EventLog, hash: string, oldPolicy: string): Promise<number> {
  const { data } = await event.getTransaction()
  const args = new Interface(flareSystemsManagerAbi).decodeFunctionData(
    'signNewSigningPolicy',
    data,
  )
  expect(args[1]).toBe(hash)
  const [v, r, s] = args[2]
  const digest = hashMessage(Buffer.from(hash.slice(2), 'hex'))
  const signer = recoverAddress(digest, { v: Number(v), r, s }).toLowerCase()
  const at = oldPolicy.indexOf(signer.slice(2))
  expect(at).toBeGreaterThan(0)
  return Number(`0x${oldPolicy.slice(at + 40, at + 44)}`)
}

describe('failures', () => {
  test('a missed round has no root, and the same bytes are attested in a later one', async () => {
    const bytes = await client.prepared(await anchorNext())
    flare.faults.add({ kind: 'missedRound' })
    const missed = await client.request(bytes)
    const later = await until('a later round', async () => {
      const round = await client.request(bytes)
      return round > missed ? round : undefined
    })
    await client.untilFinalized(later)
    expect(await client.isFinalized(missed)).toBe(false)
    expect((await client.untilProof(bytes, later)).status).toBe(200)
    const missing = await client.proof(bytes, missed)
    expect(missing).toEqual({ status: 400, body: { error: 'attestation request not found' } })
    // Without a round, the latest proof there is.
    expect((await client.proof(bytes)).body).toEqual((await client.proof(bytes, later)).body)
  })

  test('a dropped request is in no tree, though its round is final', async () => {
    const bytes = await client.prepared(await anchorNext())
    flare.faults.add({ kind: 'droppedRequest', times: Number.POSITIVE_INFINITY })
    const round = await untilShared(bytes)
    const tree = await until('the tree', async () => {
      const { body } = await get(`${flare.daUrl}/api/v1/fdc/raw?voting_round_id=${round}`)
      return body.length > 0 ? body : undefined
    })
    const root = await rootOf(round)
    for (const { response_hex, proof } of tree) {
      expect(fold(keccak256(response_hex), proof)).toBe(root)
    }
    expect((await client.proof(bytes, round)).status).toBe(400)
  })

  test('a request whose integrity code is wrong is not confirmed', async () => {
    const bytes = await client.prepared(await anchorNext())
    const wrong = concat([dataSlice(bytes, 0, 64), ZeroHash, dataSlice(bytes, 96)])
    const round = await untilShared(wrong)
    expect((await client.proof(wrong, round)).status).toBe(400)
  })

  test('late proofs are not there when the root is', async () => {
    const bytes = await client.prepared(await anchorNext())
    flare.faults.add({
      kind: 'lateProofs',
      delayMs: Number.POSITIVE_INFINITY,
      times: Number.POSITIVE_INFINITY,
    })
    const round = await client.request(bytes)
    await client.untilFinalized(round)
    await client.untilRound(round + 2)
    expect((await client.proof(bytes, round)).status).toBe(400)
  })

  test('paused providers finish nothing', async () => {
    const lift = flare.faults.add({ kind: 'paused' })
    const bytes = await client.prepared(await anchorNext())
    const round = await client.request(bytes)
    await client.untilRound(round + 3)
    expect(await client.isFinalized(round)).toBe(false)
    lift()
    const again = await client.request(bytes)
    await client.untilFinalized(again)
    expect(await client.isFinalized(round)).toBe(false)
  })

  test('the servers answer what they are told to, so often', async () => {
    const body = { detail: 'Request was throttled.' }
    flare.faults.add({ kind: 'answer', server: 'da', status: 429, body })
    expect(await get(`${flare.daUrl}/api/health`)).toEqual({ status: 429, body })
    expect((await get(`${flare.daUrl}/api/health`)).body).toEqual({ healthy: true })
  })

  test('a second root of a round is signed on request, and Relay does not take it', async () => {
    const bytes = await client.prepared(await anchorNext())
    const round = await client.request(bytes)
    await client.untilFinalized(round)
    const relay = await client.contract('Relay')
    const call = { to: await relay.getAddress(), data: flare.signRoot(round, keccak256('0x02')) }
    const error = await client.provider.call(call).catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      data: dataSlice(id('AlreadyRelayed()'), 0, 4),
    })
  })
})

describe('the verifier', () => {
  const path = '/verifier/flr/EVMTransaction/prepareRequest'
  const unknown = requestFor(keccak256('0x03'), ['0'])

  test('wants its key', async () => {
    expect((await post(flare.verifierUrl + path, unknown)).status).toBe(401)
    const wrong = await post(flare.verifierUrl + path, unknown, { 'X-API-KEY': 'mine' })
    expect(wrong.status).toBe(401)
  })

  test('says INVALID with status 200, and gives no bytes', async () => {
    const headers = { 'X-API-KEY': flare.verifierKey }
    const answer = await post(flare.verifierUrl + path, unknown, headers)
    expect(answer).toEqual({ status: 200, body: { status: 'INVALID' } })
    const { hash } = await anchorNext()
    const noSuchEvent = requestFor(hash, ['1000'])
    expect((await post(flare.verifierUrl + path, noSuchEvent, headers)).body.status).toBe('INVALID')
    const eth = path.replace('/flr/', '/eth/')
    const elsewhere = requestFor(hash, ['0'], 'testETH')
    expect((await post(flare.verifierUrl + eth, elsewhere, headers)).body.status).toBe('INVALID')
  })

  test('refuses other sources, and what is no request', async () => {
    const headers = { 'X-API-KEY': flare.verifierKey }
    const other = await post(flare.verifierUrl + path, requestFor(ZeroHash, [], 'FLR'), headers)
    expect(other.status).toBe(400)
    expect(other.body.error).toContain('not supported')
    expect((await post(flare.verifierUrl + path, { a: 1 }, headers)).status).toBe(400)
  })

  test('answers its other routes alike', async () => {
    const headers = { 'X-API-KEY': flare.verifierKey }
    const receipt = await anchorNext()
    const bytes = await client.prepared(receipt)
    const body = requestFor(receipt.hash, [String(receipt.logs[0]?.index)])
    const at = (name: string) => flare.verifierUrl + path.replace('prepareRequest', name)
    const mic = await post(at('mic'), body, headers)
    expect(mic.body.messageIntegrityCode).toBe(dataSlice(bytes, 64, 96))
    const prepared = await post(at('prepareResponse'), body, headers)
    expect(prepared.body.response.responseBody.events).toHaveLength(1)
    const verified = await post(at('verifyFDC'), { abiEncodedRequest: bytes }, headers)
    expect(dataLength(verified.body.abiEncodedResponse)).toBe(1344)
    const malformed = await post(at('verifyFDC'), { abiEncodedRequest: '0x12' }, headers)
    expect(malformed.body).toEqual({ status: 'MALFORMED ATTESTATION REQUEST' })
  })
})

describe('the DA layer', () => {
  test('compares requests letter by letter', async () => {
    const bytes = await client.prepared(await anchorNext())
    const round = await client.request(bytes)
    await client.untilProof(bytes, round)
    const upper = `0x${bytes.slice(2).toUpperCase()}`
    expect((await client.proof(upper, round)).status).toBe(400)
  })

  test('names the rounds', async () => {
    const { body } = await get(`${flare.daUrl}/api/v0/fsp/status`)
    const { firstVotingRoundStartTs, votingEpochDurationSeconds } = flare.params
    const { voting_round_id: id, start_timestamp: start } = body.active
    expect(start).toBe(firstVotingRoundStartTs + id * votingEpochDurationSeconds)
    expect(body.latest_fdc.voting_round_id).toBeLessThanOrEqual(id)
    const latest = await get(`${flare.daUrl}/api/v0/fsp/latest-voting-round`)
    expect(latest.body.voting_round_id).toBeGreaterThanOrEqual(id)
  })

  test('knows nothing of rounds to come', async () => {
    const answer = await get(`${flare.daUrl}/api/v1/fdc/raw?voting_round_id=4000000000`)
    expect(answer).toEqual({ status: 200, body: [] })
  })
})
