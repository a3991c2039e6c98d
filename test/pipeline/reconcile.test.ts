import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError, RetryableError, TerminalError } from '../../src/domain/errors.js'
import { ALL_ACCOUNTS, accountNumber, batchId, batchSeq, modelId } from '../../src/domain/ids.js'
import { type Ufix64Units, wad } from '../../src/domain/money.js'
import { computeChecks } from '../../src/pipeline/checks.js'
import { guard } from '../../src/pipeline/guard.js'
import { bindIdentity } from '../../src/pipeline/identity.js'
import { entriesToRestate } from '../../src/pipeline/restate.js'
import { seenOf } from '../support/seen.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { type Daemon, runUntil, World } from '../support/world.js'

const KEY = { accountNumber: accountNumber(7n), periodStart: SEPTEMBER_S }
const units = (value: bigint) => value as Ufix64Units
const EVEN = { pool: units(3n), vaultBalances: units(2n), earnings: units(1n) }

let world: World
let daemon: Daemon

beforeEach(async () => {
  world = new World()
  world.flow.openVault(7n, SEPTEMBER_S)
  world.flow.openVault(9n, SEPTEMBER_S)
  world.use(usageRecord('a', { user: '7' }), usageRecord('b', { user: '9' }))
  world.tick()
  daemon = await world.boot()
})
afterEach(() => world.file.remove())

describe('reconciling', () => {
  test('copies vaults, models and plans, and says when they changed', async () => {
    expect(await daemon.step('reconcile')).toBe('advanced')
    expect(await daemon.step('reconcile')).toBe('idle')
    expect(await daemon.store.books.vaults()).toEqual(world.flow.vaultsHeld)
    expect(await daemon.store.books.models()).toEqual(world.flow.modelsHeld)
    expect((await daemon.store.books.plans()).get('1')).toEqual(world.flow.plan)
    world.flow.openVault(11n, SEPTEMBER_S)
    expect(await daemon.step('reconcile')).toBe('advanced')
    expect(await daemon.store.books.vaults()).toHaveLength(3)
  })

  // Else usage could be sealed, charged and corrected in blocks that nobody would read.
  test('knows no vault before it knows from which block on results are read', async () => {
    const { sealedHeight } = world.flow
    world.flow.sealedHeight = () =>
      Promise.reject(new RetryableError('settler_unreachable', 'no answer'))
    await expect(daemon.step('reconcile')).rejects.toMatchObject({ code: 'settler_unreachable' })
    expect(await daemon.store.books.vaults()).toEqual([])
    world.flow.sealedHeight = sealedHeight
    const height = await world.flow.sealedHeight()
    await daemon.run('reconcile')
    expect(await daemon.store.books.vaults()).toHaveLength(2)
    expect((await daemon.store.books.readHeight()) ?? 0).toBeGreaterThanOrEqual(height)
  })

  test('reads back what Flow applied, charged and was paid', async () => {
    await runUntil(world, daemon, 'settled')
    await daemon.run('reconcile')
    const applied = await daemon.store.books.applied(ALL_ACCOUNTS)
    expect(applied.find((one) => one.accountNumber === 7n)).toEqual(world.flow.record(KEY))
    const [balance] = await world.flow.balances([KEY.accountNumber])
    const copied = (await daemon.store.books.balances(ALL_ACCOUNTS)).find(
      ({ account }) => account === 7n,
    )
    expect(copied).toEqual(balance)
    expect(balance?.charged).toBeGreaterThan(0n)
  })

  test('finds results that nobody of this process brought', async () => {
    await runUntil(world, daemon, 'accepted')
    const entries = await daemon.store.batches.entries(batchId(1n))
    const leaves = entries.map(({ leaf }) => leaf)
    const run = { leavesBefore: [], leavesAfter: leaves.slice(1), path: [] }
    const refusal = world.flow.settleNow(1n, [
      { ...run, entries: entries.slice(0, 1).map(({ bytes }) => bytes) },
    ])
    expect(refusal).toBeUndefined()
    await daemon.run('reconcile')
    const results = (await daemon.store.batches.entries(batchId(1n))).map(({ result }) => result)
    expect(results).toEqual(['applied', undefined])
  })

  // Goal: a provider with many vaults does not spend its days on reading them. Method: the reading
  // takes seconds of the clock.
  test('rests from a long reading, and looks at once when there is a result', async () => {
    const { flow, clock } = world
    const readVaults = flow.vaults.bind(flow)
    let readings = 0
    flow.vaults = () => {
      readings += 1
      clock.pass(3_000)
      return readVaults()
    }
    await runUntil(world, daemon, 'accepted')
    await daemon.run('reconcile')
    flow.openVault(11n, SEPTEMBER_S)
    readings = 0
    for (let steps = 0; steps < 5; steps += 1) {
      clock.pass(2_000)
      await daemon.run('reconcile')
    }
    expect([readings, (await daemon.store.books.vaults()).length]).toEqual([0, 2])
    await runUntil(world, daemon, 'settled')
    expect(
      (await daemon.store.books.applied(ALL_ACCOUNTS)).some(({ lastSeq }) => lastSeq === 1n),
    ).toBe(true)
    readings = 0
    clock.pass(60_000)
    await daemon.run('reconcile')
    expect([readings, (await daemon.store.books.vaults()).length]).toEqual([1, 3])
  })

  test('checks anew when a batch is settled, though settling has read the results itself', async () => {
    const { flow, clock } = world
    const readPools = flow.conservation.bind(flow)
    flow.conservation = () => {
      clock.pass(10_000)
      return readPools()
    }
    await runUntil(world, daemon, 'accepted')
    await daemon.run('reconcile')
    const batch = () => daemon.store.batches.get(batchId(1n))
    for (let tries = 0; (await batch())?.life.state !== 'settled'; tries += 1) {
      expect(tries).toBeLessThan(20)
      await daemon.run('settle')
      world.tick(1)
    }
    await daemon.run('reconcile')
    const checkedAtMs = (await daemon.store.books.checks())?.atMs
    expect(checkedAtMs).toBeGreaterThan((await batch())?.changedAtMs ?? 0)
  })

  test('after a restart reads everything again, and the sums are right', async () => {
    await runUntil(world, daemon, 'settled')
    daemon = await world.reboot(daemon)
    await daemon.run('reconcile')
    const checks = await daemon.store.books.checks()
    expect(checks?.atMs).toBe(world.clock.now())
    expect(Object.values(checks?.checks ?? { none: 1n }).every((one) => one === 0n)).toBe(true)
  })
})

