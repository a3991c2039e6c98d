import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { advance } from '../../src/domain/batch.js'
import { keccak, utf8 } from '../../src/domain/bytes.js'
import { chunkHash, chunksOf } from '../../src/domain/entry.js'
import { accountNumber, batchId, type EntrySpan } from '../../src/domain/ids.js'
import { merkleRoot, rootFromPath } from '../../src/domain/merkle.js'
import { learnt, planRuns, runsFrom } from '../../src/pipeline/runs.js'
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
  const found = await daemon.store.batches.get(batchId(1n))
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
  (await daemon.store.batches.entries(batchId(1n))).map(({ result }) => result)

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
    const entries = await daemon.store.batches.entries(batchId(header.seq))
    expect(world.flow.settleNow(1n, runsFrom(entries, { first: 0, count: 3 }))).toBeUndefined()
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
    const again = await daemon.store.batches.entries(batchId(2n))
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

describe('several lanes', () => {
  beforeEach(async () => {
    await world.file.remove()
    await begin({ entriesMax: 2, lanes: 3 })
  })

  test('carry a run each, at the same time', async () => {
    await runUntil(world, daemon, 'accepted')
    await daemon.run('settle')
    expect(world.flow.lanes.map(({ poolSize }) => poolSize)).toEqual([1, 1, 1])
    world.flow.tick()
    await daemon.run('settle')
    expect((await batch()).life.state).toBe('settled')
    expect(await results()).toEqual(Array(5).fill('applied'))
    expect(world.flow.events.map(({ accountNumber }) => accountNumber).toSorted()).toHaveLength(5)
  })

  test('one key that is stuck holds its own run alone', async () => {
    await runUntil(world, daemon, 'accepted')
    await daemon.run('settle')
    const [stuck] = world.flow.lanes
    for (let block = 0; block < 5; block += 1) {
      stuck.forget()
      world.flow.tick()
      // It is pushed again by each step, and lost again before the next block.
      await daemon.run('settle')
    }
    expect((await results()).filter((result) => result === 'applied')).toHaveLength(3)
    await settleBlocks(1)
    expect((await batch()).life.state).toBe('settled')
  })

  test('a number that somebody else used is signed anew, and applied once', async () => {
    await runUntil(world, daemon, 'accepted')
    await daemon.run('settle')
    for (const lane of world.flow.lanes) lane.overtake()
    await settleBlocks(3)
    expect((await batch()).life.state).toBe('settled')
    expect(world.flow.events.map(({ result }) => result)).toEqual(Array(5).fill('applied'))
  })

  test('what a dead process sent is not sent by the next one on another lane', async () => {
    await runUntil(world, daemon, 'accepted')
    await daemon.run('settle')
    daemon = await world.reboot(daemon)
    await daemon.run('settle')
    await settleBlocks(2)
    expect((await batch()).life.state).toBe('settled')
    expect(world.flow.events).toHaveLength(5)
  })
})

// Goal: one bad entry holds no other. Method: vaults whose entry makes any transaction fail that
// brings it; what is applied, what is left, and how many transactions it took are counted.
describe('entries that make a transaction fail', () => {
  const executed = () => world.flow.lanes.flatMap((lane) => lane.executed)

  test.each([1, 3])('end alone, and all others are settled (%i lanes)', async (lanes) => {
    await world.file.remove()
    await begin({ entriesMax: 100, lanes })
    world.flow.breaking.add(7n)
    await runUntil(world, daemon, 'accepted')
    await settleBlocks(12)
    expect(await results()).toEqual(['applied', 'applied', undefined, 'applied', 'applied'])
    const { life } = await batch()
    if (life.state !== 'parked') throw new Error(`the batch is ${life.state}`)
    expect(life.reason).toContain(`account 7, period ${SEPTEMBER_S}: account 7 breaks it`)
    expect(life.reason).not.toContain('account 5')
    expect(world.flow.events).toHaveLength(4)
    // All five, two of them with it, and it alone: a refusal for each halving, and no more.
    expect(executed().filter(({ fate }) => fate === 'refused').length).toBeLessThanOrEqual(4)
  })

  test('too many for one transaction come in smaller ones', async () => {
    await world.file.remove()
    await begin({ entriesMax: 100 })
    world.flow.entriesMax = 2
    await runUntil(world, daemon, 'accepted')
    await settleBlocks(12)
    expect((await batch()).life.state).toBe('settled')
    expect(await results()).toEqual(Array(5).fill('applied'))
    expect(world.flow.events).toHaveLength(5)
  })

  test('a refusal is found out again after a restart, and not believed for ever', async () => {
    await world.file.remove()
    await begin({ entriesMax: 100 })
    world.flow.breaking.add(7n)
    await runUntil(world, daemon, 'accepted')
    await settleBlocks(12)
    expect((await batch()).life.state).toBe('parked')
    world.flow.breaking.clear()
    const { header, life } = await batch()
    await daemon.store.batches.saveLife(batchId(header.seq), advance(life, { type: 'retried' }))
    daemon = await world.reboot(daemon)
    await settleBlocks(2)
    expect((await batch()).life.state).toBe('settled')
    expect(world.flow.events.map(({ result }) => result)).toEqual(Array(5).fill('applied'))
  })
})

