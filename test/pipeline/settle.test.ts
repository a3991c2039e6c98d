import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { keccak, utf8 } from '../../src/domain/bytes.js'
import { chunkHash, chunksOf } from '../../src/domain/entry.js'
import { accountNumber, batchSeq } from '../../src/domain/ids.js'
import { merkleRoot, rootFromPath } from '../../src/domain/merkle.js'
import { runsFrom } from '../../src/pipeline/settle.js'
import type { StoredBatch, StoredEntry } from '../../src/ports/stores.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { type Daemon, runUntil, World, type WorldParts } from '../support/world.js'

const ACCOUNTS = [3n, 5n, 7n, 9n, 11n]

let world: World
let daemon: Daemon

beforeEach(() => begin({ entriesMax: 2 }))
afterEach(() => world.file.remove())

/** A world in which five vaults have usage. */
async function begin(parts: WorldParts): Promise<void> {
  world = new World(parts)
  for (const account of ACCOUNTS) {
    world.flow.openVault(account, SEPTEMBER_S)
    world.use(usageRecord(`of ${account}`, { user: `${account}` }))
  }
  world.tick()
  daemon = await world.boot()
}

async function batch(): Promise<StoredBatch> {
  const found = await daemon.store.batches.get(batchSeq(1n))
  if (found === undefined) throw new Error('there is no batch')
  return found
}

async function settleBlocks(blocks: number): Promise<void> {
  for (let block = 0; block < blocks; block += 1) {
    await daemon.run('settle')
    world.flow.tick()
  }
  await daemon.run('settle')
}

const results = async () =>
  (await daemon.store.batches.entries(batchSeq(1n))).map(({ result }) => result)

describe('the entries of a batch', () => {
  test('are brought in runs, and each is applied once', async () => {
    await runUntil(world, daemon, 'settled')
    expect(await results()).toEqual(Array(5).fill('applied'))
    expect(world.flow.events.map(({ accountNumber }) => accountNumber)).toEqual(ACCOUNTS)
    const settlements = new Set(world.flow.events.map(({ txId }) => txId))
    expect(settlements.size).toBe(3)
  })

  test('that somebody else brought are not brought again', async () => {
    const { header } = await runUntil(world, daemon, 'accepted')
    const entries = await daemon.store.batches.entries(header.seq)
    expect(world.flow.settleNow(1n, runsFrom(entries, 0, 3))).toBeUndefined()
    await settleBlocks(3)
    expect((await batch()).life.state).toBe('settled')
    expect(world.flow.events.map(({ result }) => result)).toEqual(Array(5).fill('applied'))
  })

  test('have their result whatever it is: one that is refused stops no other', async () => {
    world.flow.refusals.set(3n, 'held').set(5n, 'malformed').set(11n, 'tooOld')
    await runUntil(world, daemon, 'settled')
    expect(await results()).toEqual(['held', 'malformed', 'applied', 'applied', 'tooOld'])
    expect((await daemon.store.batches.counts()).refusedEntries).toBe(3)
    expect(world.flow.events).toHaveLength(5)
  })

  test('are settled though the daemon was away for many blocks', async () => {
    await runUntil(world, daemon, 'accepted')
    await daemon.run('settle')
    for (let block = 0; block < 500; block += 1) world.flow.tick()
    daemon = await world.reboot(daemon)
    await settleBlocks(20)
    expect((await batch()).life.state).toBe('settled')
    expect(await results()).toEqual(Array(5).fill('applied'))
  })
})

describe('what goes wrong', () => {
  test('a root that Flow gave up: a later batch states the entries again', async () => {
    await runUntil(world, daemon, 'accepted')
    await settleBlocks(1)
    world.flow.accepted.delete(1n)
    await settleBlocks(1)
    expect((await batch()).life.state).toBe('superseded')
    world.tick(600_000)
    await runUntil(world, daemon, 'settled', 2n)
    const again = await daemon.store.batches.entries(batchSeq(2n))
    expect(again.map(({ accountNumber }) => accountNumber)).toEqual([7n, 9n, 11n])
    const applied = world.flow.events.filter(({ result }) => result === 'applied')
    expect(applied.map(({ accountNumber }) => accountNumber)).toEqual(ACCOUNTS)
  })

  test('a refused settlement is tried again', async () => {
    await runUntil(world, daemon, 'accepted')
    const { accepted } = world.flow
    const root = accepted.get(1n)
    if (root === undefined) throw new Error('not accepted')
    await daemon.run('settle')
    accepted.set(1n, keccak(utf8('another')))
    world.flow.tick()
    accepted.set(1n, root)
    await daemon.run('settle')
    expect(daemon.retried).toEqual(['settle_refused'])
    await settleBlocks(4)
    expect((await batch()).life.state).toBe('settled')
  })
})

describe('runs', () => {
  const entries = (count: number): StoredEntry[] =>
    Array.from({ length: count }, (_, position) => {
      const bytes = `0x${position.toString(16).padStart(90, '0')}` as const
      return {
        seq: batchSeq(1n),
        position,
        accountNumber: accountNumber(BigInt(position)),
        periodStart: SEPTEMBER_S,
        bytes,
        leaf: keccak(bytes),
        result: undefined,
        txId: undefined,
      }
    })

  test.each([
    [1, 0, 10, [1]],
    [5, 0, 10, [5]],
    [5, 2, 2, [2]],
    [5, 4, 10, [1]],
    [128, 0, 128, [128]],
    [129, 0, 200, [128, 1]],
    [300, 100, 100, [28, 72]],
    [300, 127, 3, [1, 2]],
    [300, 0, 300, [128, 128, 44]],
    [300, 256, 300, [44]],
  ])('of %i entries from %i, %i at most: %j', (count, first, most, lengths) => {
    const all = entries(count)
    const root = merkleRoot(chunksOf(all.map(({ leaf }) => leaf)).map(chunkHash))
    const runs = runsFrom(all, first, most)
    expect(runs.map((run) => run.entries.length)).toEqual(lengths)
    const brought = runs.flatMap((run) => run.entries)
    expect(brought).toEqual(all.slice(first, first + brought.length).map(({ bytes }) => bytes))
    for (const run of runs) {
      const own = run.entries.map((bytes) => keccak(bytes))
      const leaves = [...run.leavesBefore, ...own, ...run.leavesAfter]
      expect(rootFromPath(chunkHash(leaves), run.path)).toBe(root)
    }
  })
})
