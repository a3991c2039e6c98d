import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hash } from '../../src/domain/bytes.js'
import { batchId } from '../../src/domain/ids.js'
import type { StoredBatch } from '../../src/ports/stores.js'
import { epochOf } from '../support/test-flare.js'
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

async function acceptBlocks(blocks: number): Promise<void> {
  for (let block = 0; block < blocks; block += 1) {
    await daemon.run('accept')
    world.flow.tick()
  }
  await daemon.run('accept')
}

test('the proof is brought once, and the root is asked of Flow', async () => {
  const { header } = await runUntil(world, daemon, 'accepted')
  expect(world.flow.accepted).toEqual(new Map([[1n, header.root]]))
  expect(world.flow.lane.executed.filter(({ fate }) => fate !== 'landed')).toEqual([])
})

describe('signing policies', () => {
  test('are brought one after the other, also while no batch waits', async () => {
    world.flow.lastEpoch -= 4
    await acceptBlocks(8)
    expect(world.flow.lastEpoch).toBe(epochOf(world.flare.round))
    expect(world.flow.lane.executed.map(({ fate }) => fate)).toEqual(Array(4).fill('landed'))
  })

  test('come before the batch whose round they signed', async () => {
    await runUntil(world, daemon, 'attested')
    world.flow.lastEpoch = epochOf(world.flare.round) - 3
    await acceptBlocks(8)
    expect((await batch()).life.state).toBe('accepted')
  })

  test('that somebody else brought first are no trouble', async () => {
    world.flow.lastEpoch -= 1
    await daemon.run('accept')
    world.flow.lastEpoch += 1
    await acceptBlocks(3)
    expect(world.flow.lane.executed.map(({ fate }) => fate)).toEqual(['refused'])
    await runUntil(world, daemon, 'accepted')
  })
})

describe('somebody else brings the proof', () => {
  test('before we do: nothing is sent', async () => {
    const { proof } = await runUntil(world, daemon, 'attested')
    if (proof === undefined) throw new Error('no proof')
    world.flow.acceptNow(proof)
    expect(await daemon.step('accept')).toBe('advanced')
    expect((await batch()).life.state).toBe('accepted')
    expect(world.flow.lane.poolSize).toBe(0)
  })

  // Goal: a race that we lose parks nothing. Method: the root is not there when it is asked for,
  // and is there by the time that our transaction is seen to have failed.
  test('while ours is on its way: ours is refused, the batch is accepted', async () => {
    const { proof } = await runUntil(world, daemon, 'attested')
    if (proof === undefined) throw new Error('no proof')
    await daemon.run('accept')
    const acceptedRoot = world.flow.acceptedRoot.bind(world.flow)
    let asked = 0
    world.flow.acceptedRoot = async (seq) => {
      asked += 1
      const root = await acceptedRoot(seq)
      if (asked === 1) {
        world.flow.acceptNow(proof)
        world.flow.tick()
      }
      return root
    }
    await daemon.run('accept')
    expect(world.flow.lane.executed.at(-1)?.fate).toBe('refused')
    expect((await batch()).life.state).toBe('accepted')
  })
})

describe('Flow refuses the proof', () => {
  test('for a reason that we do not know: the batch is parked', async () => {
    const { proof } = await runUntil(world, daemon, 'attested')
    world.flow.refusedRounds.add(proof?.rootProof.round ?? 0)
    await acceptBlocks(2)
    const { life } = await batch()
    expect(life).toMatchObject({ state: 'parked', from: { state: 'attested' } })
    expect(life.state === 'parked' && life.reason).toContain('Flow refused the proof of batch 1')
    expect(world.flow.lane.executed.filter(({ fate }) => fate === 'refused')).toHaveLength(1)
  })

  // Flare's voters told two stories of the round, or its policy is not held any more.
  test('of a round that can prove nothing any more: it is missed, a later one serves', async () => {
    const { proof } = await runUntil(world, daemon, 'attested')
    world.flow.poisonedRounds.add(proof?.rootProof.round ?? 0)
    await acceptBlocks(1)
    const { life } = await batch()
    expect(life).toMatchObject({ state: 'anchored', missedRounds: [proof?.rootProof.round] })
    await runUntil(world, daemon, 'accepted')
    expect(world.flare.requests).toHaveLength(2)
  })

  test('after its policy was replaced: the round is missed, a later one serves', async () => {
    const { proof } = await runUntil(world, daemon, 'attested')
    world.flow.refusedRounds.add(proof?.rootProof.round ?? 0)
    await daemon.run('accept')
    const lightClient = world.flow.lightClient.bind(world.flow)
    let asked = 0
    world.flow.lightClient = async () => {
      asked += 1
      const seen = await lightClient()
      return { ...seen, lastEpoch: seen.lastEpoch + (asked > 1 ? 1 : 0) }
    }
    world.flow.tick()
    await daemon.run('accept')
    world.flow.lightClient = lightClient
    const { life } = await batch()
    expect(life).toMatchObject({ state: 'anchored', missedRounds: [proof?.rootProof.round] })
    await runUntil(world, daemon, 'accepted')
    expect(world.flare.requests).toHaveLength(2)
  })

  test('holding another root: the batch is parked at once', async () => {
    const { header } = await runUntil(world, daemon, 'attested')
    world.flow.accepted.set(header.seq, hash(`0x${'99'.repeat(32)}`))
    await daemon.run('accept')
    const { life } = await batch()
    expect(life.state === 'parked' && life.reason).toContain('another root for batch 1')
  })
})
