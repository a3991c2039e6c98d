import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { REQUEST_FEE_WEI } from '../../devnet/flare/deploy.js'
import { FlareAttestor } from '../../src/attestors/flare/attestor.js'
import { flareConfig } from '../../src/attestors/flare/config.js'
import { interfaces, topicOf } from '../../src/attestors/flare/contracts.js'
import type { EvmCall } from '../../src/attestors/flare/lane.js'
import { advance } from '../../src/domain/batch.js'
import type { Hex } from '../../src/domain/bytes.js'
import type { StoredBatch } from '../../src/ports/stores.js'
import { evmKeyOf, meterKeyOf } from '../support/test-keys.js'
import { type FlareWorld, startFlareWorld } from './flare-world.js'

/*
 * Flare's side of the whole way, with everything that goes wrong there. One network and one daemon
 * for all cases; after each of them everything is settled, once, for what it should cost.
 */

const ANCHORED = topicOf(interfaces.anchor, 'UsageBatchAnchored')

const ALWAYS = { times: Number.POSITIVE_INFINITY }
const { signal } = new AbortController()
let world: FlareWorld

beforeAll(async () => {
  world = await startFlareWorld()
  await expectAllRight()
})
afterEach(() => {
  world.network.flare.faults.clear()
  for (const node of world.nodes) node.misbehave(undefined)
})
afterAll(() => world?.stop())

/** All settled, no check differs, the independent bill is the same, each number anchored once. */
async function expectAllRight(): Promise<void> {
  const { status, reckoning } = await world.settled()
  expect(status.parked).toEqual([])
  expect(status.refusedEntries).toBe(0)
  const differences = Object.entries(status.conservation?.checks ?? {})
  expect(differences.filter(([, value]) => value !== '0')).toEqual([])
  expect(Object.entries(reckoning.checks).filter(([, value]) => value !== 0n)).toEqual([])
  expect(status.records.sealed).toBe(reckoning.billableRows)
  const { number } = await world.chain.head()
  const logs = await world.chain.logs(world.network.flare.anchorAddress, ANCHORED, 0, number)
  const seqs = logs.map(({ topics }) => Number(topics[2]))
  expect(seqs).toEqual(Array.from({ length: Number(status.lastBatch?.seq) }, (_, i) => i + 1))
}

/** The newest batch's life from here to a round that did not serve it, or none. */
async function missedRounds({ id }: Pick<StoredBatch, 'id'>): Promise<readonly number[]> {
  const life = (await world.store.batches.get(id))?.life
  return life !== undefined && 'missedRounds' in life ? life.missedRounds : []
}

/** What an operator does when the reason is gone. A later batch may state the same by now. */
async function retryParked(): Promise<void> {
  await world.settled()
  for (const { id, life } of await world.store.batches.newest(20)) {
    if (life.state !== 'parked') continue
    await world.store.batches.saveLife(id, advance(life, { type: 'retried' }))
  }
}

/** A batch that is sealed after now. */
async function nextBatch(): Promise<StoredBatch> {
  const before = (await world.store.batches.last())?.header.seq ?? 0n
  world.use()
  return world.until('another batch', async () => {
    const batch = await world.store.batches.last()
    return batch !== undefined && batch.header.seq > before ? batch : undefined
  })
}

/** Transactions of ours that asked for the attestation of a batch and landed. */
async function requestsOf({ header }: StoredBatch): Promise<number> {
  const all = await world.store.outbox.newest(60)
  const ours = all.filter(({ purpose }) => purpose.startsWith(`request/${header.seq}/`))
  return ours.filter(({ fate }) => fate === 'landed').length
}

describe('the data providers', () => {
  test('less than half of the weight is away: rounds go on', async () => {
    world.network.flare.faults.add({ kind: 'absentVoters', heaviest: 2, ...ALWAYS })
    const batch = await nextBatch()
    await expectAllRight()
    expect(await requestsOf(batch)).toBe(1)
  })

  test('more than half is away: the batch waits, asks again, and goes on when they are back', async () => {
    const lift = world.network.flare.faults.add({ kind: 'absentVoters', heaviest: 3, ...ALWAYS })
    const batch = await nextBatch()
    await world.until('a missed round', async () =>
      (await missedRounds(batch)).length > 0 ? true : undefined,
    )
    lift()
    await expectAllRight()
  })

  test('a round leaves our request out: it is asked for again', async () => {
    world.network.flare.faults.add({ kind: 'droppedRequest' })
    const batch = await nextBatch()
    await world.until('a missed round', async () =>
      (await missedRounds(batch)).length > 0 ? true : undefined,
    )
    await expectAllRight()
    expect(await requestsOf(batch)).toBe(2)
  })

  test('the next policy comes late, with a batch in flight: it waits for the policy', async () => {
    const lift = world.network.flare.faults.add({ kind: 'policyLate', ...ALWAYS })
    const { rewardEpochId } = world.network.flare.lastPolicy()
    // Until the policy's epoch is over by the calendar, and rounds of the next one are signed by it.
    const { params } = world.network.flare
    const epochEnds =
      params.firstVotingRoundStartTs +
      (rewardEpochId + 1) *
        params.rewardEpochDurationInVotingEpochs *
        params.votingEpochDurationSeconds
    await world.until('the end of the epoch', async () =>
      (await world.chain.head()).timestamp >= epochEnds ? true : undefined,
    )
    const batch = await nextBatch()
    await world.until('the proof', async () => {
      const now = await world.store.batches.get(batch.id)
      return now?.life.state === 'attested' ? true : undefined
    })
    lift()
    await expectAllRight()
  })

  test('policies rotate while a batch is in flight', async () => {
    const batch = await nextBatch()
    const { rewardEpochId } = world.network.flare.lastPolicy()
    world.network.flare.faults.add({ kind: 'lateProofs', delayMs: 8_000 })
    await world.until('another policy', async () =>
      world.network.flare.lastPolicy().rewardEpochId > rewardEpochId ? true : undefined,
    )
    await expectAllRight()
    expect(await requestsOf(batch)).toBe(1)
    await world.until('the light client to be level', async () =>
      (await world.metrics()).includes('flowmeter_policy_epochs_behind 0') ? true : undefined,
    )
  })
})