describe('how much a run takes', () => {
  const entries = (count: number, rows: number): StoredEntry[] =>
    Array.from({ length: count }, (_, position) => ({
      batch: batchId(1n),
      position,
      accountNumber: accountNumber(BigInt(position)),
      periodStart: SEPTEMBER_S,
      bytes: `0x${'00'.repeat(45 + 30 * rows)}` as const,
      leaf: keccak(utf8(`${position}`)),
      result: undefined,
      txId: undefined,
    }))
  const many = entries(500, 3)
  const firstRun = (dearness: number): number => {
    const limits = { busy: [], refused: [], entriesMax: 1_000, dearness }
    return planRuns(many, limits).spans[0]?.count ?? 0
  }

  test('follows what transactions really used: up at once, down bit by bit', () => {
    const measured = firstRun(1)
    expect(measured).toBe(226) // 7,000 of 24 + 3 x 2.3 units.
    const dear = learnt(1, entries(200, 3), 0.95)
    expect(firstRun(dear)).toBeLessThan(0.7 * measured)
    const cheap = learnt(1, entries(200, 3), 0.31)
    expect(firstRun(cheap)).toBeGreaterThan(measured)
    expect(cheap).toBeGreaterThan(0.8)
    expect(learnt(1, entries(3, 3), 0.9)).toBe(1) // Too little to learn from.
  })

  test('never ends a batch: whatever is learnt, a run has an entry', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 }),
        (uses) => {
          const dearness = uses.reduce((last, use) => learnt(last, many, use), 1)
          expect(firstRun(dearness)).toBeGreaterThanOrEqual(20)
        },
      ),
    )
  })

  // Goal: no entry is brought twice at once, none is forgotten. Method: any mix of entries that
  // are done, under way or refused; every position is in exactly one place.
  test('each entry is in one run, under way, done, or set aside', () => {
    const span = fc
      .record({ first: fc.nat(59), count: fc.integer({ min: 1, max: 20 }) })
      .map(({ first, count }) => ({ first, count: Math.min(count, 60 - first) }))
    const some = fc.array(span, { maxLength: 8 })
    fc.assert(
      fc.property(some, some, fc.array(fc.nat(59)), (busy, refused, done) => {
        const all = entries(60, 1).map((entry) =>
          done.includes(entry.position) ? { ...entry, result: 'applied' as const } : entry,
        )
        const limits = { busy, refused, entriesMax: 25, dearness: 1 }
        const { spans, refusedAlone } = planRuns(all, limits)
        const inside = (spansOf: readonly EntrySpan[], position: number): number =>
          spansOf.filter((one) => position >= one.first && position < one.first + one.count).length
        for (const { position, result } of all) {
          const runs = inside(spans, position)
          const isLeft = result !== undefined || inside(busy, position) > 0
          expect(runs).toBeLessThanOrEqual(isLeft ? 0 : 1)
          const isAlone = refusedAlone.includes(position)
          expect(isLeft || isAlone || runs === 1).toBe(true)
        }
        for (const { first, count } of spans) {
          for (const one of refused.filter((other) => inside([other], first) > 0)) {
            expect(count).toBeLessThan(one.count)
          }
        }
      }),
    )
  })
})

describe('runs', () => {
  const entries = (count: number): StoredEntry[] =>
    Array.from({ length: count }, (_, position) => {
      const bytes = `0x${position.toString(16).padStart(90, '0')}` as const
      return {
        batch: batchId(1n),
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
    const runs = runsFrom(all, { first, count: most })
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
