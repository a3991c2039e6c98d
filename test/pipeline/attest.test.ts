import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { advance } from '../../src/domain/batch.js'
import { TerminalError } from '../../src/domain/errors.js'
import { batchId } from '../../src/domain/ids.js'
import { readStatus } from '../../src/pipeline/status.js'
import type { StoredBatch } from '../../src/ports/stores.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { type Daemon, runUntil, World } from '../support/world.js'

let world: World
let daemon: Daemon

beforeEach(async () => {
  world = new World()
  world.flow.openVault(7n, SEPTEMBER_S)
  world.use(usageRecord('a', { user: '7' }))
  world.tick()
  daemon = await world.boot()
})
afterEach(() => world.file.remove())

async function batch(): Promise<StoredBatch> {
  const found = await daemon.store.batches.get(batchId(1n))
  if (found === undefined) throw new Error('there is no batch')
  return found
}

/** Only this step and the anchor's, with a block and a voting round after each. */
async function attestRounds(rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    await daemon.run('anchor', 'attest')
    world.tick()
  }
}

describe('the way to a proof', () => {
  test('is asked for once, and ends with the proof in the store', async () => {
    const { life } = await runUntil(world, daemon, 'attested')
    const { proof, header } = await batch()
    expect(proof).toMatchObject({ header, meter: world.meterKey.address })
    expect(life).toMatchObject({ round: proof?.rootProof.round, missedRounds: [] })
    expect(world.flare.requests).toHaveLength(1)
    expect(await daemon.step('attest')).toBe('idle')
  })

  test('uses a request that somebody else paid for', async () => {
    const { life } = await runUntil(world, daemon, 'anchored')
    if (!('anchor' in life)) throw new Error('not anchored')
    world.flare.requests.push({ anchor: life.anchor, round: world.flare.round })
    await runUntil(world, daemon, 'attested')
    expect(world.flare.requests).toHaveLength(1)
  })

  test('is paid for once, though no node shows that it was asked for', async () => {
    await runUntil(world, daemon, 'anchored')
    world.flare.isLogHidden = true
    await attestRounds(8)
    expect(world.flare.requests).toHaveLength(1)
    expect((await batch()).life.state).not.toBe('anchored')
  })

  test('waits as long as the round is not finalised', async () => {
    await runUntil(world, daemon, 'requested')
    for (let calls = 0; calls < 3; calls += 1) expect(await daemon.step('attest')).toBe('idle')
    expect((await batch()).life.state).toBe('requested')
  })
})

describe('a round that lacks the leaf', () => {
  test('is missed: it is asked for again, and a later round serves', async () => {
    world.flare.lossyRounds.add(world.flare.round + 1).add(world.flare.round + 2)
    const { life } = await runUntil(world, daemon, 'attested')
    if (!('round' in life)) throw new Error('not attested')
    expect(life.missedRounds.length).toBeGreaterThan(0)
    expect(life.missedRounds.every((round) => round < life.round)).toBe(true)
    expect(world.flare.requests).toHaveLength(life.missedRounds.length + 1)
    expect(world.flare.anchors).toHaveLength(1)
  })

  test('that repeats itself parks the batch; a retry may miss as often again', async () => {
    for (let round = 0; round < 500; round += 1) world.flare.lossyRounds.add(round)
    const { life } = await runUntil(world, daemon, 'parked')
    // The first misses are asked again at once, the later ones wait twice as long each time.
    const rounds = world.flare.requests.map(({ round }) => round)
    const waits = rounds.slice(1).map((round, i) => round - (rounds[i] ?? 0))
    expect(waits.at(-1)).toBeGreaterThanOrEqual(16)
    expect(waits).toEqual(waits.toSorted((a, b) => a - b))
    // What an operator is warned by, from three on.
    const { batches } = await readStatus({
      ...{ stores: daemon.store, clock: world.clock },
      ...{ version: '1', identity: {} },
    })
    expect(batches[0]).toMatchObject({ state: 'parked', missedRounds: 10 })
    expect(life).toMatchObject({ reason: 'not attested in 10 rounds', from: { state: 'anchored' } })
    expect(world.flare.requests).toHaveLength(10)

    world.flare.lossyRounds.clear()
    for (const { round } of world.flare.requests) world.flare.lossyRounds.add(round)
    const { header } = await batch()
    await daemon.store.batches.saveLife(batchId(header.seq), advance(life, { type: 'retried' }))
    await runUntil(world, daemon, 'attested')
    expect(world.flare.requests).toHaveLength(11)
  })
})

describe('a chain that reorganises', () => {
  test.each(['anchored', 'requested', 'finalised'] as const)(
    'and loses the anchor of a batch that is %s: it is anchored again',
    async (state) => {
      await runUntil(world, daemon, state)
      while (world.flare.lane.executed.length > 1) world.flare.lane.undo()
      world.flare.requests.length = 0
      world.flare.dropAnchor()
      expect(await daemon.step('attest')).toBe('advanced')
      expect((await batch()).life).toEqual({ state: 'sealed' })
      await attestRounds(8)
      expect((await batch()).life.state).toBe('attested')
      expect(world.flare.anchors).toHaveLength(1)
    },
  )

  test.each(['anchored', 'requested', 'finalised'] as const)(
    'and moves the anchor of a batch that is %s: the new place is attested',
    async (state) => {
      await runUntil(world, daemon, state)
      world.flare.moveAnchor()
      expect(await daemon.step('attest')).toBe('advanced')
      expect((await batch()).life).toEqual({ state: 'sealed' })
      await attestRounds(8)
      const { life, proof } = await batch()
      const [moved] = world.flare.anchors
      expect(life).toMatchObject({ state: 'attested', anchor: moved?.anchor })
      expect(proof?.attested.logIndex).toBe(moved?.anchor.logIndex)
      expect(world.flare.lane.executed.filter(({ fate }) => fate === 'landed')).toHaveLength(
        1 + world.flare.requests.length,
      )
    },
  )
})

describe('what goes wrong', () => {
  test('for good parks the batch with the reason', async () => {
    await runUntil(world, daemon, 'anchored')
    world.flare.requestCall = async () => {
      throw new TerminalError('transaction_refused', 'no fee is set for this type')
    }
    expect(await daemon.step('attest')).toBe('advanced')
    expect((await batch()).life).toMatchObject({
      state: 'parked',
      reason: 'transaction_refused: no fee is set for this type',
      from: { state: 'anchored' },
    })
  })

  test('and is a bug parks the batch with its stack', async () => {
    await runUntil(world, daemon, 'anchored')
    world.flare.findRequest = async () => {
      throw new TypeError('undefined is not a function')
    }
    await daemon.step('attest')
    const { life } = await batch()
    expect(life).toMatchObject({ state: 'parked', from: { state: 'anchored' } })
    expect(life.state === 'parked' && life.reason).toMatch(/undefined is not a function\n +at /)
  })

  test('and may pass leaves the batch where it is', async () => {
    await runUntil(world, daemon, 'anchored')
    world.flare.lane.isUnreachable = true
    await daemon.run('attest')
    expect(daemon.retried).toEqual(['lane_unreachable'])
    expect((await batch()).life.state).toBe('anchored')
  })
})
