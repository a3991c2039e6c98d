import { copyFileSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ALL_ACCOUNTS, accountNumber, batchId } from '../../src/domain/ids.js'
import { adopt } from '../../src/pipeline/adopt.js'
import { coursesOf } from '../../src/pipeline/audit.js'
import { runLap } from '../../src/pipeline/laps.js'
import type { Settler } from '../../src/ports/settler.js'
import { backupStore } from '../../src/store/index.js'
import { expectAllBilled } from '../support/sums.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import {
  type Daemon,
  RECEIPT_SECRET,
  runUntil,
  SEAL_INTERVAL_MS,
  World,
  type WorldParts,
} from '../support/world.js'

const { signal } = new AbortController()
const order = { reason: 'the disk was lost', by: 'ann' }
const key = (account: bigint) => ({
  accountNumber: accountNumber(account),
  periodStart: SEPTEMBER_S,
})

let world: World
let daemon: Daemon

async function begin(parts: WorldParts = {}): Promise<void> {
  world = new World(parts)
  for (const account of [7n, 9n]) world.flow.openVault(account, SEPTEMBER_S)
  world.tick()
  daemon = await world.boot()
  use('first', '7')
  await runUntil(world, daemon, 'settled')
}
beforeEach(() => begin())
afterEach(() => world.file.remove())

const use = (id: string, account: string) =>
  world.use(usageRecord(`${id} ${account}`, { user: account, startedAtMs: world.clock.now() - 1 }))
const copy = () => `${world.file.path}.copy`
const backup = () => backupStore(world.file.path, copy(), false)

/** The store is lost, and yesterday's copy takes its place. */
async function restore(): Promise<void> {
  await world.file.close(daemon.store)
  for (const rest of ['', '-wal', '-shm']) rmSync(`${world.file.path}${rest}`, { force: true })
  copyFileSync(copy(), world.file.path)
  daemon = await world.boot()
}

