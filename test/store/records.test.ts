import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ALL_ACCOUNTS, accountNumber, batchId, modelId } from '../../src/domain/ids.js'
import type { UsageRecord } from '../../src/domain/usage-record.js'
import type { AttributedRecord, RecordAttribution, Store } from '../../src/ports/stores.js'
import type { TimeRange, UsageSlice } from '../../src/ports/usage-source.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS, OCTOBER_S, SEPTEMBER_S, usageRecord } from '../support/usage.js'

const U64_MAX = accountNumber(2n ** 64n - 1n)
const range: TimeRange = { fromMs: EVENING_MS - 60_000, untilMs: EVENING_MS + 60_000 }
const ALL = 1_000

let file: StoreFile
let store: Store

beforeEach(async () => {
  file = new StoreFile(new ManualClock(EVENING_MS))
  store = await file.open()
  await store.records.addSource('main', EVENING_MS - 60_000)
})
afterEach(() => file.remove())

const slice = (records: readonly UsageRecord[], changes: Partial<UsageSlice> = {}): UsageSlice => ({
  records,
  rejects: [],
  range,
  ...changes,
})

const attribution = (
  record: UsageRecord,
  account = accountNumber(7n),
  model = 1,
): RecordAttribution => ({
  key: record.key,
  account,
  strategy: 'directory',
  periodStart: SEPTEMBER_S,
  modelId: modelId(model),
})

describe('slices', () => {
  test('bring records back as they were, every field of them', async () => {
    const records = [
      usageRecord('a', { promptTokens: 2n ** 53n, spend: '1e-7', user: "o'neil; drop table" }),
      usageRecord('b', {
        excluded: 'failure',
        model: 'ü\u0000 \ud83d\ude00',
        startedAtMs: EVENING_MS + 1,
      }),
      usageRecord('c', { promptTokens: 0n, cachedPromptTokens: 0n, completionTokens: 0n }),
    ]
    expect(await store.records.saveSlice('main', slice(records), EVENING_MS)).toBe(3)
    const [a, b, c] = records
    expect(await store.records.unattributed('v1', ALL)).toEqual([a, c])
    expect(await store.records.counts()).toMatchObject({ records: 3, excluded: 1 })
    expect(b?.excluded).toBe('failure')
  })

  test('come twice and change nothing, not even where the row changed', async () => {
    const record = usageRecord('a')
    expect(await store.records.saveSlice('main', slice([record]), EVENING_MS)).toBe(1)
    const changed = usageRecord('a', { promptTokens: 999n, user: 'mallory' })
    const both = slice([changed, usageRecord('b'), usageRecord('b')])
    expect(await store.records.saveSlice('main', both, EVENING_MS)).toBe(1)
    expect(await store.records.unattributed('v1', ALL)).toEqual([record, usageRecord('b')])
  })

  test('tell the same id of two sources apart', async () => {
    await store.records.addSource('eu', 0)
    await store.records.saveSlice('main', slice([usageRecord('a')]), EVENING_MS)
    await store.records.saveSlice('eu', slice([usageRecord('a', { source: 'eu' })]), EVENING_MS)
    const sources = (await store.records.unattributed('v1', ALL)).map(({ key }) => key.source)
    expect(sources.sort()).toEqual(['eu', 'main'])
  })

  test('of more rows than one statement takes are whole', async () => {
    const records = Array.from({ length: 1_234 }, (_, i) => usageRecord(`r${i}`))
    expect(await store.records.saveSlice('main', slice(records), EVENING_MS)).toBe(1_234)
    expect((await store.records.counts()).records).toBe(1_234)
  })

  test('keep rejects once for each reason', async () => {
    const reject = { source: 'main', requestId: 'x', reason: 'no tokens' }
    const rejects = [reject, reject, { ...reject, reason: 'no start' }]
    await store.records.saveSlice('main', slice([], { rejects }), EVENING_MS)
    await store.records.saveSlice('main', slice([], { rejects }), EVENING_MS)
    expect((await store.records.counts()).rejects).toBe(2)
  })

  test('move the cursor up, never down, and only that of their source', async () => {
    await store.records.addSource('eu', 5)
    const cursor = async (name = 'main') => (await store.records.source(name))?.readUntilMs
    await store.records.saveSlice('main', slice([]), EVENING_MS)
    expect(await cursor()).toBe(range.untilMs)
    const below = { fromMs: 0, untilMs: range.untilMs - 1 }
    await store.records.saveSlice('main', slice([], { range: below }), EVENING_MS)
    expect(await cursor()).toBe(range.untilMs)
    const above = { fromMs: range.untilMs, untilMs: range.untilMs + 1 }
    await store.records.saveSlice('main', slice([], { range: above }), EVENING_MS)
    expect([await cursor(), await cursor('eu')]).toEqual([range.untilMs + 1, 5])
  })

  // Goal: the cursor never runs ahead of the rows. Method: a row that the table refuses (more
  // cached tokens than prompt) after 500 that it takes.
  test('are saved whole or not at all, the cursor with them', async () => {
    const good = Array.from({ length: 500 }, (_, i) => usageRecord(`r${i}`))
    const bad = usageRecord('bad', { cachedPromptTokens: 101n })
    const broken = slice([...good, bad], {
      rejects: [{ source: 'main', requestId: 'x', reason: 'y' }],
    })
    await expect(store.records.saveSlice('main', broken, EVENING_MS)).rejects.toThrow('CHECK')
    expect(await store.records.counts()).toMatchObject({ records: 0, rejects: 0 })
    expect((await store.records.source('main'))?.readUntilMs).toBe(EVENING_MS - 60_000)
  })
})

