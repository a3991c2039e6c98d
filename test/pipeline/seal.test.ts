import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { keccak, utf8, ZERO_HASH } from '../../src/domain/bytes.js'
import { canonicalJson } from '../../src/domain/canonical-json.js'
import { ALL_ACCOUNTS, accountNumber, batchId, batchSeq, modelId } from '../../src/domain/ids.js'
import { receiptSalt, recordLeaf, recordsRoot } from '../../src/domain/receipt.js'
import type { StoredBatch } from '../../src/ports/stores.js'
import { CrashPlan } from '../support/crash-plan.js'
import { decodeEntry } from '../support/test-flow.js'
import { EVENING_MS, OCTOBER_S, SEPTEMBER_S, usageRecord } from '../support/usage.js'
import {
  type Daemon,
  RECEIPT_SECRET,
  runUntil,
  SEAL_INTERVAL_MS,
  World,
  type WorldParts,
} from '../support/world.js'

let world: World
let daemon: Daemon

beforeEach(() => begin())
afterEach(() => world.file.remove())

async function begin(parts: WorldParts = {}): Promise<void> {
  world = new World(parts)
  world.flow.openVault(7n, SEPTEMBER_S)
  world.flow.openVault(9n, SEPTEMBER_S)
  world.tick()
  daemon = await world.boot()
}

/** Everything up to the seal, once. */
const seal = () => daemon.run('reconcile', 'collect', 'attribute', 'seal')

async function batch(seq: bigint): Promise<StoredBatch> {
  const found = await daemon.store.batches.get(batchId(seq))
  if (found === undefined) throw new Error(`there is no batch ${seq}`)
  return found
}

const entriesOf = async (seq: bigint) =>
  (await daemon.store.batches.entries(batchId(seq))).map(({ bytes }) => decodeEntry(bytes))

const usage = (requests: bigint) => ({
  promptTokens: 100n * requests,
  cachedPromptTokens: 20n * requests,
  completionTokens: 50n * requests,
  requests,
})