describe('servers', () => {
  test('the DA layer is late, says 400, 429 and 500: no second request is paid for', async () => {
    const { faults } = world.network.flare
    const notFound = { error: 'attestation request not found' }
    for (const [status, body] of [
      [429, 'slow down'],
      [500, '<html>'],
      [400, notFound],
      [503, ''],
      [200, 'not JSON'],
    ] as const) {
      faults.add({ kind: 'answer', server: 'da', status, body })
    }
    faults.add({ kind: 'lateProofs', delayMs: 5_000 })
    const batch = await nextBatch()
    await expectAllRight()
    expect(await requestsOf(batch)).toBe(1)
  })

  test('the verifier fails or is slow: it is waited for, or done without', async () => {
    const { faults } = world.network.flare
    // Slower than FLARE_REQUEST_TIMEOUT_MS, and slower than nobody would mind.
    faults.add({ kind: 'slow', server: 'verifier', delayMs: 30_000 })
    faults.add({ kind: 'slow', server: 'verifier', delayMs: 500 })
    const verifier = { kind: 'answer', server: 'verifier' } as const
    faults.add({ ...verifier, status: 200, body: { status: 'INVALID' } })
    faults.add({ ...verifier, status: 500, body: '<html>' })
    const batch = await nextBatch()
    await expectAllRight()
    expect(await requestsOf(batch)).toBe(1)
    const another = await nextBatch()
    await expectAllRight()
    expect(await requestsOf(another)).toBe(1)
  })

  test('the verifier goes on saying INVALID: nothing is paid, the batch is parked', async () => {
    const lift = world.network.flare.faults.add({
      ...{ kind: 'answer', server: 'verifier', ...ALWAYS },
      ...{ status: 200, body: { status: 'INVALID' } },
    })
    const batch = await nextBatch()
    const { reason } = await world.until('a parked batch', async () =>
      (await world.status()).parked.find(({ seq }) => BigInt(seq) === batch.header.seq),
    )
    expect(reason).toMatch(/^request_refused: the verifier says INVALID of transaction 0x/)
    expect(await requestsOf(batch)).toBe(0)
    lift()
    await retryParked()
    await expectAllRight()
  })

  test('one node is down: the other is asked', async () => {
    world.nodes[0].misbehave({ kind: 'status', status: 502 })
    await nextBatch()
    await expectAllRight()
  })

  test('both are down for a while: it waits, says so, and goes on', async () => {
    await nextBatch()
    for (const node of world.nodes) node.misbehave({ kind: 'status', status: 429 })
    await world.until('the reason', async () => {
      const problems = Object.values(await world.problems())
      return problems.some((why) => why.startsWith('attestor_unreachable')) ? true : undefined
    })
    for (const node of world.nodes) node.misbehave(undefined)
    await expectAllRight()
  })

  test('one node stays at an old state: it is left out', async () => {
    const { number } = await world.chain.head()
    world.nodes[0].misbehave({ kind: 'frozen', atBlock: number })
    await nextBatch()
    await expectAllRight()
  })

  test('one node lies about finality: two are compared, and nothing is taken on', async () => {
    world.nodes[0].misbehave({ kind: 'falseFinality' })
    const batch = await nextBatch()
    await world.until('the reason', async () =>
      (await world.problems()).attest?.startsWith('nodes_disagree') ? true : undefined,
    )
    // The other one joins in: now nobody contradicts, but no signature fits.
    world.nodes[1].misbehave({ kind: 'falseFinality' })
    await world.until('a look at the false root', async () =>
      (await world.problems()).attest === undefined ? true : undefined,
    )
    const { life } = (await world.store.batches.get(batch.id)) ?? {}
    expect(['requested', 'finalised']).toContain(life?.state)
    for (const node of world.nodes) node.misbehave(undefined)
    await expectAllRight()
    expect(await requestsOf(batch)).toBe(1)
  })
})