describe('sources', () => {
  test('are added once', async () => {
    await store.records.addSource('main', 1)
    expect(await store.records.source('main')).toEqual({
      name: 'main',
      readUntilMs: EVENING_MS - 60_000,
      collectFromMs: EVENING_MS - 60_000,
      lastReadAtMs: undefined,
      rescannedAtMs: undefined,
      clockSkewMs: undefined,
      facts: undefined,
      problem: undefined,
    })
    expect(await store.records.source('other')).toBeUndefined()
  })

  test('have their problem until they were read again', async () => {
    await store.records.saveFacts('main', { version: '1.96.2', warnings: ['no key'] })
    await store.records.saveProblem('main', 'source_unreachable', 'nobody there')
    expect(await store.records.sources()).toMatchObject([
      {
        facts: { version: '1.96.2', warnings: ['no key'] },
        problem: { code: 'source_unreachable', message: 'nobody there' },
        lastReadAtMs: undefined,
      },
    ])
    await store.records.saveSlice('main', slice([]), EVENING_MS + 5)
    const read = await store.records.source('main')
    expect([read?.problem, read?.lastReadAtMs]).toEqual([undefined, EVENING_MS + 5])
  })
})

describe('attribution', () => {
  const records = ['c', 'a', 'b'].map((id, i) => usageRecord(id, { startedAtMs: EVENING_MS - i }))
  const [c, a, b] = records as [UsageRecord, UsageRecord, UsageRecord]

  beforeEach(() => store.records.saveSlice('main', slice(records), EVENING_MS))

  test('is asked for oldest first, a few at a time, of billable records alone', async () => {
    const excluded = usageRecord('x', { excluded: 'cache_hit', startedAtMs: 1 })
    await store.records.saveSlice('main', slice([excluded]), EVENING_MS)
    expect(await store.records.unattributed('v1', ALL)).toEqual([b, a, c])
    expect(await store.records.unattributed('v1', 2)).toEqual([b, a])
  })

  test('is done once for each version of the mapping', async () => {
    await store.records.saveAttributions('v1', [
      attribution(a, U64_MAX),
      { key: b.key, reason: 'no vault' },
    ])
    expect(await store.records.unattributed('v1', ALL)).toEqual([c])
    expect(await store.records.unattributed('v2', ALL)).toEqual([b, a, c])
    expect(await store.records.attributed('v1', ALL)).toEqual([
      { ...a, account: U64_MAX, periodStart: SEPTEMBER_S, modelId: 1 },
    ])
    expect(await store.records.attributed('v2', ALL)).toEqual([])
  })

  test('replaces what an older version found, in both directions', async () => {
    await store.records.saveAttributions('v1', [attribution(a), { key: b.key, reason: 'no vault' }])
    await store.records.saveAttributions('v2', [
      { key: a.key, reason: 'closed' },
      attribution(b, accountNumber(9n), 3),
    ])
    expect(await store.records.attributed('v2', ALL)).toEqual([
      { ...b, account: 9n, periodStart: SEPTEMBER_S, modelId: 3 },
    ])
    expect(await store.records.counts()).toEqual({
      records: 3,
      excluded: 0,
      rejects: 0,
      unattributed: 1,
      unmapped: 1,
      attributed: 1,
      claimed: 0,
      waitingSinceMs: { unattributed: EVENING_MS, unmapped: EVENING_MS, attributed: EVENING_MS },
    })
    // What waits for an operator is counted, and no time runs for it.
    const key = { accountNumber: accountNumber(9n), periodStart: SEPTEMBER_S }
    await store.stops.add(key, 'above_history', 'far above')
    expect(await store.records.counts()).toMatchObject({
      attributed: 1,
      waitingSinceMs: { unattributed: EVENING_MS, attributed: undefined },
    })
    await store.stops.release(key, 0n)
    expect((await store.records.counts()).waitingSinceMs.attributed).toBe(EVENING_MS)
    expect(await store.records.unmappedPayers(5)).toEqual([
      { payer: 'alice', reason: 'closed', records: 1 },
    ])
  })
})