describe('a batch', () => {
  test('states every (vault, period) that has new usage, with its new records', async () => {
    world.use(
      usageRecord('a', { user: 'vault_7' }),
      usageRecord('b', { user: '7', model: 'gpt-3.5-turbo' }),
      usageRecord('c', { user: '9', model: 'unheard-of' }),
      usageRecord('d', { user: 'nobody' }),
      usageRecord('e', { user: '9', excluded: 'failure' }),
    )
    await seal()
    const entries = await entriesOf(1n)
    const leaves = (await daemon.store.records.claimedBy(batchId(1n))).map((record) => {
      const salt = receiptSalt(RECEIPT_SECRET, record.key)
      return { id: record.key.requestId, leaf: recordLeaf(record, record.modelId, salt) }
    })
    const rootOver = (...ids: string[]) =>
      recordsRoot(leaves.filter(({ id }) => ids.includes(id)).map(({ leaf }) => leaf))
    expect(entries).toEqual([
      {
        accountNumber: 7n,
        periodStart: SEPTEMBER_S,
        recordsRoot: rootOver('a', 'b'),
        rows: [
          { modelId: 1, ...usage(1n) },
          { modelId: 2, ...usage(1n) },
        ],
      },
      {
        accountNumber: 9n,
        periodStart: SEPTEMBER_S,
        recordsRoot: rootOver('c'),
        rows: [{ modelId: 0, ...usage(1n) }],
      },
    ])
    expect(leaves.map(({ id }) => id).sort()).toEqual(['a', 'b', 'c'])
  })

  test('is bound to target, time, batch before and canonical manifest', async () => {
    world.use(usageRecord('a', { user: '7' }))
    await seal()
    await runUntil(world, daemon, 'settled')
    world.use(usageRecord('b', { user: '7', startedAtMs: world.clock.now() }))
    world.tick(SEAL_INTERVAL_MS)
    await seal()
    const [first, second] = [await batch(1n), await batch(2n)]
    expect([first.header.seq, first.header.prevRoot]).toEqual([1n, ZERO_HASH])
    expect([second.header.seq, second.header.prevRoot]).toEqual([2n, first.header.root])
    for (const { header, manifestJson } of [first, second]) {
      expect(header.target).toBe(world.flow.identity.target)
      expect(header.manifest).toBe(keccak(utf8(manifestJson)))
      expect(canonicalJson(JSON.parse(manifestJson))).toBe(manifestJson)
    }
    expect(second.header.sealedAt).toBe(Math.floor(world.clock.now() / 1000))
    expect(JSON.parse(second.manifestJson)).toMatchObject({ seq: '2', entries: '1', records: '1' })
  })

  test('is cumulative: it states all of its periods, and no other', async () => {
    world.use(usageRecord('a', { user: '7' }), usageRecord('b', { user: '9' }))
    await runUntil(world, daemon, 'settled')
    world.use(usageRecord('c', { user: '7', startedAtMs: EVENING_MS + 1_000 }))
    world.tick(SEAL_INTERVAL_MS)
    await seal()
    expect(await entriesOf(2n)).toMatchObject([
      { accountNumber: 7n, rows: [{ modelId: 1, ...usage(2n) }] },
    ])
  })

  test('raises an old period for a row that comes late, and only that', async () => {
    world.use(usageRecord('a', { user: '7' }))
    await runUntil(world, daemon, 'settled')
    const toOctober = OCTOBER_S * 1000 - world.clock.now()
    world.tick(toOctober + 60_000)
    world.use(
      usageRecord('late', { user: '7', startedAtMs: OCTOBER_S * 1000 - 1 }),
      usageRecord('new', { user: '7', startedAtMs: OCTOBER_S * 1000 }),
    )
    await seal()
    expect(await entriesOf(2n)).toMatchObject([
      { periodStart: SEPTEMBER_S, rows: [usage(2n)] },
      { periodStart: OCTOBER_S, rows: [usage(1n)] },
    ])
  })
})

describe('when', () => {
  test('nothing is new, nothing is sealed', async () => {
    world.use(usageRecord('d', { user: 'nobody' }))
    await seal()
    expect(await daemon.store.batches.last()).toBeUndefined()
    expect(await daemon.step('seal')).toBe('idle')
  })

  test('the interval is over, and not before', async () => {
    world.use(usageRecord('a', { user: '7' }))
    await runUntil(world, daemon, 'settled')
    world.use(usageRecord('b', { user: '7' }))
    const sealedAtMs = (await batch(1n)).header.sealedAt * 1000
    const leftMs = sealedAtMs + SEAL_INTERVAL_MS - world.clock.now()
    world.clock.pass(leftMs - 1)
    await seal()
    expect((await daemon.store.batches.last())?.header.seq).toBe(1n)
    world.clock.pass(1)
    await seal()
    expect((await daemon.store.batches.last())?.header.seq).toBe(2n)
  })

  test('a batch is on its way to Flow, the next one waits', async () => {
    world.use(usageRecord('a', { user: '7' }))
    await runUntil(world, daemon, 'requested')
    world.use(usageRecord('b', { user: '7' }))
    world.clock.pass(10 * SEAL_INTERVAL_MS)
    await seal()
    expect((await daemon.store.batches.last())?.header.seq).toBe(1n)
    await runUntil(world, daemon, 'accepted')
    await seal()
    expect((await daemon.store.batches.last())?.header.seq).toBe(2n)
  })

  // 1e15 wad are a tenth of a cent: 50 tokens of the default plan's first tier.
  test('what is unsealed is worth enough, before the interval is over', async () => {
    await world.file.remove()
    await begin({ exposure: 10n ** 15n })
    world.use(usageRecord('a', { user: '7' }))
    await runUntil(world, daemon, 'settled')
    const tiny = { promptTokens: 10n, cachedPromptTokens: 0n, completionTokens: 0n, user: '7' }
    world.use(usageRecord('tiny', tiny))
    await seal()
    expect((await daemon.store.batches.last())?.header.seq).toBe(1n)
    world.use(usageRecord('large', { user: '7' }))
    await seal()
    expect((await daemon.store.batches.last())?.header.seq).toBe(2n)
  })
})

