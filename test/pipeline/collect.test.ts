import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { RetryableError } from '../../src/domain/errors.js'
import { type CollectPass, collectNext } from '../../src/pipeline/collect.js'
import type { Store } from '../../src/ports/stores.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { TestSource } from '../support/test-source.js'
import { EVENING_MS, usageRecord } from '../support/usage.js'

const { signal } = new AbortController()
const settings = { settleMs: 10_000, overlapMs: 60_000 }
const START_MS = EVENING_MS - 300_000

let clock: ManualClock
let file: StoreFile
let store: Store
let source: TestSource
let pass: CollectPass

beforeEach(async () => {
  clock = new ManualClock(EVENING_MS)
  file = new StoreFile(clock)
  store = await file.open()
  source = new TestSource('main', clock, 3)
  pass = {}
  await store.records.addSource('main', START_MS)
})
afterEach(() => file.remove())

const step = () => collectNext({ ...store, source, clock, settings }, pass, signal)
const at = (secondsAgo: number) => ({ startedAtMs: EVENING_MS - secondsAgo * 1000 })
const ids = async () => (await store.records.unattributed('v', 100)).map(({ key }) => key.requestId)
const cursor = async () => (await store.records.source('main'))?.readUntilMs

async function collectAll(): Promise<void> {
  for (let steps = 0; (await step()) === 'advanced'; steps += 1) {
    if (steps > 100) throw new Error('never comes to rest')
  }
}

test('a pass begins below the cursor, reads slice by slice, and ends before the youngest rows', async () => {
  for (let i = 0; i < 10; i += 1) source.rows.push(usageRecord(`r${i}`, at(200 - 10 * i)))
  source.rows.push(usageRecord('young', at(5)))
  await collectAll()
  expect(await ids()).toEqual(Array.from({ length: 10 }, (_, i) => `r${i}`))
  expect(await cursor()).toBe(EVENING_MS - settings.settleMs)
  expect(source.asked[0]).toEqual({
    fromMs: START_MS, // Nothing older is read, whatever the overlap.
    untilMs: EVENING_MS - settings.settleMs,
  })
  clock.pass(10_000)
  await collectAll()
  expect(await ids()).toContain('young')
})

test('slices follow each other without a gap', async () => {
  for (let i = 0; i < 20; i += 1) source.rows.push(usageRecord(`r${i}`, at(200 - 5 * i)))
  while (pass.walk !== undefined || source.asked.length === 0) await step()
  const starts = source.asked.map(({ fromMs }) => fromMs)
  expect(starts).toEqual([...starts].sort((a, b) => a - b))
  expect(source.asked.length).toBeGreaterThan(5)
  expect((await ids()).length).toBe(20)
})

test('a row that appears late, under its early start, is found by the next pass', async () => {
  source.rows.push(usageRecord('a', at(50)))
  await collectAll()
  clock.pass(20_000)
  source.rows.push(usageRecord('late', at(60)))
  await collectAll()
  expect((await ids()).sort()).toEqual(['a', 'late'])
})

test('reading the same rows again changes nothing', async () => {
  for (let i = 0; i < 7; i += 1) source.rows.push(usageRecord(`r${i}`, at(40 - i)))
  await collectAll()
  const before = await store.records.unattributed('v', 100)
  for (let passes = 0; passes < 3; passes += 1) {
    clock.pass(5_000)
    await collectAll()
  }
  expect(await store.records.unattributed('v', 100)).toEqual(before)
  expect((await store.records.counts()).records).toBe(7)
})

test('rows that are no records are kept as rejects', async () => {
  source.rejects.push({ source: 'main', requestId: 'x', reason: 'no tokens', ...at(100) })
  await collectAll()
  expect((await store.records.counts()).rejects).toBe(1)
})

describe('an error', () => {
  const failure = new RetryableError('source_unreachable', 'nobody there')

  test('leaves the cursor where it is, and is told until the next success', async () => {
    source.rows.push(usageRecord('a', at(100)))
    source.failure = failure
    await expect(step()).rejects.toBe(failure)
    expect(await store.records.source('main')).toMatchObject({
      readUntilMs: START_MS,
      lastReadAtMs: undefined,
      problem: { code: 'source_unreachable', message: 'nobody there' },
    })
    await collectAll()
    expect((await store.records.source('main'))?.problem).toBeUndefined()
    expect(await ids()).toEqual(['a'])
  })

  test('in the middle of a pass loses no row, and skips none', async () => {
    for (let i = 0; i < 9; i += 1) source.rows.push(usageRecord(`r${i}`, at(200 - 20 * i)))
    await step()
    const reached = await cursor()
    source.failure = failure
    await expect(step()).rejects.toBe(failure)
    expect(await cursor()).toBe(reached)
    await collectAll()
    expect((await ids()).length).toBe(9)
  })

  test('that is a bug is not taken for a problem of the source', async () => {
    source.failure = new TypeError('x is undefined')
    await expect(step()).rejects.toThrow('x is undefined')
    expect((await store.records.source('main'))?.problem).toBeUndefined()
  })

  // A new process knows nothing of the pass: it begins again below the cursor.
  test('followed by a restart begins the pass anew', async () => {
    for (let i = 0; i < 9; i += 1) source.rows.push(usageRecord(`r${i}`, at(200 - 20 * i)))
    await step()
    pass = {}
    await collectAll()
    expect((await ids()).length).toBe(9)
  })
})

test('the source is looked at once, before the first row', async () => {
  let probes = 0
  const probe = source.probe.bind(source)
  source.probe = async () => {
    probes += 1
    return probe()
  }
  await collectAll()
  await collectAll()
  expect(probes).toBe(1)
  expect((await store.records.source('main'))?.facts).toEqual({ version: 'test', warnings: [] })
})

test('with nothing to read yet it waits, and asks for nothing', async () => {
  await store.records.addSource('new', EVENING_MS + 3_600_000)
  const young = new TestSource('new', clock)
  expect(await collectNext({ ...store, source: young, clock, settings }, {}, signal)).toBe('idle')
  expect(young.asked).toEqual([])
})
