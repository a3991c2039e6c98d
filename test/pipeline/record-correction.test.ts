import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountNumber, batchId, modelId } from '../../src/domain/ids.js'
import { checkReceipts } from '../../src/pipeline/check-receipts.js'
import { releaseEntry } from '../../src/pipeline/parked.js'
import { makeReceipts } from '../../src/pipeline/receipts.js'
import { recordRemapping, recordWaiver } from '../../src/pipeline/record-correction.js'
import type { Correction } from '../../src/ports/corrections.js'
import { type Billable, billableOf, priceOf } from '../../src/pricing/price.js'
import { decodeEntry } from '../support/test-flow.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import {
  attributionOf,
  type Daemon,
  RECEIPT_SECRET,
  runUntil,
  SEAL_INTERVAL_MS,
  World,
} from '../support/world.js'

const ordered = { reason: 'the wrong customer', by: 'an operator' }
const key = (account: bigint) => ({
  accountNumber: accountNumber(account),
  periodStart: SEPTEMBER_S,
})

let world: World
let daemon: Daemon

beforeEach(async () => {
  world = new World()
  for (const account of [7n, 9n]) world.flow.openVault(account, SEPTEMBER_S)
  world.tick()
  daemon = await world.boot()
  await daemon.store.directory.set('alice', accountNumber(7n))
  world.use(
    usageRecord('a', { user: 'alice' }),
    usageRecord('b', { user: 'alice', promptTokens: 900n }),
    usageRecord('c', { user: '7' }),
  )
})
afterEach(() => world.file.remove())

/** `alice` belongs to account 9 from now on. */
async function moveAlice(): Promise<Correction> {
  await daemon.store.directory.set('alice', accountNumber(9n))
  const recorded = await recordRemapping(daemon.store, attributionOf(), undefined, ordered)
  expect(recorded).toHaveLength(1)
  const [first] = recorded
  if (first === undefined) throw new Error('nothing was recorded')
  return first.correction
}

const charged = (account: bigint) => world.flow.record(key(account)).charged
const checks = async () => (await daemon.store.books.checks())?.checks ?? {}
const differing = async () => Object.entries(await checks()).filter(([, value]) => value !== 0n)
function billableBy(...ids: string[]): Billable {
  const rows = world.source.rows.filter((row) => ids.includes(row.key.requestId))
  const sum = (of: (row: (typeof rows)[number]) => bigint) =>
    rows.reduce((total, row) => total + of(row), 0n)
  const usage = {
    modelId: modelId(1),
    promptTokens: sum((row) => row.promptTokens),
    cachedPromptTokens: sum((row) => row.cachedPromptTokens),
    completionTokens: sum((row) => row.completionTokens),
    requests: BigInt(rows.length),
  }
  return billableOf(world.flow.plan, [usage])
}
const billOf = (...ids: string[]) => priceOf(world.flow.plan, billableBy(...ids))

/** What the customer of a vault finds who checks the receipts. */
async function checked(account: bigint) {
  const signing = { provider: 1n, receiptSecret: RECEIPT_SECRET }
  const { problems, calls } = checkReceipts(await makeReceipts(key(account), signing, daemon.store))
  return { problems, calls }
}

async function settleAll(seq: bigint): Promise<void> {
  world.tick(SEAL_INTERVAL_MS)
  await runUntil(world, daemon, 'settled', seq)
  await daemon.run('reconcile')
}