describe('a batch that was parked', () => {
  test('is stated again by the next one, and once only', async () => {
    world.use(usageRecord('a', { user: '7' }), usageRecord('b', { user: '9' }))
    const { header } = await runUntil(world, daemon, 'anchored')
    await daemon.store.batches.saveLife(batchId(header.seq), {
      state: 'parked',
      reason: 'for this test',
      from: { state: 'accepted' },
    })
    world.clock.pass(SEAL_INTERVAL_MS)
    await seal()
    const again = await entriesOf(2n)
    expect(again).toEqual(
      (await entriesOf(1n)).map((entry) => ({ ...entry, recordsRoot: ZERO_HASH })),
    )
    await runUntil(world, daemon, 'settled', 2n)
    world.clock.pass(SEAL_INTERVAL_MS)
    await seal()
    expect((await daemon.store.batches.last())?.header.seq).toBe(2n)
    expect(world.flow.events.map(({ seq, result }) => [seq, result])).toEqual([
      [2n, 'applied'],
      [2n, 'applied'],
    ])
    expect((await daemon.store.books.checks())?.checks).toEqual(
      expect.objectContaining({ records_vs_totals: 0n, charged_vs_price: 0n, seq_gaps: 0n }),
    )
  })

  test('joins new usage of the same period in one entry', async () => {
    world.use(usageRecord('a', { user: '7' }))
    const { header } = await runUntil(world, daemon, 'anchored')
    const parked = { state: 'parked', reason: 'x', from: { state: 'accepted' } } as const
    await daemon.store.batches.saveLife(batchId(header.seq), parked)
    world.use(usageRecord('b', { user: '7' }))
    world.clock.pass(SEAL_INTERVAL_MS)
    await seal()
    expect(await entriesOf(2n)).toMatchObject([{ accountNumber: 7n, rows: [usage(2n)] }])
    expect(await daemon.store.records.claimedBy(batchId(2n))).toHaveLength(1)
  })

  test('and is retried later settles as stale, and charges nothing twice', async () => {
    world.use(usageRecord('a', { user: '7' }))
    const { header, life } = await runUntil(world, daemon, 'accepted')
    await daemon.store.batches.saveLife(batchId(header.seq), {
      state: 'parked',
      reason: 'x',
      from: life,
    })
    world.clock.pass(SEAL_INTERVAL_MS)
    await runUntil(world, daemon, 'settled', 2n)
    const charged = world.flow.record({
      accountNumber: accountNumber(7n),
      periodStart: SEPTEMBER_S,
    })
    await daemon.store.batches.saveLife(batchId(header.seq), life)
    await runUntil(world, daemon, 'settled', 1n)
    const after = world.flow.record({ accountNumber: accountNumber(7n), periodStart: SEPTEMBER_S })
    expect(after).toEqual(charged)
    expect(world.flow.events.map(({ seq, result }) => [seq, result])).toEqual([
      [2n, 'applied'],
      [1n, 'stale'],
    ])
  })
})