/** Flow, but for one question, which has no answer. */
function failing(settler: Settler, question: keyof Settler): Settler {
  return new Proxy(settler, {
    get(target, name) {
      if (name === question) return () => Promise.reject(new Error('the node is away'))
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function adoptNow(isSignedForgotten = false, settler: Settler = world.flow) {
  const { flare: attestor, meterKey, clock } = world
  const parts = { store: daemon.store, attestor, settler, meterKey, clock, isSignedForgotten }
  return adopt(parts, order, signal)
}

async function settleAll(seq: bigint): Promise<void> {
  world.tick(SEAL_INTERVAL_MS)
  await runUntil(world, daemon, 'settled', seq)
  await daemon.run('reconcile')
}

/** Everything but the batches that only their headers are known of. */
async function expectRight(): Promise<void> {
  const checks = Object.entries((await daemon.store.books.checks())?.checks ?? { unchecked: 1n })
  expect(checks.filter(([, difference]) => difference !== 0n)).toEqual([])
  const { flare: history, flow: settler } = world
  const parts = { store: daemon.store, history, settler, receiptSecret: RECEIPT_SECRET }
  for (const course of coursesOf(parts)) {
    const { found } = await runLap(course, signal)
    expect(Object.entries(found).filter(([, difference]) => difference !== 0n)).toEqual([])
  }
}

describe('a store that was restored from a backup', () => {
  test('seals nothing until the chain was adopted; then no row is lost or charged twice', async () => {
    await backup()
    use('lost', '7')
    use('lost', '9')
    await settleAll(2n)
    use('lost too', '9')
    await settleAll(3n)
    const before = world.flow.record(key(9n)).charged
    await restore()
    use('new', '9')
    world.tick(SEAL_INTERVAL_MS)
    await daemon.run('collect', 'attribute')
    // Whichever step comes first: a cursor that went on would hide what the lost batches stated.
    for (const step of ['seal', 'reconcile'] as const) {
      await expect(daemon.step(step)).rejects.toMatchObject({
        code: 'meter_ahead',
        message: expect.stringContaining('flowmeter adopt'),
      })
    }

    expect(await adoptNow()).toEqual({ batches: 2, lastSeq: 3n, entries: 1 })
    await settleAll(4n)
    expect(world.flow.record(key(9n)).charged).toBeGreaterThan(before)
    const bills = [7n, 9n].map((account) => world.flow.record(key(account)).charged)
    expect(world.flow.events.map(({ seq, result }) => [seq, result])).toEqual([
      [1n, 'applied'],
      [2n, 'applied'],
      [2n, 'applied'],
      [3n, 'applied'],
      [4n, 'applied'],
      [4n, 'applied'],
    ])
    await expectRight()
    // The same rows in a world where nothing was ever lost.
    const other = new World()
    for (const account of [7n, 9n]) other.flow.openVault(account, SEPTEMBER_S)
    other.clock.pass(world.clock.now() - other.clock.now())
    other.tick()
    other.use(...world.source.rows)
    const whole = await other.boot()
    await runUntil(other, whole, 'settled')
    expect([7n, 9n].map((account) => other.flow.record(key(account)).charged)).toEqual(bills)
    await whole.run('reconcile')
    await expectAllBilled(other, whole, [7n, 9n])
    await other.file.remove()
    expect(await daemon.store.operatorLog.entries(1, 9)).toMatchObject([
      { verb: 'adopt', arguments: { batches: '2', lastSeq: '3' } },
    ])
  })

  test('waits while a row that Flow has charged was not read again', async () => {
    await backup()
    use('lost', '9')
    await settleAll(2n)
    await restore()
    const [gone] = world.source.rows.splice(-1)
    use('new', '9')
    await adoptNow()
    world.source.rows.push(usageRecord('new 7', { user: '7', startedAtMs: world.clock.now() }))
    // The other row is as large, so Flow's total is reached without the one that is missing.
    world.source.rows.splice(
      world.source.rows.findIndex(({ key: { requestId } }) => requestId === 'new 9'),
      1,
    )
    world.tick(SEAL_INTERVAL_MS)
    await daemon.run('reconcile', 'collect', 'attribute')
    await expect(daemon.step('seal')).rejects.toMatchObject({
      code: 'adoption_waits',
      message: expect.stringContaining('account 9'),
    })
    expect((await daemon.store.batches.last())?.header.seq).toBe(2n)
    // The deep re-scan finds it.
    if (gone === undefined) throw new Error('no row is gone')
    world.source.rows.push(gone)
    const untilMs = (await daemon.store.records.source('main'))?.readUntilMs ?? 0
    const slice = { records: [gone], rejects: [], range: { fromMs: 0, untilMs } }
    await daemon.store.records.saveSlice('main', slice, 0)
    await settleAll(3n)
    await expectRight()
  })

  test('can be adopted again after an adoption that failed half way', async () => {
    await backup()
    use('lost', '9')
    await settleAll(2n)
    await restore()
    world.source.rows.splice(-1)
    const settler = failing(world.flow, 'applied')
    await expect(adoptNow(false, settler)).rejects.toThrow('the node is away')
    await expect(daemon.step('reconcile')).rejects.toMatchObject({ code: 'meter_ahead' })
    expect(await adoptNow()).toEqual({ batches: 1, lastSeq: 2n, entries: 1 })
    expect(await daemon.store.books.applied(ALL_ACCOUNTS)).toContainEqual(
      expect.objectContaining({ ...key(9n), lastSeq: 2n }),
    )
    world.tick(SEAL_INTERVAL_MS)
    await daemon.run('reconcile', 'collect', 'attribute')
    await expect(daemon.step('seal')).rejects.toMatchObject({ code: 'adoption_waits' })
  })

  test('waits for no source that is not read any more', async () => {
    await daemon.store.records.addSource('gone', 0)
    const slice = { records: [], rejects: [], range: { fromMs: 0, untilMs: 1 } }
    await daemon.store.records.saveSlice('gone', slice, 1)
    await backup()
    use('lost', '9')
    await settleAll(2n)
    await restore()
    await adoptNow()
    await settleAll(3n)
    await expectRight()
  })

  test('goes on where more rows were lost than one batch takes in', async () => {
    await world.file.remove()
    await begin({ limits: { records: 2, entries: 100 } })
    await backup()
    for (const id of ['a', 'b', 'c', 'd', 'e']) use(id, '9')
    for (const seq of [2n, 3n, 4n]) await settleAll(seq)
    const { charged } = world.flow.record(key(9n))
    await restore()
    await adoptNow()
    for (const seq of [5n, 6n, 7n]) await settleAll(seq)
    expect(world.flow.record(key(9n))).toMatchObject({ charged, lastSeq: 7n })
    expect((await daemon.store.records.counts()).attributed).toBe(0)
    await expectRight()
  })

  test('takes the chain’s batch where ours of that number was never anchored', async () => {
    await backup()
    use('lost', '9')
    await settleAll(2n)
    await restore()
    // Another row is seen first, so the batch of this number is another one; the guard came too late.
    const { anchors } = world.flare
    const lost = anchors.splice(1, 1)
    await daemon.run('collect', 'attribute')
    use('new', '7')
    world.tick(SEAL_INTERVAL_MS)
    await daemon.run('collect', 'attribute', 'seal')
    expect((await daemon.store.batches.last())?.header.seq).toBe(2n)
    anchors.push(...lost)
    expect(await adoptNow()).toMatchObject({ batches: 1, lastSeq: 2n })
    await settleAll(3n)
    expect((await daemon.store.batches.get(batchId(2n)))?.life.state).toBe('superseded')
    await expectRight()
  })
})

test('a batch that the copy has without its signature is taken from the chain', async () => {
  use('lost', '9')
  world.tick(SEAL_INTERVAL_MS)
  await daemon.run('collect', 'attribute', 'seal')
  await backup()
  await settleAll(2n)
  use('lost too', '7')
  await settleAll(3n)
  await restore()
  expect(await adoptNow()).toMatchObject({ batches: 2, lastSeq: 3n })
  use('new', '7')
  await settleAll(4n)
  expect((await daemon.store.batches.get(batchId(2n)))?.life.state).toBe('superseded')
  await expectRight()
})

// The rows are read again, so the batch states the same; but it was sealed later.
test('the chain’s batch is taken where ours of that number has the same root', async () => {
  await backup()
  use('lost', '9')
  world.tick(SEAL_INTERVAL_MS)
  await runUntil(world, daemon, 'anchored', 2n)
  const { anchors } = world.flare
  const lost = anchors.splice(1, 1)
  await restore()
  world.tick(1_000)
  await daemon.run('collect', 'attribute', 'seal')
  const ours = await daemon.store.batches.last()
  expect(ours?.header).toMatchObject({ seq: 2n, root: lost[0]?.header.root })
  anchors.push(...lost)
  await expect(daemon.step('anchor')).rejects.toMatchObject({ code: 'meter_second_digest' })
  expect(await adoptNow()).toMatchObject({ batches: 1, lastSeq: 2n })
  await settleAll(3n)
  await expectRight()
})

test('there is nothing to adopt where the store has all of it', async () => {
  await expect(adoptNow()).rejects.toMatchObject({ code: 'nothing_to_adopt' })
})

// Goal: no store is left with a daemon that does not start and nothing to adopt. Method: the newest
// batch is signed, and lost with the store before Flare has it; the next one is another.
describe('a batch that was signed, and lost before it was anchored', () => {
  async function loseSigned(): Promise<void> {
    use('lost', '9')
    world.tick(SEAL_INTERVAL_MS)
    await daemon.run('collect', 'attribute', 'seal')
    const sealed = await daemon.store.batches.last()
    if (sealed === undefined) throw new Error('nothing was sealed')
    await world.meterKey.sign(sealed.header)
    await restore()
    use('new', '9')
    world.tick(SEAL_INTERVAL_MS)
    await daemon.run('collect', 'attribute', 'seal')
    await expect(daemon.step('anchor')).rejects.toMatchObject({ code: 'meter_second_digest' })
  }

  test('is forgotten when the operator says so', async () => {
    await backup()
    await loseSigned()
    await expect(adoptNow()).rejects.toMatchObject({
      code: 'nothing_to_adopt',
      message: expect.stringContaining('--forget-signed'),
    })
    expect(await adoptNow(true)).toEqual({ batches: 0, lastSeq: 1n, entries: 0 })
    await settleAll(2n)
    await expectRight()
    expect(await daemon.store.operatorLog.entries(1, 9)).toMatchObject([{ verb: 'adopt' }])
  })

  test('was the first one of its meter', async () => {
    await world.file.remove()
    world = new World()
    for (const account of [7n, 9n]) world.flow.openVault(account, SEPTEMBER_S)
    world.tick()
    daemon = await world.boot()
    await daemon.run('reconcile')
    await backup()
    await loseSigned()
    expect(await adoptNow(true)).toEqual({ batches: 0, lastSeq: 0n, entries: 0 })
    await settleAll(1n)
    await expectRight()
  })
})

test('a backup never takes the place of a file unasked, and is whole', async () => {
  await backup()
  await expect(backup()).rejects.toMatchObject({ code: 'backup_exists' })
  await backupStore(world.file.path, copy(), true)
  await restore()
  expect((await daemon.store.batches.last())?.life.state).toBe('settled')
})
