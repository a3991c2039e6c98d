import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { NewCall } from '../../devnet/litellm/calls.js'
import { type Litellm, type LitellmOptions, startLitellm } from '../../devnet/litellm/index.js'
import { metricsOf } from '../../src/http/metrics.js'
import {
  closedDays,
  compareDay,
  compareUsage,
  controlNext,
} from '../../src/pipeline/control-totals.js'
import { readStatus } from '../../src/pipeline/status.js'
import type { Store } from '../../src/ports/stores.js'
import { createControlTotals, createSource, sourceConfig } from '../../src/sources/index.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const MONDAY_MS = Date.UTC(2026, 10, 16)
const DAY = '2026-11-17'
const RANGE = { fromMs: MONDAY_MS, untilMs: MONDAY_MS + 3 * DAY_MS }
const signal = new AbortController().signal

let file: StoreFile
let store: Store
let clock: ManualClock
const running: Litellm[] = []

beforeEach(async () => {
  clock = new ManualClock(RANGE.untilMs)
  file = new StoreFile(clock)
  store = await file.open()
})
afterEach(async () => {
  await file.remove()
  await Promise.all(running.splice(0).map((litellm) => litellm.stop()))
})

/** Of every kind that has a row of its own, over all three days. */
const CALLS: readonly NewCall[] = Array.from({ length: 300 }, (_, i) => ({
  user: ['alice', 'bob', '', 'default_user_id'][i % 4] ?? '',
  startedAtMs: MONDAY_MS + Math.floor((i * (3 * DAY_MS - HOUR_MS)) / 300),
  promptTokens: 10 + i,
  completionTokens: 3 * i,
  modelGroup: i % 5 === 0 ? '' : (['fast', 'good'][i % 2] ?? ''),
  model: 'openai/gpt-4o-mini',
  isCacheHit: i % 7 === 0,
  ...(i % 11 === 0 ? { status: 'failure' as const } : {}),
  ...(i % 13 === 0 ? { callType: 'aembedding', completionTokens: 0 } : {}),
  ...(i % 17 === 0 ? { modelGroup: '', model: '', status: 'failure' as const } : {}),
}))

async function world(options: LitellmOptions = {}, calls: readonly NewCall[] = CALLS) {
  const litellm = await startLitellm({ nowMs: () => clock.now(), ...options })
  running.push(litellm)
  litellm.insertRows(calls)
  const config = sourceConfig.parse({ kind: 'litellm', name: 'main', apiUrl: litellm.url })
  const secretOf = () => litellm.masterKey
  const source = await createSource(config, secretOf)
  const totals = await createControlTotals(config, secretOf)
  if (totals === undefined) throw new Error('no control totals')
  await store.records.addSource('main', MONDAY_MS + HOUR_MS)
  const collect = async () => {
    let { fromMs } = RANGE
    while (fromMs < RANGE.untilMs) {
      const slice = await source.fetchSlice({ fromMs, untilMs: RANGE.untilMs }, signal)
      await store.records.saveSlice('main', slice, clock.now())
      fromMs = slice.range.untilMs
    }
  }
  return { litellm, totals, collect, parts: { ...store, totals, clock } }
}

describe.each(['1.81.16', '1.96.2', '1.104.2'] as const)('LiteLLM %s', (version) => {
  test('has the same sums as its rows, failures and cache hits included', async () => {
    const { parts, collect } = await world({ version })
    await collect()
    clock.pass(HOUR_MS)
    const compared = await compareDay(parts, DAY, signal)
    expect(compared.compared).toBeGreaterThan(5)
    expect(compared.differences).toEqual([])
    expect((await store.records.counts()).excluded).toBeGreaterThan(10)
  })
})