// Goal: no entry has more than 32 rows, and what a record is billed under never changes.
describe('more models than an entry has rows', () => {
  beforeEach(() => {
    world.flow.modelsHeld.splice(0, 4, ...Array.from({ length: 60 }, (_, i) => `model ${i + 1}`))
  })

  const call = (id: number, user = '7') =>
    usageRecord(`${user} ${id}`, { user, model: `model ${id}`, startedAtMs: EVENING_MS + id })

  test('the first 31 keep rows of their own, all others count in row 0', async () => {
    world.tick()
    for (let id = 60; id > 25; id -= 1) world.use(call(id))
    await seal()
    const [entry] = await entriesOf(1n)
    // The oldest came first: models 26 to 56 have rows, 57 to 60 share row 0.
    const own = Array.from({ length: 31 }, (_, i) => 26 + i)
    expect(entry?.rows.map((row) => row.modelId)).toEqual([0, ...own])
    expect(entry?.rows[0]).toMatchObject({ requests: 4n })
    const claimed = await daemon.store.records.claimedBy(batchId(1n))
    expect(claimed.filter((record) => record.modelId === 0).map(({ model }) => model)).toEqual([
      ...['model 57', 'model 58', 'model 59', 'model 60'],
    ])
  })

  test('later batches keep the rows as they are, vault by vault', async () => {
    world.tick()
    for (let id = 1; id <= 31; id += 1) world.use(call(id))
    await runUntil(world, daemon, 'settled')
    world.tick(SEAL_INTERVAL_MS)
    world.use(call(40), call(40, '9'), { ...call(31), key: { source: 'main', requestId: 'again' } })
    await seal()
    const [first, second] = await entriesOf(2n)
    expect(first?.rows).toHaveLength(32)
    expect(first?.rows[0]).toEqual({ modelId: 0, ...usage(1n) })
    expect(first?.rows[31]).toEqual({ modelId: 31, ...usage(2n) })
    expect(second?.rows).toEqual([{ modelId: 40, ...usage(1n) }])
    expect(
      (
        await daemon.store.totals.of({ accountNumber: accountNumber(7n), periodStart: SEPTEMBER_S })
      ).map((row) => row.modelId),
    ).toEqual([0, ...Array.from({ length: 31 }, (_, i) => modelId(i + 1))])
  })
})

test('records are claimed once, however they arrive and whatever is read again', async () => {
  const ids = Array.from({ length: 40 }, (_, i) => `r${i}`)
  for (let wave = 0; wave < 4; wave += 1) {
    const startedAtMs = world.clock.now()
    const some = ids.slice(wave * 10, wave * 10 + 10)
    world.use(...some.map((id) => usageRecord(id, { user: '7', startedAtMs })))
    world.tick(SEAL_INTERVAL_MS)
    await runUntil(world, daemon, 'settled', BigInt(wave + 1))
  }
  const claims = new Map<string, number>()
  for (let seq = 1n; seq <= 4n; seq += 1n) {
    for (const { key } of await daemon.store.records.claimedBy(batchId(seq))) {
      claims.set(key.requestId, (claims.get(key.requestId) ?? 0) + 1)
    }
  }
  expect([...claims.keys()].sort()).toEqual([...ids].sort())
  expect([...claims.values()].every((times) => times === 1)).toBe(true)
  expect(await entriesOf(4n)).toMatchObject([{ rows: [usage(40n)] }])
})

// Goal: a batch is there whole or not at all. Method: end the process at each point of sealing.
test('a crash at any point of sealing leaves all of a batch or nothing', async () => {
  for (let point = 0; ; point += 1) {
    if (point > 0) await begin()
    world.use(usageRecord('a', { user: '7' }), usageRecord('b', { user: '9' }))
    await daemon.run('reconcile', 'collect', 'attribute')
    const plan = new CrashPlan(point)
    daemon = await world.reboot(daemon, plan)
    await daemon.step('seal').catch(() => {})
    daemon = await world.reboot(daemon)
    const sealed = await daemon.store.batches.last()
    const { claimed } = await daemon.store.records.counts()
    const totals = await daemon.store.totals.all(ALL_ACCOUNTS)
    expect([claimed, totals.length]).toEqual(sealed === undefined ? [0, 0] : [2, 2])
    await daemon.step('seal')
    expect(await entriesOf(1n)).toHaveLength(2)
    expect((await daemon.store.records.counts()).claimed).toBe(2)
    if (!plan.isCrashed) return expect(point).toBe(plan.passed)
    await world.file.remove()
  }
})