// Goal: a check that never fails is worth nothing. Method: break what each one is about.
describe('each check', () => {
  const checks = async () => computeChecks(daemon.store, await seenOf(daemon.store, EVEN))
  const broken = async () =>
    Object.entries(await checks()).flatMap(([name, value]) => (value === 0n ? [] : [name]))

  function tamper(sql: string): void {
    const database = new Database(world.file.path)
    database.pragma('foreign_keys = OFF')
    const { changes } = database.prepare(sql).run()
    database.close()
    expect(changes).toBeGreaterThan(0)
  }

  beforeEach(async () => {
    await runUntil(world, daemon, 'settled')
    await daemon.run('reconcile')
  })

  test('is 0 when all is well', async () => {
    expect(await broken()).toEqual([])
    expect(Object.keys(await checks()).length).toBeGreaterThanOrEqual(7)
  })

  test.each([
    [
      'a record is taken out of its batch',
      "update usage_records set batch_seq = null where request_id = 'a'",
      'records_vs_totals',
    ],
    [
      'a claimed record has other tokens',
      "update usage_records set prompt_tokens = 7, cached_prompt_tokens = 0 where request_id = 'a'",
      'records_vs_totals',
    ],
    [
      'totals are not what the entry says',
      'update usage_totals set completion_tokens = completion_tokens + 1',
      'totals_vs_entries',
    ],
    ['a number is left out', 'update batches set seq = 3 where seq = 1', 'seq_gaps'],
    [
      'a leaf is not under the root',
      `update entries set leaf = '0x${'11'.repeat(32)}' where position = 0`,
      'roots',
    ],
  ])('sees when %s', async (_, sql, name) => {
    tamper(sql)
    expect(await broken()).toContain(name)
  })

  test('sees when Flow charged another price', async () => {
    const record = world.flow.record(KEY)
    await daemon.store.books.saveApplied([{ ...record, charged: wad(record.charged + 1n) }])
    expect((await checks()).charged_vs_price).toBe(1n)
  })

  test('sees when what was charged is neither paid, owed nor written off', async () => {
    const [balance] = await world.flow.balances([KEY.accountNumber])
    if (balance === undefined) throw new Error('no balance')
    await daemon.store.books.saveBalances([{ ...balance, owed: wad(balance.owed + 5n) }])
    expect((await checks()).charged_split).toBe(5n)
  })

  test('sees when the pool is not what vaults and provider have', async () => {
    const uneven = { ...EVEN, pool: units(2n) }
    const seen = await seenOf(daemon.store, uneven)
    expect((await computeChecks(daemon.store, seen)).pool).toBe(1n)
  })
})

