import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountNumber, batchId } from '../../src/domain/ids.js'
import {
  listParked,
  releaseEntry,
  retryBatch,
  skipBatch,
  skipEntry,
  supersedeParked,
} from '../../src/pipeline/parked.js'
import { recordRemapping, recordWaiver } from '../../src/pipeline/record-correction.js'
import { entriesToRestate } from '../../src/pipeline/restate.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import {
  attributionOf,
  type Daemon,
  runUntil,
  SEAL_INTERVAL_MS,
  World,
  type WorldParts,
} from '../support/world.js'

const order = { reason: 'looked at it', by: 'ann' }
const key = (account: bigint) => ({
  accountNumber: accountNumber(account),
  periodStart: SEPTEMBER_S,
})
/** What one record of these tests costs under the default plan's first tier: 225 tokens. */
const CENT = 10n ** 16n

let world: World
let daemon: Daemon

async function begin(parts: WorldParts = {}): Promise<void> {
  world = new World(parts)
  for (const account of [7n, 9n]) world.flow.openVault(account, SEPTEMBER_S)
  world.tick()
  daemon = await world.boot()
}
beforeEach(() => begin())
afterEach(() => world.file.remove())

const use = (id: string, account: string, more: object = {}) =>
  world.use(usageRecord(id, { user: account, startedAtMs: world.clock.now() - 1, ...more }))
const lastSeq = async () => (await daemon.store.batches.last())?.header.seq ?? 0n

async function settleAll(seq: bigint): Promise<void> {
  world.tick(SEAL_INTERVAL_MS)
  await runUntil(world, daemon, 'settled', seq)
  await daemon.run('reconcile')
}

/** Time passes and nothing new is sealed. */
async function expectRest(): Promise<void> {
  const before = await lastSeq()
  for (let i = 0; i < 3; i += 1) {
    world.tick(SEAL_INTERVAL_MS)
    await daemon.run('reconcile', 'collect', 'attribute', 'seal')
  }
  expect(await lastSeq()).toBe(before)
}

describe('an entry that Flow refuses', () => {
  test('is stated once and not for ever, is shown, and once more when it is asked for', async () => {
    use('a', '7')
    use('b', '9')
    world.flow.refusals.set(7n, 'held')
    await runUntil(world, daemon, 'settled')
    await daemon.run('reconcile')
    await expectRest()
    const { refused } = await listParked(daemon.store)
    expect(refused).toMatchObject([{ ...key(7n), seq: '1', result: 'held' }])
    expect((await daemon.store.batches.counts()).refusedEntries).toBe(1)

    world.flow.refusals.clear()
    await expectRest()
    await releaseEntry(daemon.store, key(7n), 'parked retry-entry', order)
    await settleAll(2n)
    expect(world.flow.record(key(7n)).lastSeq).toBe(2n)
    expect(await listParked(daemon.store)).toEqual({ batches: [], refused: [], stopped: [] })
    await expectRest()
  })

  test('can be forgotten only when nothing is left to charge for', async () => {
    use('a', '7')
    world.flow.refusals.set(7n, 'badPeriod')
    await runUntil(world, daemon, 'settled')
    await daemon.run('reconcile')
    await expect(skipEntry(daemon.store, key(7n), order)).rejects.toMatchObject({
      code: 'would_change_money',
      message: expect.stringContaining('flowmeter correct waive'),
    })
    await recordWaiver(daemon.store, [{ source: 'main', requestId: 'a' }], order)
    world.flow.correctNow(key(7n), 0n, 1n)
    await daemon.run('reconcile')
    await skipEntry(daemon.store, key(7n), order)
    expect((await daemon.store.operatorLog.entries(1, 9)).map(({ verb }) => verb)).toEqual([
      'correct waive',
      'parked skip-entry',
    ])
  })
})

describe('a parked batch', () => {
  const park = async (seq: bigint) => {
    const batch = await daemon.store.batches.get(batchId(seq))
    if (batch === undefined) throw new Error(`no batch ${seq}`)
    const parked = { state: 'parked', reason: 'Flow refused it', from: batch.life } as const
    await daemon.store.batches.saveLife(batchId(batch.header.seq), parked)
  }

  test('cannot be skipped while it alone states something, and goes by itself afterwards', async () => {
    use('a', '7')
    await runUntil(world, daemon, 'accepted')
    await park(1n)
    await expect(skipBatch(daemon.store, batchId(1n), order)).rejects.toMatchObject({
      code: 'would_change_money',
      message: expect.stringContaining('The next batch states them again'),
    })
    await settleAll(2n)
    expect((await daemon.store.batches.get(batchId(1n)))?.life.state).toBe('superseded')
    expect(await listParked(daemon.store)).toMatchObject({ batches: [] })
    await expect(skipBatch(daemon.store, batchId(1n), order)).rejects.toMatchObject({
      code: 'not_parked',
    })
  })

  test('is looked at without reading all the others, and so is what is to be restated', async () => {
    use('a', '7')
    await runUntil(world, daemon, 'accepted')
    await park(1n)
    const whole = () => Promise.reject(new Error('a whole batch was read'))
    const batches = { ...daemon.store.batches, page: whole, get: whole }
    const stores = { ...daemon.store, batches }
    expect(await supersedeParked(stores)).toBe(0)
    expect(await listParked(stores)).toMatchObject({ batches: [{ seq: '1', onlyHere: [key(7n)] }] })
    expect(await entriesToRestate(stores, world.clock.now())).toEqual([key(7n)])
  })

  test('goes on from where it stopped when it is retried, which is noted', async () => {
    use('a', '7')
    await runUntil(world, daemon, 'accepted')
    await park(1n)
    await retryBatch(daemon.store, batchId(1n), order)
    await runUntil(world, daemon, 'settled')
    expect(await daemon.store.operatorLog.entries(1, 9)).toMatchObject([
      { who: 'ann', verb: 'parked retry', arguments: { batch: '1' }, reason: 'looked at it' },
    ])
  })

  // A batch whose last entry Flow refuses alone is parked with all others settled.
  test('twice in vain for one entry stops that entry, and no other', async () => {
    use('a', '7')
    await runUntil(world, daemon, 'accepted')
    await park(1n)
    world.tick(SEAL_INTERVAL_MS)
    await runUntil(world, daemon, 'accepted', 2n)
    await park(2n)
    await expectRest()
    expect(await listParked(daemon.store)).toMatchObject({
      stopped: [{ ...key(7n), cause: 'refused_alone' }],
    })
    use('b', '7')
    use('c', '9')
    await settleAll(3n)
    const entries = await daemon.store.batches.entries(batchId(3n))
    expect(entries.map((one) => one.accountNumber)).toEqual([9n])
    await releaseEntry(daemon.store, key(7n), 'parked retry-entry', order)
    await settleAll(4n)
    expect(world.flow.record(key(7n)).lastSeq).toBe(4n)
  })
})