describe('sealed usage that belongs to somebody else', () => {
  test('is taken from the one and charged to the other, each once, to the wad', async () => {
    await runUntil(world, daemon, 'settled')
    const correction = await moveAlice()
    expect(correction).toMatchObject({ ...key(7n), afterSeq: 1n, records: 2, by: 'an operator' })
    await settleAll(1n)
    expect(world.flow.correctNow(key(7n), correction.billable, correction.afterSeq)).toBeUndefined()
    await daemon.run('reconcile')
    expect(await daemon.store.corrections.pending()).toEqual([])
    await settleAll(2n)

    expect([charged(7n), charged(9n)]).toEqual([billOf('c'), billOf('a', 'b')])
    expect(await checked(7n)).toEqual({ problems: [], calls: 3 })
    expect(await checked(9n)).toEqual({ problems: [], calls: 2 })
    expect(await differing()).toEqual([])
    const second = (await daemon.store.batches.entries(batchId(2n))).map(({ bytes }) =>
      decodeEntry(bytes),
    )
    expect(second.map(({ accountNumber: account, rows }) => [account, rows[0]?.requests])).toEqual([
      [7n, 1n],
      [9n, 2n],
    ])
    expect(second[1]?.recordsRoot).not.toBe(`0x${'00'.repeat(32)}`)
    const { manifestJson = '' } = (await daemon.store.batches.get(batchId(2n))) ?? {}
    expect(JSON.parse(manifestJson)).toMatchObject({
      corrections: [
        {
          id: '1',
          account: '7',
          afterSeq: '1',
          reason: ordered.reason,
          taken: [{ requests: '2' }],
        },
      ],
      operatorLog: await daemon.store.operatorLog.head(),
    })
    await settleAll(2n)
    expect((await daemon.store.batches.last())?.header.seq).toBe(2n)
  })

  test('is moved on by a third mapping, and back', async () => {
    await runUntil(world, daemon, 'settled')
    const first = await moveAlice()
    world.flow.correctNow(key(7n), first.billable, first.afterSeq)
    await settleAll(2n)
    await daemon.store.directory.set('alice', accountNumber(7n))
    const [back] = await recordRemapping(daemon.store, attributionOf(), accountNumber(9n), ordered)
    if (back === undefined) throw new Error('nothing was recorded')
    expect(back.correction).toMatchObject({ ...key(9n), records: 2, billable: 0n })
    world.flow.correctNow(key(9n), 0n, back.correction.afterSeq)
    await settleAll(3n)
    expect(charged(7n)).toBe(billOf('a', 'b', 'c'))
    expect(world.flow.record(key(9n)).billable).toBe(0n)
    expect(await checked(7n)).toEqual({ problems: [], calls: 3 })
    expect(await checked(9n)).toEqual({ problems: [], calls: 2 })
    expect(await differing()).toEqual([])
    const nothing = recordRemapping(daemon.store, attributionOf(), undefined, ordered)
    await expect(nothing).rejects.toMatchObject({ code: 'nothing_to_correct' })
  })
})

