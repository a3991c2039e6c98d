import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BatchHeader, BatchState } from '../../src/domain/batch.js'
import { keccak, utf8, ZERO_HASH } from '../../src/domain/bytes.js'
import { accountNumber, batchId, batchName, batchSeq } from '../../src/domain/ids.js'
import { audit } from '../../src/pipeline/audit.js'
import { checkReceipts } from '../../src/pipeline/check-receipts.js'
import { bindIdentity } from '../../src/pipeline/identity.js'
import { makeReceipts } from '../../src/pipeline/receipts.js'
import { callOf, recordWaiver } from '../../src/pipeline/record-correction.js'
import { rotateMeter } from '../../src/pipeline/rotate-meter.js'
import { runsFrom } from '../../src/pipeline/runs.js'
import { TestMeterKey } from '../support/test-flare.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { type Daemon, RECEIPT_SECRET, runUntil, SEAL_INTERVAL_MS, World } from '../support/world.js'

const { signal } = new AbortController()
const order = { reason: 'the key was on a stolen disk', by: 'ann' }
const key = (account: bigint) => ({
  accountNumber: accountNumber(account),
  periodStart: SEPTEMBER_S,
})

let world: World
let daemon: Daemon
let old: TestMeterKey

beforeEach(async () => {
  world = new World()
  old = world.meterKey
  for (const account of [7n, 9n]) world.flow.openVault(account, SEPTEMBER_S)
  world.tick()
  daemon = await world.boot()
  use('first', '7')
  use('first', '9')
  await runUntil(world, daemon, 'settled')
})
afterEach(() => world.file.remove())

const use = (id: string, account: string) =>
  world.use(usageRecord(`${id} ${account}`, { user: account, startedAtMs: world.clock.now() - 1 }))

const parts = () => ({
  store: daemon.store,
  attestor: world.flare,
  settler: world.flow,
  meterKey: world.meterKey,
})

/** The provider names the next meter, and the daemon ends and gets its key. */
async function rotate(byte = '22', isActive = true): ReturnType<typeof rotateMeter> {
  world.meterKey = new TestMeterKey(byte)
  world.flow.setMeter(world.meterKey.address, isActive)
  const rotated = await rotateMeter(parts(), order, signal)
  daemon = await world.reboot(daemon)
  return rotated
}

/** Until the batch of the current meter is in a state. */
async function until(state: BatchState, seq: bigint): Promise<void> {
  const { era } = await daemon.store.meters.current()
  world.tick(SEAL_INTERVAL_MS)
  await runUntil(world, daemon, state, batchId(seq, era))
}

/** Every row is charged once, and both the daemon's checks and the audit find nothing. */
async function expectRight(): Promise<void> {
  await daemon.run('reconcile')
  const checks = Object.entries((await daemon.store.books.checks())?.checks ?? { unchecked: 1n })
  expect(checks.filter(([, difference]) => difference !== 0n)).toEqual([])
  const { flare: history, flow: settler } = world
  const audited = { store: daemon.store, history, settler, receiptSecret: RECEIPT_SECRET }
  const found = Object.entries(await audit(audited, signal))
  expect(found.filter(([, difference]) => difference !== 0n)).toEqual([])

  const other = new World()
  for (const account of [7n, 9n]) other.flow.openVault(account, SEPTEMBER_S)
  other.clock.pass(world.clock.now() - other.clock.now())
  other.tick()
  other.use(...world.source.rows)
  const whole = await other.boot()
  await runUntil(other, whole, 'settled')
  for (const account of [7n, 9n]) {
    expect(world.flow.record(key(account)).charged).toBe(other.flow.record(key(account)).charged)
  }
  await other.file.remove()
}

const lives = async () =>
  (await daemon.store.batches.page(1n, 100)).map(({ id, life }) => `${batchName(id)} ${life.state}`)