describe('charges that are held before sealing', () => {
  const bounds = { multiple: 10n, above: CENT }

  test('what is far above the vault’s history waits until it is released', async () => {
    await world.file.remove()
    await begin({ bounds })
    use('first', '7')
    use('first of 9', '9')
    await runUntil(world, daemon, 'settled')
    use('absurd', '7', { promptTokens: 5_000_000n, cachedPromptTokens: 0n })
    use('usual', '9')
    await settleAll(2n)
    expect(
      (await daemon.store.batches.entries(batchId(2n))).map((one) => one.accountNumber),
    ).toEqual([9n])
    const { stopped } = await listParked(daemon.store)
    expect(stopped).toMatchObject([{ ...key(7n), cause: 'above_history' }])
    expect(stopped[0]?.why).toContain('above 10 times')
    await expectRest()

    await releaseEntry(daemon.store, key(7n), 'held release', order)
    use('and a little', '7')
    await settleAll(3n)
    expect((await daemon.store.records.counts()).attributed).toBe(0)
    expect((await daemon.store.books.checks())?.checks).toMatchObject({
      records_vs_totals: 0n,
      charged_vs_price: 0n,
      totals_vs_applied: 0n,
    })
  })

  test('what a correction has moved is released like what is new, and starves no other', async () => {
    await world.file.remove()
    await begin({ bounds })
    await daemon.store.directory.set('alice', accountNumber(7n))
    use('absurd', 'alice', { promptTokens: 5_000_000n, cachedPromptTokens: 0n })
    use('first of 9', '9')
    await runUntil(world, daemon, 'settled')
    await daemon.store.directory.set('alice', accountNumber(9n))
    const [moved] = await recordRemapping(daemon.store, attributionOf(), undefined, order)
    if (moved === undefined) throw new Error('nothing was recorded')
    world.flow.correctNow(key(7n), moved.callBillable, moved.correction.afterSeq)
    await settleAll(2n)
    expect(await listParked(daemon.store)).toMatchObject({
      stopped: [{ ...key(9n), cause: 'above_history' }],
    })
    expect(await daemon.store.corrections.recountable(10)).toEqual([])
    expect(await daemon.store.corrections.recountableOf(key(9n))).toHaveLength(1)

    await releaseEntry(daemon.store, key(9n), 'held release', order)
    await settleAll(3n)
    expect(await listParked(daemon.store)).toMatchObject({ stopped: [] })
    expect(await daemon.store.corrections.recountableOf(key(9n))).toEqual([])
    expect(world.flow.record(key(9n)).lastSeq).toBe(3n)
  })

  test('the limit of 24 hours counts all vaults, and rolls on', async () => {
    await world.file.remove()
    await begin({ bounds: { above: 0n, dayLimit: 4n * CENT } })
    for (const account of ['7', '9']) use(`of ${account}`, account, { promptTokens: 800n })
    await runUntil(world, daemon, 'settled')
    expect(await listParked(daemon.store)).toMatchObject({
      stopped: [{ ...key(9n), cause: 'above_day_limit' }],
    })
    await releaseEntry(daemon.store, key(9n), 'held release', order)
    await settleAll(2n)
    use('a day later', '7', { promptTokens: 800n })
    world.tick(SEAL_INTERVAL_MS)
    await daemon.run('reconcile', 'collect', 'attribute', 'seal')
    expect(await lastSeq()).toBe(2n)
    world.clock.pass(24 * 3_600_000)
    await releaseEntry(daemon.store, key(7n), 'held release', order)
    await settleAll(3n)
    expect(await listParked(daemon.store)).toMatchObject({ stopped: [] })
  })

  test('there is nothing to release where nothing waits', async () => {
    await expect(releaseEntry(daemon.store, key(7n), 'held release', order)).rejects.toMatchObject({
      code: 'no_such_entry',
    })
  })
})