describe('until the correction is on Flow', () => {
  test('nothing of its (vault, period) is sealed, and others are', async () => {
    await runUntil(world, daemon, 'settled')
    await moveAlice()
    const startedAtMs = world.clock.now()
    world.use(
      usageRecord('late', { user: '7', startedAtMs }),
      usageRecord('other', { user: '9', startedAtMs }),
    )
    await settleAll(2n)
    expect(
      (await daemon.store.batches.entries(batchId(2n))).map((one) => one.accountNumber),
    ).toEqual([9n])
    expect((await daemon.store.records.counts()).attributed).toBe(1)
    expect(charged(9n)).toBe(billOf('other'))
    expect(await differing()).toEqual([])

    const [correction] = await daemon.store.corrections.pending()
    if (correction === undefined) throw new Error('nothing is pending')
    world.flow.correctNow(key(7n), correction.billable, correction.afterSeq)
    await settleAll(3n)
    expect([charged(7n), charged(9n)]).toEqual([billOf('c', 'late'), billOf('other', 'a', 'b')])
    expect(await differing()).toEqual([])
  })

  test('a second one of the same (vault, period) is refused', async () => {
    await runUntil(world, daemon, 'settled')
    await moveAlice()
    const again = recordWaiver(daemon.store, [{ source: 'main', requestId: 'c' }], ordered)
    await expect(again).rejects.toMatchObject({ code: 'correction_pending' })
    expect(await daemon.store.operatorLog.entries(1, 9)).toHaveLength(1)
  })

  test('a batch that was on its way is stale for it, and what is left is stated again', async () => {
    await runUntil(world, daemon, 'settled')
    world.use(usageRecord('d', { user: '7', startedAtMs: world.clock.now() }))
    world.tick(SEAL_INTERVAL_MS)
    await runUntil(world, daemon, 'accepted', 2n)
    const [recorded] = await recordWaiver(
      daemon.store,
      [{ source: 'main', requestId: 'c' }],
      ordered,
    )
    if (recorded === undefined) throw new Error('nothing was recorded')
    // Batch 2 is not applied yet, so Flow holds as much as will be left.
    expect(recorded.callBillable).toBe(world.flow.record(key(7n)).billable)
    world.flow.correctNow(key(7n), recorded.callBillable, recorded.correction.afterSeq)
    await settleAll(2n)
    await settleAll(3n)
    expect(world.flow.events.map(({ seq, result }) => [seq, result])).toEqual([
      [1n, 'applied'],
      [2n, 'stale'],
      [3n, 'applied'],
    ])
    expect(charged(7n)).toBe(billOf('a', 'b', 'd'))
    expect(await differing()).toEqual([])
  })
})

// Goal: what the provider is told to send is so already, so nothing is sent, and no event will come.
test('a second one that Flow is like already waits for nothing', async () => {
  await runUntil(world, daemon, 'accepted')
  const first = await moveAlice()
  world.flow.correctNow(key(7n), 0n, first.afterSeq) // Batch 1 is not settled: Flow holds nothing.
  await daemon.run('reconcile')
  expect(await daemon.store.corrections.pending()).toEqual([])
  const [waived] = await recordWaiver(daemon.store, [{ source: 'main', requestId: 'c' }], ordered)
  expect(waived).toMatchObject({ callBillable: 0n, callAfterSeq: 1n })
  await daemon.run('reconcile')
  expect(await daemon.store.corrections.pending()).toEqual([])
  expect(await daemon.store.totals.of(key(7n))).toMatchObject([{ requests: 0n }])
  world.use(usageRecord('d', { user: '7', startedAtMs: world.clock.now() }))
  await settleAll(2n)
  expect([charged(7n), charged(9n)]).toEqual([billOf('d'), billOf('a', 'b')])
  expect(await differing()).toEqual([])
})

test('records that are waived count nowhere', async () => {
  await runUntil(world, daemon, 'settled')
  const keys = ['a', 'c'].map((requestId) => ({ source: 'main', requestId }))
  const [recorded] = await recordWaiver(daemon.store, keys, ordered)
  if (recorded === undefined) throw new Error('nothing was recorded')
  const { billable, afterSeq } = recorded.correction
  world.flow.correctNow(key(7n), billable, afterSeq)
  await settleAll(2n)
  expect(charged(7n)).toBe(billOf('b'))
  expect(await differing()).toEqual([])
  const unknown = recordWaiver(daemon.store, keys, ordered)
  await expect(unknown).rejects.toMatchObject({ code: 'record_not_counted' })
})