describe('store and chain differ', () => {
  const refusal = { name: 'ConfigError', code: 'meter_ahead' }

  test('a chain that is ahead stops everything before a number is used', async () => {
    world.use(usageRecord('a', { user: '7' }))
    await daemon.run('reconcile', 'collect', 'attribute')
    const { anchors } = world.flare
    const header = { ...(await headerOfAnother()), seq: batchSeq(1n) }
    anchors.push({ header, anchor: { txHash: ZERO_HASH, blockNumber: 1, logIndex: 0 } })
    await expect(daemon.step('seal')).rejects.toMatchObject(refusal)
    expect(await daemon.store.batches.last()).toBeUndefined()
    expect((await daemon.store.records.counts()).claimed).toBe(0)
  })

  test('another root under our last number does too', async () => {
    world.use(usageRecord('a', { user: '7' }))
    await runUntil(world, daemon, 'settled')
    world.use(usageRecord('b', { user: '7' }))
    world.tick(SEAL_INTERVAL_MS)
    await daemon.run('reconcile', 'collect', 'attribute')
    const [first] = world.flare.anchors.splice(0, 1)
    if (first === undefined) throw new Error('nothing is anchored')
    world.flare.anchors.push({ ...first, header: { ...first.header, root: ZERO_HASH } })
    await expect(daemon.step('seal')).rejects.toMatchObject(refusal)
  })

  test('one node that says so alone stops nothing', async () => {
    world.use(usageRecord('a', { user: '7' }))
    await daemon.run('reconcile', 'collect', 'attribute')
    world.flare.lie = { lastSeq: 9n, lastRoot: keccak(utf8('another')) }
    await daemon.step('seal')
    expect((await daemon.store.batches.last())?.header.seq).toBe(1n)
  })

  async function headerOfAnother() {
    const root = keccak(utf8('another'))
    return { root, prevRoot: ZERO_HASH, sealedAt: 1, target: root, manifest: root }
  }
})

describe('batches that are parked one after the other', () => {
  const park = async (seq: bigint) => {
    const { header, life } = await runUntil(world, daemon, 'anchored', seq)
    const parked = { state: 'parked', reason: 'verifier_refused', from: life } as const
    await daemon.store.batches.saveLife(batchId(header.seq), parked)
  }
  const lastSeq = async () => (await daemon.store.batches.last())?.header.seq

  // Goal: a verifier that keeps refusing costs an anchor now and then, not one every ten minutes, and
  // when it serves again so do we, without anybody's help. Method: four are parked; the fifth comes
  // after twice the interval, gets through, and the sixth after one.
  test('are sealed less and less often, until one gets through', async () => {
    world.use(usageRecord('a', { user: '7' }))
    for (const seq of [1n, 2n, 3n]) {
      await park(seq)
      world.tick(SEAL_INTERVAL_MS)
    }
    await seal()
    expect(await lastSeq()).toBe(3n)
    world.tick(SEAL_INTERVAL_MS)
    await park(4n)
    for (const _ of [1, 2, 3]) {
      world.tick(SEAL_INTERVAL_MS)
      await seal()
      expect(await lastSeq()).toBe(4n)
    }
    world.tick(SEAL_INTERVAL_MS)
    await runUntil(world, daemon, 'settled', 5n)
    await daemon.run('reconcile')
    expect((await daemon.store.batches.counts()).states).toEqual({ settled: 1, superseded: 4 })

    world.use(usageRecord('b', { user: '7', startedAtMs: world.clock.now() }))
    world.tick(SEAL_INTERVAL_MS)
    await seal()
    expect(await lastSeq()).toBe(6n)
  })

  test('are slowed whatever is at stake', async () => {
    await world.file.remove()
    await begin({ exposure: 1n })
    world.use(usageRecord('a', { user: '7' }))
    for (const seq of [1n, 2n, 3n]) await park(seq)
    world.use(usageRecord('b', { user: '7', startedAtMs: world.clock.now() }))
    world.tick()
    await seal()
    expect(await lastSeq()).toBe(3n)
  })
})