describe('the next meter', () => {
  test.each(['sealed', 'anchored', 'requested', 'finalised', 'attested', 'accepted'] as const)(
    'states again what a batch had that was %s, and every row is charged once',
    async (state) => {
      use('in flight', '7')
      await until(state, 2n)
      expect((await rotate()).voided).toEqual(['2'])
      use('after', '9')
      await until('settled', 1n)
      expect(await lives()).toEqual(['1 settled', '2 superseded', '2.1 settled'])
      const claims = await daemon.store.records.claimedBy(batchId(1n, 1))
      expect(claims.map((record) => record.key.requestId)).toEqual(['after 9'])
      await expectRight()
      use('much later', '7')
      await until('settled', 2n)
      await expectRight()
    },
  )

  test('begins with number 1, and states what is settled of a period that goes on', async () => {
    expect((await rotate()).voided).toEqual([])
    await until('settled', 1n)
    const entries = await daemon.store.batches.entries(batchId(1n, 1))
    expect(entries.map((entry) => entry.accountNumber)).toEqual([7n, 9n])
    const first = await daemon.store.batches.get(batchId(1n, 1))
    expect(first?.header).toMatchObject({ seq: 1n, prevRoot: ZERO_HASH })
    // Nothing is due, so nothing more is said.
    world.tick(SEAL_INTERVAL_MS)
    await daemon.runRounds(3)
    expect(await lives()).toEqual(['1 settled', '2.1 settled'])
    await expectRight()
  })

  test('follows once more, and a restart changes nothing', async () => {
    await rotate('22')
    use('second', '7')
    await until('accepted', 1n)
    expect((await rotate('33')).voided).toEqual(['2.1'])
    daemon = await world.reboot(daemon)
    await until('settled', 1n)
    expect(await lives()).toEqual(['1 settled', '2.1 superseded', '3.1 settled'])
    await expectRight()
  })

  test('waits with its first batch until Flow takes it', async () => {
    await rotate('22', false)
    use('second', '7')
    await until('attested', 1n)
    await daemon.runRounds(2)
    expect(daemon.retried).toContain('meter_not_active')
    expect(await lives()).toEqual(['1 settled', '2.1 attested'])
    world.flow.isActive = true
    await until('settled', 1n)
    await expectRight()
  })

  test('is in the operators’ log and in the receipts, which add up over both', async () => {
    const rotated = await rotate()
    use('second', '7')
    await until('settled', 1n)
    expect(await daemon.store.operatorLog.entries(1, 9)).toMatchObject([
      { verb: 'rotate-meter', arguments: { from: old.address, to: rotated.to, meterEpoch: '2' } },
    ])
    const secrets = { provider: 1n, receiptSecret: RECEIPT_SECRET }
    const receipts = await makeReceipts(key(7n), secrets, daemon.store)
    expect(receipts.batches.map(({ meter, header }) => [meter?.address, header.seq])).toEqual([
      [old.address, 1n],
      [world.meterKey.address, 1n],
    ])
    expect(checkReceipts(receipts)).toMatchObject({ problems: [], calls: 2 })
    const mixed = { ...receipts, batches: [...receipts.batches, ...receipts.batches.slice(0, 1)] }
    expect(checkReceipts(mixed).problems).toContain(
      'batch 1: is of a meter that another one has followed',
    )
  })

  test('takes over a correction that was not on Flow yet', async () => {
    const waived = [{ source: 'main', requestId: 'first 7' }]
    const [recorded] = await recordWaiver(daemon.store, waived, order)
    await rotate()
    expect(recorded).toBeDefined()
    if (recorded === undefined) return
    const call = await callOf(recorded.correction, daemon.store)
    expect([recorded.callAfterSeq, call.callAfterSeq]).toEqual([1n, 0n])
    use('second', '9')
    await until('settled', 1n)
    world.flow.correctNow(key(7n), call.callBillable, call.callAfterSeq)
    use('third', '7')
    await until('settled', 2n)
    world.source.rows.splice(
      world.source.rows.findIndex((row) => row.key.requestId === 'first 7'),
      1,
    )
    await expectRight()
  })
})