describe('what is stated again', () => {
  const names = async () =>
    (await entriesToRestate(daemon.store, world.clock.now())).map((one) => one.accountNumber)

  test('is nothing while the batch that states it is on its way, or done', async () => {
    expect(await names()).toEqual([])
    for (const state of ['sealed', 'requested', 'accepted', 'settled'] as const) {
      await runUntil(world, daemon, state)
      expect(await names()).toEqual([])
    }
  })

  test.each(['parked', 'superseded'] as const)('is what a %s batch stated', async (state) => {
    await runUntil(world, daemon, 'accepted')
    const life =
      state === 'parked'
        ? ({ state, reason: 'x', from: { state: 'accepted' } } as const)
        : ({ state } as const)
    await daemon.store.batches.saveLife(batchId(1n), life)
    expect(await names()).toEqual([7n, 9n])
    // What Flow has applied all the same needs no other batch.
    await daemon.store.books.saveApplied([{ ...world.flow.record(KEY), lastSeq: 1n }])
    expect(await names()).toEqual([9n])
  })

  test('is what lies under a root that Flow holds no more', async () => {
    await runUntil(world, daemon, 'accepted')
    const entry = { ...KEY, accountNumber: accountNumber(9n) }
    const rows = [
      {
        modelId: modelId(1),
        promptTokens: 1n,
        cachedPromptTokens: 0n,
        completionTokens: 0n,
        requests: 1n,
      },
    ]
    const { header, manifestJson } = await runUntil(world, daemon, 'accepted')
    for (const [seq, expected] of [
      [256n, []],
      [257n, [7n]],
    ] as const) {
      await daemon.store.batches.add({ ...header, seq: batchSeq(seq) }, manifestJson, [])
      await daemon.store.totals.save(entry, rows, batchId(seq))
      expect(await names()).toEqual(expected)
    }
  })
})

describe('work on one item', () => {
  const { signal } = new AbortController()
  const park = async (reason: string) => `parked: ${reason}`
  const failing = (error: unknown) => guard(() => Promise.reject(error), park, signal)

  test('gives its result', async () => {
    expect(await guard(async () => 'done', park, signal)).toBe('done')
  })

  test('parks the item for what cannot heal, and for a bug with its stack', async () => {
    expect(await failing(new TerminalError('refused', 'no'))).toBe('parked: refused: no')
    expect(await failing(new TypeError('x is undefined'))).toMatch(/x is undefined\n +at /)
    expect(await failing('a text')).toBe('parked: a text')
  })

  test('passes on what may pass, and what an operator has to mend for the whole process', async () => {
    for (const error of [new RetryableError('busy', 'later'), new ConfigError('other', 'fix')]) {
      await expect(failing(error)).rejects.toBe(error)
    }
  })

  test('parks nothing when the process is being stopped', async () => {
    const stop = new AbortController()
    stop.abort(new Error('stopping'))
    const work = guard(() => Promise.reject(new Error('cut off')), park, stop.signal)
    await expect(work).rejects.toThrow('stopping')
  })
})

test('a store is bound to its identity, and every difference is told at once', async () => {
  const { identity } = daemon.store
  const facts = { anchor: '0x01', network: 'emulator', meter: world.meterKey.address }
  await bindIdentity(identity, facts)
  await bindIdentity(identity, facts)
  const other = bindIdentity(identity, { ...facts, anchor: '0x09', meter: '0x08' })
  await expect(other).rejects.toMatchObject({ name: 'ConfigError', code: 'another_identity' })
  await expect(bindIdentity(identity, { ...facts, anchor: '0x09', meter: '0x08' })).rejects.toThrow(
    /anchor is 0x09, .* 0x01; meter is 0x08, .* 0x1111/,
  )
})
