import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Anchor, BatchHeader } from '../../src/domain/batch.js'
import { type Hash, type Hex, keccak, u64, ZERO_HASH } from '../../src/domain/bytes.js'
import { ConfigError, RetryableError } from '../../src/domain/errors.js'
import { batchSeq } from '../../src/domain/ids.js'
import type { BatchProof, PolicyProof } from '../../src/domain/proof.js'
import type { AnchorHistory, Attestor, ProofAnswer } from '../../src/ports/attestor.js'
import type { Call } from '../../src/ports/lane.js'
import type { MeterKey } from '../../src/ports/meter-key.js'
import { PATIENCE_MS } from '../support/patience.js'

/** An attestor on a network whose rounds and policies go on by themselves, some seconds each. */
export interface AttestorWorld {
  readonly attestor: Attestor & AnchorHistory
  /**
   * The attestor that takes a round without a root for missed soon after its end. For the others none
   * is, however slow the machine is on which the network works.
   */
  readonly impatient: Attestor
  /** The attestor with nothing it depends on in reach. */
  readonly cutOff: Attestor & AnchorHistory
  /** A meter that signed nothing yet; its memory is thrown away with it. */
  newMeter(): MeterKey
  /** The reward epoch whose policy everything began with, and its bytes. */
  readonly checkpoint: { readonly rewardEpoch: number; readonly policy: Hex }
  /** The next request of ours is not confirmed, though its round is finalised. */
  dropNextRequest(): void
  /** The next round with a request of ours is never finalised. */
  failNextRound(): void
  /** The next proofs are served only so long after their round. */
  delayNextProofs(delayMs: number): void
  /** The server of proofs gives these answers to its next requests, in place of older plans. */
  answerNext(...answers: readonly ServerAnswer[]): void
  /** Sends a call by another key than the attestor's. */
  sendAsStranger(call: Call): Promise<void>
  /** Throws unless path, root and every signature prove the batch, judged independently. */
  checkProof(proof: BatchProof, policy: Hex): void
  /** Throws unless the previous policy's voters signed the policy, with just enough weight. */
  checkPolicy(proof: PolicyProof, previousPolicy: Hex): void
  end(): Promise<void>
}

export type ServerAnswer = readonly [status: number, body: unknown]

const NOT_FOUND: ServerAnswer = [400, { error: 'attestation request not found' }]

interface Anchored {
  readonly meterKey: MeterKey
  readonly header: BatchHeader
  readonly anchor: Anchor
}

const POLL_MS = 100