describe('claims', () => {
  const record = usageRecord('a')
  const claimed: AttributedRecord = {
    ...record,
    account: U64_MAX,
    periodStart: SEPTEMBER_S,
    modelId: modelId(1),
  }

  beforeEach(async () => {
    await store.records.saveSlice('main', slice([record, usageRecord('b')]), EVENING_MS)
    await store.records.saveAttributions('v1', [attribution(record, U64_MAX)])
  })

  test('fix vault, period and the model that is billed, for ever', async () => {
    await store.records.claim(batchId(1n), [{ ...claimed, modelId: modelId(0) }])
    await store.records.saveAttributions('v2', [attribution(record, accountNumber(1n), 5)])
    await store.records.saveAttributions('v3', [{ key: record.key, reason: 'gone' }])
    expect(await store.records.claimedBy(batchId(1n))).toEqual([{ ...claimed, modelId: 0 }])
    expect(await store.records.unattributed('v9', ALL)).toEqual([usageRecord('b')])
    expect(await store.records.attributed('v1', ALL)).toEqual([])
    expect(await store.records.counts()).toMatchObject({ claimed: 1, attributed: 0 })
  })

  test('are refused a second time, and then none of them is made', async () => {
    await store.records.claim(batchId(1n), [claimed])
    const second = store.transaction(({ records }) =>
      records.claim(batchId(2n), [{ ...claimed, key: { ...record.key, requestId: 'b' } }, claimed]),
    )
    await expect(second).rejects.toThrow('main/a is in a batch already')
    expect(await store.records.claimedBy(batchId(2n))).toEqual([])
    expect(await store.records.claimedBy(batchId(1n))).toEqual([claimed])
  })

  test('of a record that is not there, or does not count, are refused', async () => {
    const unknown = { ...claimed, key: { source: 'main', requestId: 'zzz' } }
    await expect(store.records.claim(batchId(1n), [unknown])).rejects.toThrow('main/zzz')
    const excluded = usageRecord('x', { excluded: 'failure' })
    await store.records.saveSlice('main', slice([excluded]), EVENING_MS)
    const wrong = { ...claimed, key: excluded.key }
    await expect(store.records.claim(batchId(1n), [wrong])).rejects.toThrow('CHECK')
  })

  test('are added up by vault, period and model', async () => {
    const other = { ...claimed, key: { ...record.key, requestId: 'b' }, periodStart: OCTOBER_S }
    await store.records.saveSlice('main', slice([usageRecord('c')]), EVENING_MS)
    const third = { ...claimed, key: { ...record.key, requestId: 'c' } }
    await store.records.claim(batchId(1n), [claimed, other])
    await store.records.claim(batchId(2n), [third])
    const usage = await store.records.claimedUsage(ALL_ACCOUNTS)
    const sum = { accountNumber: U64_MAX, modelId: 1 }
    expect([...usage].sort((x, y) => x.periodStart - y.periodStart)).toEqual([
      {
        ...sum,
        periodStart: SEPTEMBER_S,
        promptTokens: 200n,
        cachedPromptTokens: 40n,
        completionTokens: 100n,
        requests: 2n,
      },
      {
        ...sum,
        periodStart: OCTOBER_S,
        promptTokens: 100n,
        cachedPromptTokens: 20n,
        completionTokens: 50n,
        requests: 1n,
      },
    ])
  })
})