describe('the chain', () => {
  /** Nobody else sends while blocks are taken back: the local providers would lose theirs. */
  async function takeBack(fromBlock: number): Promise<void> {
    const { number } = await world.chain.head()
    await world.chain.rpc('anvil_reorg', [number - fromBlock + 1, []])
  }

  test('takes the anchor back before its request: it is anchored again, once', async () => {
    const lift = await world.network.flare.hush()
    const { number: before } = await world.chain.head()
    const { header } = await nextBatch()
    const { anchorAddress } = world.network.flare
    const blockNumber = await world.until('the anchor', async () => {
      const { number } = await world.chain.head()
      const logs = await world.chain.logs(anchorAddress, ANCHORED, before, number)
      return logs.find(({ topics }) => BigInt(topics[2] ?? 0) === header.seq)?.blockNumber
    })
    await takeBack(blockNumber)
    lift()
    await expectAllRight()
  })

  test('takes the anchor back after its request: both are done again, once', async () => {
    const lift = await world.network.flare.hush()
    const batch = await nextBatch()
    const blockNumber = await world.until('the request', async () => {
      const life = (await world.store.batches.get(batch.id))?.life
      return life?.state === 'requested' ? life.anchor.blockNumber : undefined
    })
    await takeBack(blockNumber)
    lift()
    await expectAllRight()
  })

  test('Flare replaces its Relay while a batch is in flight: both are read', async () => {
    await nextBatch()
    const { address, boundaryRound } = await world.network.flare.replaceRelay()
    await expectAllRight()
    // On both sides of the boundary.
    const batch = await nextBatch()
    await expectAllRight()
    expect(await world.store.sightings.relays()).toContain(address.toLowerCase())
    const round = (await world.status()).batches[0]?.round ?? 0
    if (round < boundaryRound) {
      await world.until('the boundary', async () => {
        const { params } = world.network.flare
        const startsAt =
          params.firstVotingRoundStartTs + boundaryRound * params.votingEpochDurationSeconds
        return (await world.chain.head()).timestamp > startsAt ? true : undefined
      })
      await nextBatch()
      await expectAllRight()
    }
    expect((await world.status()).batches[0]?.round).toBeGreaterThanOrEqual(boundaryRound)
    expect(await requestsOf(batch)).toBeGreaterThanOrEqual(1)
  })
})

// Goal: who pays for the gas does not matter. Method: the daemon's transactions are not taken; a
// stranger who has the signed header sends both. A round may miss the request, as on Flare; then
// the stranger, who alone can, has to ask again.
test('a stranger anchors and requests for us: it is found by its event, and nothing is sent twice', async () => {
  for (const node of world.nodes) node.misbehave({ kind: 'noSending' })
  const { id, header } = await nextBatch()
  const signed = await world.until('the signature', async () => {
    const batch = await world.store.batches.get(id)
    return batch?.signature
  })
  const { env, flare } = world.network
  const config = flareConfig.parse({
    rpcUrls: flare.rpcUrl,
    anchorAddress: flare.anchorAddress,
    gasKey: flare.accounts[3]?.privateKey,
    meterKey: env.METER_KEY,
    daUrl: flare.daUrl,
  })
  const attestor = new FlareAttestor(config, world.store, evmKeyOf(config.gasKey))
  const meter = meterKeyOf(config).address
  const stranger = flare.accounts[3]?.address ?? ''
  await send(attestor.anchorCall(header, signed).body as EvmCall, stranger)
  const anchor = await attestor.findAnchor(meter, header, signal)
  if (anchor === undefined) throw new Error('not anchored')
  const call = (await attestor.requestCall(anchor, signal)).body as EvmCall
  expect(call.value).toBe(REQUEST_FEE_WEI)
  let asked = 0
  await world.until('the proof', async () => {
    const { state } = (await world.store.batches.get(id))?.life ?? {}
    if (['attested', 'accepted', 'settled'].includes(state ?? '')) return true
    if (asked <= (await missedRounds({ id })).length) {
      asked += 1
      await send(call, stranger)
    }
    return undefined
  })
  for (const node of world.nodes) node.misbehave(undefined)
  await expectAllRight()
  // Ours did nothing on Flare for this batch: what it had signed never landed, or was refused.
  const ours = (await world.store.outbox.newest(60)).filter(({ purpose }) =>
    new RegExp(`^(anchor|request)/${header.seq}(/|$)`).test(purpose),
  )
  expect(ours.filter(({ fate }) => fate === 'landed')).toEqual([])
})

async function send({ to, data, value }: EvmCall, from: string): Promise<void> {
  await world.chain.transact({ from, to: to as Hex, data, value })
}

// Goal: a restart forgets nothing of what was bought. Method: kill the daemon with a request out.
test('killed with a request in flight, it neither asks nor anchors a second time', async () => {
  const batch = await nextBatch()
  await world.batchIn('requested', 'finalised', 'attested')
  await world.restart()
  await expectAllRight()
  expect(await requestsOf(batch)).toBe(1)
  const { wallets } = await world.status()
  expect(wallets.map(({ wallet }) => wallet)).toEqual(['flare', 'flow'])
})