/** What every attestor promises. Call it once per adapter. */
export function attestorContract(start: () => Promise<AttestorWorld>): void {
  let world: AttestorWorld
  const { signal } = new AbortController()

  beforeAll(async () => {
    world = await start()
  })
  afterAll(() => world?.end())

  async function until<Value>(what: string, ask: () => Promise<Value | undefined>): Promise<Value> {
    const deadlineMs = performance.now() + PATIENCE_MS
    for (;;) {
      const value = await ask()
      if (value !== undefined) return value
      if (performance.now() > deadlineMs) throw new Error(`waited too long for ${what}`)
      await sleep(POLL_MS)
    }
  }

  async function land(call: Call): Promise<void> {
    const { lane } = world.attestor
    const tx = await lane.sign(call, signal)
    await lane.send(tx, signal)
    const fate = await until(call.what, async () => {
      const now = await lane.fate(tx, signal)
      return now === 'open' ? undefined : now
    })
    expect(fate).toBe('landed')
  }

  async function anchored(): Promise<Anchored> {
    const meterKey = world.newMeter()
    const header = headerOf(1n, ZERO_HASH)
    await land(world.attestor.anchorCall(header, await meterKey.sign(header)))
    const anchor = await world.attestor.findAnchor(meterKey.address, header, signal)
    if (anchor === undefined) throw new Error('landed, and not found')
    return { meterKey, header, anchor }
  }

  async function requested({ anchor }: Anchored, missed: readonly number[] = []): Promise<number> {
    await land(await world.attestor.requestCall(anchor, signal))
    return until('the request', () => world.attestor.findRequest(anchor, missed, signal))
  }

  function ask(
    { meterKey, header, anchor }: Anchored,
    round: number,
    attestor: Attestor = world.attestor,
  ): Promise<ProofAnswer> {
    return attestor.fetchProof(meterKey.address, header, anchor, round, signal)
  }

  async function answered(
    batch: Anchored,
    round: number,
    attestor?: Attestor,
  ): Promise<ProofAnswer> {
    return until('an answer', async () => {
      const answer = await ask(batch, round, attestor)
      return answer.outcome === 'pending' ? undefined : answer
    })
  }

  /** The policy of an epoch, each checked with the one before, from the checkpoint on. */
  async function policyAt(rewardEpoch: number): Promise<Hex> {
    let { rewardEpoch: epoch, policy } = world.checkpoint
    while (epoch < rewardEpoch) {
      const next = epoch + 1
      const proof = await until(`policy ${next}`, () => world.attestor.policyProof(next, signal))
      expect(proof.rewardEpoch).toBe(next)
      world.checkPolicy(proof, policy)
      epoch = next
      policy = proof.policy
    }
    return policy
  }

  async function checkProven(batch: Anchored, round: number): Promise<void> {
    const answer = await answered(batch, round)
    if (answer.outcome !== 'proven') throw new Error(`expected a proof, got ${answer.outcome}`)
    const { proof } = answer
    expect(proof.header).toEqual(batch.header)
    expect(proof.meter).toBe(batch.meterKey.address)
    const { txHash, logIndex, blockNumber } = batch.anchor
    expect(proof.attested).toMatchObject({ round, txHash, logIndex })
    expect(proof.attested.blockNumber).toBe(BigInt(blockNumber))
    expect(proof.rootProof.round).toBe(round)
    expect(await world.attestor.rewardEpochOf(round, signal)).toBe(proof.rootProof.rewardEpoch)
    world.checkProof(proof, await policyAt(proof.rootProof.rewardEpoch))
    // Plain data: it is kept as text on its way to the other chain.
    const text = JSON.stringify(proof, (_, value) =>
      typeof value === 'bigint' ? `${value}` : value,
    )
    expect(text).toContain(proof.rootProof.root)
  }

  describe('an attestor', () => {
    test('knows nothing of a new meter', async () => {
      const { address } = world.newMeter()
      const state = await world.attestor.meterState(address, signal)
      expect(state).toEqual({ lastSeq: 0n, lastRoot: ZERO_HASH })
      const header = headerOf(1n, ZERO_HASH)
      expect(await world.attestor.findAnchor(address, header, signal)).toBeUndefined()
    })

    test('finds an anchor whoever sent it, also when later ones followed', async () => {
      const { attestor } = world
      const meterKey = world.newMeter()
      const first = headerOf(1n, ZERO_HASH)
      await world.sendAsStranger(attestor.anchorCall(first, await meterKey.sign(first)))
      const anchor = await attestor.findAnchor(meterKey.address, first, signal)
      expect(anchor).toBeDefined()
      const second = headerOf(2n, first.root)
      expect(await attestor.findAnchor(meterKey.address, second, signal)).toBeUndefined()
      await land(attestor.anchorCall(second, await meterKey.sign(second)))
      expect(await attestor.findAnchor(meterKey.address, first, signal)).toEqual(anchor)
      const { lastSeq, lastRoot } = await attestor.meterState(meterKey.address, signal)
      expect({ lastSeq, lastRoot }).toEqual({ lastSeq: 2n, lastRoot: second.root })
    })

    test('stops when the meter has anchored another batch of that number', async () => {
      const { meterKey, header } = await anchored()
      const others = [
        headerOf(1n, ZERO_HASH),
        { ...header, sealedAt: header.sealedAt + 1 },
        { ...header, manifest: header.root },
      ]
      for (const other of others) {
        const found = world.attestor.findAnchor(meterKey.address, other, signal)
        await expect(found).rejects.toThrow(ConfigError)
        await expect(found).rejects.toMatchObject({ code: 'another_root_anchored' })
      }
    })

    test('shows what a meter has anchored, in order, back to what is known', async () => {
      const { attestor } = world
      const meterKey = world.newMeter()
      const { address } = meterKey
      const headers: BatchHeader[] = []
      for (let seq = 1n; seq <= 3n; seq += 1n) {
        const header = headerOf(seq, headers.at(-1)?.root ?? ZERO_HASH)
        await world.sendAsStranger(attestor.anchorCall(header, await meterKey.sign(header)))
        headers.push(header)
      }
      expect(await attestor.anchoredHeaders(address, () => false, signal)).toEqual(headers)
      const isFirst = ({ seq }: BatchHeader) => seq === 1n
      expect(await attestor.anchoredHeaders(address, isFirst, signal)).toEqual(headers.slice(1))
      expect(await attestor.anchoredHeaders(address, () => true, signal)).toEqual([])
      const stranger = world.newMeter()
      expect(await attestor.anchoredHeaders(stranger.address, () => false, signal)).toEqual([])
    })

    test('says what a block shows of a header, and nothing where it shows none', async () => {
      const { attestor } = world
      const { meterKey, header, anchor } = await anchored()
      const { address } = meterKey
      const { blockNumber: block } = anchor
      expect(await attestor.sight(address, header, block, signal)).toBe('there')
      const other = { ...header, sealedAt: header.sealedAt + 1 }
      expect(await attestor.sight(address, other, block, signal)).toBe('other')
      const next = headerOf(2n, header.root)
      expect(await attestor.sight(address, next, block, signal)).toBe('absent')
      const lost = { name: 'RetryableError', code: 'anchor_event_not_found' }
      await expect(attestor.sight(address, header, block - 1, signal)).rejects.toMatchObject(lost)
    })

    test('knows whose signature it is, and of what', async () => {
      const meterKey = world.newMeter()
      const header = headerOf(1n, ZERO_HASH)
      const signature = await meterKey.sign(header)
      expect(world.attestor.signerOf(header, signature)).toBe(meterKey.address)
      const other = headerOf(1n, ZERO_HASH)
      expect(world.attestor.signerOf(other, signature)).not.toBe(meterKey.address)
    })

    test('a meter signs each number once, and goes on after what it has adopted', async () => {
      const meterKey = world.newMeter()
      const [first, second, other] = [1n, 2n, 2n].map((seq) => headerOf(seq, ZERO_HASH))
      if (first === undefined || second === undefined || other === undefined) throw new Error()
      const refusal = { name: 'ConfigError', code: 'meter_second_digest' }
      await meterKey.sign(first)
      const signature = await meterKey.sign(second)
      expect(await meterKey.sign(second)).toBe(signature)
      await expect(meterKey.sign(other)).rejects.toMatchObject(refusal)
      await expect(meterKey.sign(first)).rejects.toMatchObject(refusal)
      // The second may still be anchored, so it is forgotten only by force.
      await expect(meterKey.adopt?.(first, false)).rejects.toMatchObject(refusal)
      await meterKey.adopt?.(second, false)
      await expect(meterKey.sign(other)).rejects.toMatchObject(refusal)
      await meterKey.adopt?.(first, true)
      await meterKey.sign(other)
      await expect(meterKey.sign(second)).rejects.toMatchObject(refusal)
    })

    test('proves an anchor in the round in which it was asked for', async () => {
      const batch = await anchored()
      expect(await world.attestor.findRequest(batch.anchor, [], signal)).toBeUndefined()
      const round = await requested(batch)
      const isFinalised = () => world.attestor.isFinalised(round, signal)
      await until('the root', async () => ((await isFinalised()) ? true : undefined))
      await checkProven(batch, round)
    })

    test('says that a round missed it, and proves it in a later one', async () => {
      const batch = await anchored()
      const missed: number[] = []
      const last = () => missed.at(-1) ?? 0
      do {
        world.dropNextRequest()
        missed.push(await requested(batch, missed))
        expect(await answered(batch, last(), world.impatient)).toEqual({ outcome: 'missed' })
        // A round in which nobody else asked for anything has no root: then it is done again.
      } while (!(await world.attestor.isFinalised(last(), signal)))
      expect(await ask(batch, last())).toEqual({ outcome: 'missed' })
      // The old request is known, and cannot serve any more.
      expect(await world.attestor.findRequest(batch.anchor, missed, signal)).toBeUndefined()
      const later = await requested(batch, missed)
      expect(later).toBeGreaterThan(last())
      await checkProven(batch, later)
    })

    test('waits the longer to ask again, the more rounds missed', async () => {
      const batch = await anchored()
      const round = await requested(batch)
      const { attestor } = world
      expect(await attestor.isRequestDue([], signal)).toBe(true)
      const isDueAfter = (misses: number, last: number) =>
        attestor.isRequestDue(Array(misses).fill(last), signal)
      expect(await isDueAfter(1, round - 1)).toBe(true)
      expect(await isDueAfter(3, round - 4)).toBe(true)
      for (const misses of [6, 7, 9]) expect(await isDueAfter(misses, round)).toBe(false)
      // There is an end to the waiting.
      expect(await isDueAfter(9, round - 16)).toBe(true)
      await answered(batch, round) // Its round is over: the next test's faults are not used up by it.
    })

    test('says that a round missed it when it never is finalised', async () => {
      const batch = await anchored()
      world.failNextRound()
      const round = await requested(batch)
      expect(await ask(batch, round)).toMatchObject({ outcome: 'pending' })
      expect(await answered(batch, round, world.impatient)).toEqual({ outcome: 'missed' })
      expect(await world.attestor.isFinalised(round, signal)).toBe(false)
    })

    test('never takes a late or broken server of proofs for a miss', async () => {
      const batch = await anchored()
      world.delayNextProofs(2_000)
      const round = await requested(batch)
      const isFinalised = () => world.attestor.isFinalised(round, signal)
      await until('the root', async () => ((await isFinalised()) ? true : undefined))
      const tree = [{ response_hex: '0x00', attestation_type: '0x00', proof: [] }]
      const plans: readonly (readonly ServerAnswer[])[] = [
        [[500, 'oops']],
        [[429, { detail: 'throttled' }]],
        [[400, { error: 'something else' }]],
        [[200, { response_hex: null, attestation_type: null, proof: null }]],
        [NOT_FOUND, [500, 'oops']],
        [NOT_FOUND, [200, []]],
        [NOT_FOUND, [200, tree]],
        [
          [200, tree[0]],
          [200, [...tree, ...tree]],
        ],
      ]
      for (const plan of plans) {
        world.answerNext(...plan)
        expect(await ask(batch, round)).toMatchObject({ outcome: 'pending' })
      }
      world.answerNext()
      await checkProven(batch, round)
      // What the lookup by request does not know may be in the tree all the same.
      world.answerNext(NOT_FOUND)
      expect(await ask(batch, round)).toMatchObject({ outcome: 'proven' })
    })

    // Goal: the chain of policies has no gap. Method: walk over two rotations from the start.
    test('proves every policy by the one before', async () => {
      const last = world.checkpoint.rewardEpoch + 2
      expect(await policyAt(last)).not.toBe(world.checkpoint.policy)
      expect(await world.attestor.policyProof(last + 1_000, signal)).toBeUndefined()
    })

    test('has a wallet with something in it', async () => {
      const { address, balance } = await world.attestor.wallet(signal)
      expect(address).toMatch(/^0x[0-9a-f]{40}$/)
      expect(balance).toBeGreaterThan(0n)
    })

    test('asks to be tried again while nothing is in reach', async () => {
      const { cutOff } = world
      const header = headerOf(1n, ZERO_HASH)
      const anchor: Anchor = { txHash: header.root, blockNumber: 1, logIndex: 0 }
      const { address } = world.newMeter()
      const calls = [
        cutOff.meterState(address, signal),
        cutOff.findAnchor(address, header, signal),
        cutOff.sight(address, header, 1, signal),
        cutOff.requestCall(anchor, signal),
        cutOff.findRequest(anchor, [], signal),
        cutOff.isFinalised(1, signal),
        cutOff.isRequestDue([1], signal),
        cutOff.fetchProof(address, header, anchor, 1, signal),
        cutOff.rewardEpochOf(1, signal),
        cutOff.policyProof(1, signal),
        cutOff.wallet(signal),
      ]
      for (const call of await Promise.allSettled(calls)) {
        if (call.status === 'fulfilled') throw new Error('it cannot know this')
        expect(call.reason).toBeInstanceOf(RetryableError)
        expect(call.reason.code).toBe('attestor_unreachable')
      }
    })

    test('stops when it is told to', async () => {
      const reason = new Error('shutting down')
      const { address } = world.newMeter()
      const stopped = world.attestor.meterState(address, AbortSignal.abort(reason))
      await expect(stopped).rejects.toBe(reason)
    })
  })
}

let headers = 0

/** One that no other test has. */
function headerOf(seq: bigint, prevRoot: Hash): BatchHeader {
  headers += 1
  const root = keccak(u64(headers))
  const rest = { sealedAt: 1_790_000_000, target: keccak(root), manifest: keccak('0x01', root) }
  return { seq: batchSeq(seq), root, prevRoot, ...rest }
}