// Goal: a total falls by a recorded correction alone.
describe('a correction on Flow that is not the recorded one', () => {
  test('lowers nothing here, and is shown until one is recorded', async () => {
    await runUntil(world, daemon, 'settled')
    const before = await daemon.store.totals.of(key(7n))
    world.flow.correctNow(key(7n), 1n, 1n)
    await daemon.run('reconcile')
    expect(await daemon.store.totals.of(key(7n))).toEqual(before)
    expect(await daemon.store.corrections.unrecorded()).toMatchObject([{ billable: 1n }])
    world.use(usageRecord('d', { user: '9', startedAtMs: world.clock.now() }))
    await settleAll(2n)
    expect(await checks()).toMatchObject({ corrections_unrecorded: 1n })
  })

  test('holds what would undo it until an operator releases it', async () => {
    await runUntil(world, daemon, 'settled')
    world.flow.correctNow(key(7n), 1n, 1n)
    await daemon.run('reconcile')
    const startedAtMs = world.clock.now()
    world.use(
      usageRecord('d', { user: '7', startedAtMs }),
      usageRecord('e', { user: '9', startedAtMs }),
    )
    await settleAll(2n)
    const second = await daemon.store.batches.entries(batchId(2n))
    expect(second.map((one) => one.accountNumber)).toEqual([9n])
    expect(world.flow.record(key(7n)).billable).toBe(1n)
    expect(await daemon.store.stops.open()).toMatchObject([
      { ...key(7n), cause: 'corrected_on_flow', why: expect.stringContaining('flowmeter correct') },
    ])

    await releaseEntry(daemon.store, key(7n), 'held release', ordered)
    await settleAll(3n)
    expect(charged(7n)).toBe(billOf('a', 'b', 'c', 'd'))
    expect(await daemon.store.stops.open()).toEqual([])
    expect(await differing()).toEqual([])
    // The next one is another matter.
    world.flow.correctNow(key(7n), 1n, 3n)
    await daemon.run('reconcile')
    expect(await daemon.store.stops.open()).toHaveLength(1)
  })

  test('and is recorded afterwards needs no second one', async () => {
    await runUntil(world, daemon, 'settled')
    world.flow.correctNow(key(7n), billableBy('c'), 1n)
    await daemon.run('reconcile')
    expect(await daemon.store.corrections.unrecorded()).toHaveLength(1)
    await moveAlice()
    await daemon.run('reconcile')
    expect(await daemon.store.corrections.unrecorded()).toEqual([])
    await settleAll(2n)
    expect([charged(7n), charged(9n)]).toEqual([billOf('c'), billOf('a', 'b')])
    expect(await differing()).toEqual([])
  })

  test('and leaves more than was recorded leaves it pending', async () => {
    await runUntil(world, daemon, 'settled')
    const correction = await moveAlice()
    world.flow.correctNow(key(7n), correction.billable + 1n, correction.afterSeq)
    await daemon.run('reconcile')
    expect(await daemon.store.corrections.pending()).toHaveLength(1)
    world.flow.correctNow(key(7n), correction.billable, correction.afterSeq)
    await daemon.run('reconcile')
    expect(await daemon.store.corrections.pending()).toEqual([])
    expect(await daemon.store.corrections.unrecorded()).toEqual([])
    await settleAll(2n)
    expect(await differing()).toEqual([])
  })
})

test('after a number far above all batches, what is not charged is a difference', async () => {
  await runUntil(world, daemon, 'settled')
  const correction = await moveAlice()
  world.flow.correctNow(key(7n), correction.billable, 1_000n)
  await daemon.run('reconcile')
  world.use(usageRecord('d', { user: '7', startedAtMs: world.clock.now() }))
  await settleAll(2n)
  expect(charged(7n)).toBe(billOf('c'))
  expect(await differing()).toEqual([['totals_vs_applied', billableBy('d')]])
})

test('a batch of before, brought again after the correction, changes nothing', async () => {
  const { header } = await runUntil(world, daemon, 'settled')
  const correction = await moveAlice()
  world.flow.correctNow(key(7n), correction.billable, correction.afterSeq)
  const after = world.flow.record(key(7n))
  const entries = (await daemon.store.batches.entries(batchId(header.seq))).map(
    ({ bytes }) => bytes,
  )
  const run = { leavesBefore: [], entries, leavesAfter: [], path: [] }
  expect(world.flow.settleNow(1n, [run])).toBeUndefined()
  expect(world.flow.events.at(-1)?.result).toBe('stale')
  expect(world.flow.record(key(7n))).toEqual(after)
})
