import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TerminalError } from '../../src/domain/errors.js'
import { batchId } from '../../src/domain/ids.js'
import type { StoredBatch } from '../../src/ports/stores.js'
import { CrashPlan } from '../support/crash-plan.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { type Daemon, World } from '../support/world.js'

let world: World
let daemon: Daemon

/** A world with one sealed batch. */
async function sealedWorld(): Promise<[World, Daemon]> {
  const made = new World()
  made.flow.openVault(7n, SEPTEMBER_S)
  made.use(usageRecord('a', { user: '7' }))
  made.tick()
  const started = await made.boot()
  await started.run('reconcile', 'collect', 'attribute', 'seal')
  return [made, started]
}

async function batch(): Promise<StoredBatch> {
  const found = await daemon.store.batches.get(batchId(1n))
  if (found === undefined) throw new Error('there is no batch')
  return found
}

async function anchorUntilDone(): Promise<void> {
  for (let blocks = 0; blocks < 3; blocks += 1) {
    await daemon.run('anchor')
    world.tick()
  }
  await daemon.run('anchor')
}

beforeEach(async () => {
  ;[world, daemon] = await sealedWorld()
})
afterEach(() => world.file.remove())

test('the header is signed, sent, and found by its event', async () => {
  await anchorUntilDone()
  const { life, signature, header } = await batch()
  expect(life).toEqual({
    state: 'anchored',
    anchor: world.flare.anchors[0]?.anchor,
    missedRounds: [],
  })
  expect(world.flare.anchors.map((one) => one.header)).toEqual([header])
  expect(signature).toBe(await world.meterKey.sign(header))
})

// Goal: dying at any point neither forgets a batch, nor anchors it twice, nor pays for it twice.
// Method: let the n-th call to the store or the chain throw, before or after it did its work, for
// every n there is. Then go on with what the store holds, before the next block, as a restart does.
test('a crash at any point is repaired by the next start', async () => {
  for (let point = 0; ; point += 1) {
    if (point > 0) [world, daemon] = await sealedWorld()
    const plan = new CrashPlan(point)
    daemon = await world.reboot(daemon, plan)
    const crashed = await anchorUntilDone().then(
      () => false,
      () => plan.isCrashed,
    )
    daemon = await world.reboot(daemon)
    await anchorUntilDone()
    expect((await batch()).life.state).toBe('anchored')
    expect(world.flare.anchors).toHaveLength(1)
    expect(world.flare.lane.executed).toHaveLength(1)
    if (!crashed) return expect(point).toBe(plan.passed)
    await world.file.remove()
  }
})

describe('whoever anchored it', () => {
  test('before we sent ours: nothing is sent', async () => {
    const { header } = await batch()
    world.flare.anchorNow(header, await world.meterKey.sign(header))
    await anchorUntilDone()
    expect((await batch()).life.state).toBe('anchored')
    expect(world.flare.lane.executed).toEqual([])
  })

  test('while ours was on its way: ours is refused, and the batch is anchored', async () => {
    await daemon.run('anchor')
    const { header } = await batch()
    world.flare.anchorNow(header, await world.meterKey.sign(header))
    await anchorUntilDone()
    expect((await batch()).life.state).toBe('anchored')
    expect(world.flare.anchors).toHaveLength(1)
    expect(world.flare.lane.executed.map(({ fate }) => fate)).toEqual(['refused'])
  })

  test('another batch of our meter with this number is for an operator', async () => {
    const { header } = await batch()
    const other = { ...header, root: header.target }
    const { anchors } = world.flare
    anchors.push({ header: other, anchor: { txHash: header.root, blockNumber: 1, logIndex: 0 } })
    await expect(daemon.step('anchor')).rejects.toMatchObject({
      name: 'ConfigError',
      code: 'another_root_anchored',
    })
    expect((await batch()).life.state).toBe('sealed')
  })
})

describe('what may pass', () => {
  test('an unreachable chain', async () => {
    world.flare.lane.isUnreachable = true
    await daemon.run('anchor')
    expect(daemon.retried).toEqual(['lane_unreachable'])
    world.flare.lane.isUnreachable = false
    await anchorUntilDone()
    expect((await batch()).life.state).toBe('anchored')
  })

  // A node simulates a call before it is signed. What it finds is no verdict on the batch.
  test('a call that the chain refuses before it is sent', async () => {
    const { lane } = world.flare
    const sign = lane.sign.bind(lane)
    lane.sign = async () => {
      throw new TerminalError('transaction_refused', 'SeqNotNext(2, 1)')
    }
    await daemon.run('anchor')
    expect(daemon.retried).toEqual(['anchor_refused'])
    expect((await batch()).life.state).toBe('sealed')
    lane.sign = sign
    await anchorUntilDone()
    expect((await batch()).life.state).toBe('anchored')
  })

  test('a transaction that was lost, and one that was overtaken', async () => {
    await daemon.run('anchor')
    world.flare.lane.forget()
    await daemon.run('anchor')
    world.flare.lane.overtake()
    await anchorUntilDone()
    expect((await batch()).life.state).toBe('anchored')
    expect(world.flare.anchors).toHaveLength(1)
  })
})

test('a signer that signed another header before is for an operator', async () => {
  const { header } = await batch()
  await world.meterKey.sign({ ...header, sealedAt: header.sealedAt + 1 })
  await expect(daemon.step('anchor')).rejects.toMatchObject({ code: 'meter_second_digest' })
  expect(world.flare.lane.poolSize).toBe(0)
})

test('without a sealed batch there is nothing to do', async () => {
  await anchorUntilDone()
  expect(await daemon.step('anchor')).toBe('idle')
})