// Goal: whoever has the old key changes no bill, and cannot stop us. Method: they do all they can.
describe('with the old key in other hands', () => {
  const fraud = (seq: bigint, prevRoot = ZERO_HASH): BatchHeader => ({
    seq: batchSeq(seq),
    root: keccak(utf8(`fraud ${seq}`)),
    prevRoot,
    sealedAt: 1,
    target: world.flow.identity.target,
    manifest: keccak('0x'),
  })

  test('a batch anchored before us stops the daemon; the next meter goes on without adopting it', async () => {
    const { lastRoot } = await world.flare.meterState(old.address)
    const header = fraud(2n, lastRoot)
    const thief = new TestMeterKey()
    expect(world.flare.anchorNow(header, await thief.sign(header))).toBeUndefined()
    use('second', '7')
    world.tick(SEAL_INTERVAL_MS)
    await daemon.run('collect', 'attribute')
    await expect(daemon.step('seal')).rejects.toMatchObject({ code: 'meter_ahead' })
    await rotate()
    await until('settled', 1n)
    await expectRight()
  })

  test('a batch anchored under a number of ours that is void is no fault of ours', async () => {
    use('second', '7')
    await until('sealed', 2n)
    const { lastRoot } = await world.flare.meterState(old.address)
    const header = fraud(2n, lastRoot)
    world.flare.anchorNow(header, await new TestMeterKey().sign(header))
    await expect(daemon.step('anchor')).rejects.toMatchObject({ code: 'another_root_anchored' })
    await rotate()
    // And more of them, afterwards.
    const next = fraud(3n, header.root)
    expect(world.flare.anchorNow(next, await new TestMeterKey().sign(next))).toBeUndefined()
    await until('settled', 1n)
    await expectRight()
  })

  test('our own batch that was accepted can be settled by nobody any more', async () => {
    use('second', '7')
    await until('accepted', 2n)
    const entries = await daemon.store.batches.entries(batchId(2n))
    const proof = (await daemon.store.batches.get(batchId(2n)))?.proof
    await rotate()
    const run = runsFrom(entries, { first: 0, count: entries.length })
    expect(world.flow.settleNow(2n, run)).toBeDefined()
    expect(proof && world.flow.acceptNow(proof)).toBe('another meter')
    await until('settled', 1n)
    expect(world.flow.settleNow(2n, run)).toBeDefined()
    await expectRight()
  })

  test('what somebody settled of the old one just before it was revoked is not charged again', async () => {
    use('second', '7')
    use('second', '9')
    await until('accepted', 2n)
    const entries = await daemon.store.batches.entries(batchId(2n))
    expect(world.flow.settleNow(2n, runsFrom(entries, { first: 0, count: 1 }))).toBeUndefined()
    await rotate()
    await until('settled', 1n)
    expect(await lives()).toEqual(['1 settled', '2 superseded', '2.1 settled'])
    const results = (await daemon.store.batches.entries(batchId(2n))).map(({ result }) => result)
    expect(results).toEqual(['applied', undefined])
    await expectRight()
  })
})

describe('a daemon with another key than Flow’s', () => {
  test('that was revoked ends, and reads nothing that is not its own', async () => {
    use('second', '7')
    await until('accepted', 2n)
    const height = await daemon.store.books.readHeight()
    world.flow.setMeter(new TestMeterKey('22').address)
    for (const step of ['settle', 'reconcile'] as const) {
      await expect(daemon.step(step)).rejects.toMatchObject({
        code: 'meter_revoked',
        message: expect.stringContaining('flowmeter rotate-meter'),
      })
    }
    expect(await daemon.store.books.readHeight()).toBe(height)
    use('third', '7')
    await daemon.store.batches.saveLife(batchId(2n), { state: 'settled' })
    await expect(until('attested', 3n)).rejects.toMatchObject({ code: 'meter_revoked' })
  })

  test('is refused as long as nobody said that it follows', async () => {
    const meter = new TestMeterKey('22').address
    world.flow.setMeter(meter)
    await expect(bindIdentity(daemon.store.identity, { meter })).rejects.toMatchObject({
      code: 'another_identity',
      message: expect.stringContaining('flowmeter rotate-meter'),
    })
  })

  test('cannot follow unless the provider has set it, nor twice, nor come back', async () => {
    world.meterKey = new TestMeterKey('22')
    await expect(rotateMeter(parts(), order, signal)).rejects.toMatchObject({
      code: 'meter_not_set',
      message: expect.stringContaining(`set-meter ${world.meterKey.address}`),
    })
    await rotate()
    await expect(rotateMeter(parts(), order, signal)).rejects.toMatchObject({ code: 'same_meter' })
    world.meterKey = old
    world.flow.setMeter(old.address)
    await expect(rotateMeter(parts(), order, signal)).rejects.toMatchObject({
      code: 'meter_used_before',
    })
  })
})