test('a call whose row LiteLLM dropped is a difference by key and model, in status and metrics', async () => {
  const { litellm, parts, collect } = await world({}, [])
  const call = {
    ...{ user: 'alice', startedAtMs: MONDAY_MS + DAY_MS + HOUR_MS },
    ...{ promptTokens: 70, completionTokens: 30, apiKey: 'a'.repeat(64), modelGroup: 'fast' },
  }
  litellm.insertRows([
    { ...call, requestId: 'same-id' },
    { ...call, requestId: 'same-id', promptTokens: 700 },
    { ...call, requestId: 'other', modelGroup: '' },
  ])
  await collect()
  clock.pass(12 * HOUR_MS)
  expect(await controlNext(parts, signal)).toBe('advanced')
  const [compared] = await store.controls.days('2026-11-01')
  const fast = { apiKey: call.apiKey, model: 'fast' }
  expect(compared).toMatchObject({ source: 'main', day: DAY, compared: 2 })
  expect(compared?.differences).toEqual([
    {
      ...fast,
      ours: { requests: 1n, promptTokens: 70n, completionTokens: 30n },
      theirs: { requests: 2n, promptTokens: 770n, completionTokens: 60n },
    },
  ])

  const status = () => readStatus({ stores: store, clock, version: 'test', identity: {} })
  expect((await status()).metering?.controlTotals).toMatchObject([
    {
      source: 'main',
      day: DAY,
      differing: 1,
      differences: [{ ...fast, requests: '-1', tokens: '-730' }],
    },
  ])
  const text = await metricsOf(status).text()
  const labels = `{source="main",key="${'a'.repeat(12)}",model="fast"}`
  expect(text).toContain(`flowmeter_control_difference_tokens${labels} -730`)
  expect(text).toContain(`flowmeter_control_difference_requests${labels} -1`)
})

test('days are compared once when closed, again after 48 hours, and hourly while they differ', async () => {
  const { litellm, parts, collect } = await world()
  await collect()
  const asked = () => litellm.requests().filter(({ path }) => path.includes('aggregated')).length
  const compareAll = async () => {
    while ((await controlNext(parts, signal)) === 'advanced');
    return asked()
  }
  // Read until Thursday 00:00: Wednesday may get rows yet, Monday was not read whole.
  expect(await compareAll()).toBe(1)
  expect((await store.controls.days('')).map(({ day }) => day)).toEqual([DAY])
  clock.pass(HOUR_MS)
  expect(await compareAll()).toBe(1)
  clock.pass(48 * HOUR_MS)
  expect(await compareAll()).toBe(2)

  const startedAtMs = MONDAY_MS + DAY_MS
  litellm.insertRows([{ user: 'late', startedAtMs, promptTokens: 5, completionTokens: 5 }])
  expect((await compareDay(parts, DAY, signal)).differences).toHaveLength(1)
  await store.controls.save(await compareDay(parts, DAY, signal))
  const before = asked()
  clock.pass(HOUR_MS)
  expect(await compareAll()).toBe(before + 1)
})

test('a key that LiteLLM does not know any more is a problem of the source', async () => {
  const { litellm, parts, collect } = await world()
  await collect()
  litellm.addFault({ kind: 'keyGone' })
  await expect(controlNext(parts, signal)).rejects.toMatchObject({ code: 'source_refused' })
})

test('closed days are whole ones, two hours ago, at most a week of them', () => {
  expect(closedDays(MONDAY_MS + 2 * HOUR_MS, '2026-11-14')).toEqual(['2026-11-14', '2026-11-15'])
  expect(closedDays(MONDAY_MS + 2 * HOUR_MS - 1, '2026-11-14')).toEqual(['2026-11-14'])
  expect(closedDays(MONDAY_MS + DAY_MS, '')).toHaveLength(7)
  expect(closedDays(0, '')).toEqual([])
})

test('of our models, those that LiteLLM does not name are held against what it has unnamed', () => {
  const usage = (apiKey: string, model: string, tokens: bigint) => ({
    ...{ apiKey, model, requests: 1n },
    ...{ promptTokens: tokens, completionTokens: 0n },
  })
  const ours = [usage('k', 'a', 1n), usage('k', 'openai/b', 2n), usage('k', 'c', 3n)]
  const theirs = [usage('k', 'a', 1n), { ...usage('k', '', 5n), requests: 2n }]
  expect(compareUsage(ours, theirs)).toEqual({ compared: 2, differences: [] })
  const [difference] = compareUsage(ours, []).differences
  expect(difference).toMatchObject({ model: '', ours: { requests: 3n, promptTokens: 6n } })
})
