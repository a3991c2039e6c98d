import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Litellm, startLitellm } from '../../devnet/litellm/index.js'
import { type CollectPass, collectNext, rescanNext } from '../../src/pipeline/collect.js'
import { readStatus } from '../../src/pipeline/status.js'
import type { Store } from '../../src/ports/stores.js'
import { litellmConfig } from '../../src/sources/litellm/config.js'
import { litellmSource } from '../../src/sources/litellm/source.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS } from '../support/usage.js'

// A source, its step and the store together, as the daemon wires them.

const HOUR_MS = 3_600_000
const START_MS = EVENING_MS - 72 * HOUR_MS
const { signal } = new AbortController()
const settings = {
  settleMs: 75_000,
  overlapMs: 2 * HOUR_MS,
  rescanMs: 48 * HOUR_MS,
  rescanEveryMs: 6 * HOUR_MS,
}

let clock: ManualClock
let file: StoreFile
let store: Store
let litellm: Litellm
let skewMs: number

beforeEach(async () => {
  clock = new ManualClock(EVENING_MS)
  file = new StoreFile(clock)
  store = await file.open()
  skewMs = 0
  litellm = await startLitellm({ nowMs: () => clock.now() + skewMs, version: '1.104.2' })
})
afterEach(async () => {
  await litellm.stop()
  await file.remove()
})

const call = (startedAtMs: number, requestId: string) => ({
  user: 'alice',
  requestId,
  startedAtMs,
  durationMs: 500,
  writeLagMs: 0,
  promptTokens: 10,
  completionTokens: 20,
})

/** The workers of one source. */
async function workersOf(name: string, retentionMs?: number) {
  await store.records.addSource(name, START_MS)
  const config = litellmConfig.parse({
    kind: 'litellm',
    name,
    apiUrl: litellm.url,
    ...(retentionMs === undefined ? {} : { retentionMs }),
  })
  const source = litellmSource(config, litellm.viewerKey)
  const parts = { ...store, source, clock, settings }
  const [ahead, behind]: [CollectPass, CollectPass] = [{}, {}]
  const toEnd = async (step: () => Promise<string>) => {
    for (let steps = 0; (await step()) === 'advanced'; steps += 1) {
      if (steps > 1_000) throw new Error('never comes to rest')
    }
  }
  return {
    collect: () => toEnd(() => collectNext(parts, ahead, signal)),
    rescan: () => toEnd(() => rescanNext(parts, behind, signal)),
  }
}

const ids = async () =>
  (await store.records.unattributed('v', 1_000)).map(({ key }) => `${key.source}/${key.requestId}`)
const statusOf = async (name: string) => {
  const status = await readStatus({ stores: store, clock, version: 'test', identity: {} })
  return status.sources.find((source) => source.name === name)
}

test('prompts, error texts and tracebacks never come to the store', async () => {
  const canary = 'CANARY-of-a-prompt'
  const garbled = {
    messages: [{ role: 'user', content: canary }],
    response: { choices: [{ message: { content: canary } }] },
    proxy_server_request: { body: canary },
    request_tags: [canary],
    metadata: {
      error_information: {
        error_class: 'BadRequestError',
        error_message: canary,
        traceback: canary,
      },
      spend_logs_metadata: { note: canary },
      usage_object: { prompt_tokens_details: { cached_tokens: 3, text: canary } },
    },
  }
  const broken = { ...garbled, prompt_tokens: canary, completion_tokens: [canary] }
  litellm.insertRows([
    { ...call(EVENING_MS - HOUR_MS, 'with prompts'), garbled },
    { ...call(EVENING_MS - HOUR_MS, 'failed'), status: 'failure', garbled },
    { ...call(EVENING_MS - HOUR_MS, 'unreadable'), garbled: broken },
    { ...call(EVENING_MS - HOUR_MS, 'no time'), garbled: { ...garbled, startTime: canary } },
    { ...call(EVENING_MS - HOUR_MS, 'real failure'), status: 'failure' },
  ])
  await (await workersOf('main')).collect()
  expect(await store.records.counts()).toMatchObject({ records: 3, excluded: 2, rejects: 2 })
  for (const path of [file.path, `${file.path}-wal`]) {
    const bytes = readFileSync(path).toString('latin1')
    expect(bytes).not.toContain('CANARY')
    expect(bytes).not.toMatch(/my private prompt|proxy_server\.py/) // Of the stand-in's failures.
  }
  expect(readFileSync(`${file.path}-wal`).toString('latin1')).toContain('with prompts')
})

test('a call under a second source is kept, told of, and not billed again', async () => {
  litellm.insertRows([
    call(EVENING_MS - HOUR_MS, 'a'),
    { ...call(EVENING_MS - HOUR_MS, 'b'), status: 'failure' },
  ])
  await (await workersOf('main')).collect()
  const again = await workersOf('again')
  await again.collect()
  expect(await ids()).toEqual(['main/a'])
  expect(await store.records.counts()).toMatchObject({ records: 4, excluded: 3 })
  clock.pass(60_000)
  await again.collect()
  const status = await statusOf('again')
  expect(status).toMatchObject({ twins: 1, quarantined: 0 })
  expect(status?.warnings.join()).toContain('1 calls were shown by another source before')
  expect(await statusOf('main')).toMatchObject({ twins: 0 })
})

test('the same id with other tokens is another call of another LiteLLM', async () => {
  litellm.insertRows([call(EVENING_MS - HOUR_MS, 'a')])
  await (await workersOf('main')).collect()
  litellm.deleteBefore(EVENING_MS)
  litellm.insertRows([{ ...call(EVENING_MS - HOUR_MS, 'a'), completionTokens: 21 }])
  await (await workersOf('other')).collect()
  expect(await ids()).toEqual(['main/a', 'other/a'])
})

test('a row with other billable fields is billed as it was first, and told of', async () => {
  litellm.insertRows([call(EVENING_MS - HOUR_MS, 'a')])
  const { collect } = await workersOf('main')
  await collect()
  for (const completionTokens of [21, 21, 22]) {
    litellm.deleteBefore(EVENING_MS)
    litellm.insertRows([{ ...call(EVENING_MS - HOUR_MS, 'a'), completionTokens, user: 'bob' }])
    clock.pass(60_000)
    await collect()
  }
  const [record, ...others] = await store.records.unattributed('v', 10)
  expect([record?.completionTokens, record?.payers.user, others]).toEqual([20n, 'alice', []])
  expect(await store.setAsides.waiting({}, 10)).toMatchObject([
    { record: { completionTokens: 22n }, differs: ['completionTokens', 'user', 'api_key'] },
    { record: { key: { source: 'main', requestId: 'a' } } },
  ])
  const status = await statusOf('main')
  expect(status).toMatchObject({ quarantined: 2 })
  expect(status?.warnings.join()).toContain('2 rows were shown with other billable fields')
})

describe('rows that come late', () => {
  test('by hours are found by the deep re-scan, on its own schedule', async () => {
    const { collect, rescan } = await workersOf('main')
    await collect()
    await rescan()
    // Rows of a batch: their costs are logged many hours after their start.
    litellm.insertRows([call(EVENING_MS - 40 * HOUR_MS, 'late')])
    clock.pass(HOUR_MS)
    await collect()
    await rescan()
    expect(await ids()).toEqual([])
    clock.pass(5 * HOUR_MS)
    await collect()
    await rescan()
    expect(await ids()).toEqual(['main/late'])
    expect((await store.records.source('main'))?.rescannedAtMs).toBe(clock.now())
  })

  test('are not looked for where nothing was ours yet', async () => {
    litellm.insertRows([call(START_MS - 1, 'before'), call(START_MS, 'first')])
    const { collect, rescan } = await workersOf('main')
    await rescan()
    await collect()
    expect(await ids()).toEqual(['main/first'])
  })
})

describe('the clock of the proxy', () => {
  test('is what rows are read by, and its skew is shown', async () => {
    skewMs = 600_000
    litellm.insertRows([call(EVENING_MS + 300_000, 'of its future')])
    const { collect } = await workersOf('main')
    await collect()
    expect(await ids()).toEqual(['main/of its future'])
    const status = await statusOf('main')
    expect(status?.clockSkewS).toBe(600)
    expect(status?.warnings.join()).toContain('its clock is 600 s ahead of ours')
  })

  test('may go back by hours: what is stamped then is read all the same', async () => {
    const { collect } = await workersOf('main')
    skewMs = 5 * HOUR_MS
    await collect()
    skewMs = 0
    litellm.insertRows([call(EVENING_MS - 1_000, 'after it was set right')])
    clock.pass(120_000)
    await collect()
    expect(await ids()).toEqual(['main/after it was set right'])
  })
})

describe('retention', () => {
  test('is warned of before rows are lost, and when they are', async () => {
    const { collect } = await workersOf('main', 24 * HOUR_MS)
    await collect()
    expect((await statusOf('main'))?.warnings).toEqual([])
    clock.pass(13 * HOUR_MS)
    expect((await statusOf('main'))?.warnings.join()).toMatch(/in 11\.0 h the first are lost/)
    clock.pass(12 * HOUR_MS)
    expect((await statusOf('main'))?.warnings.join()).toMatch(/some are lost/)
  })

  test('is seen by where the table begins', async () => {
    const { collect } = await workersOf('main')
    await collect()
    clock.pass(30 * HOUR_MS)
    litellm.insertRows([call(EVENING_MS + 20 * HOUR_MS, 'oldest that is left')])
    // The probe comes through, and then the reading fails: the cursor stays where it was.
    litellm.addFault({ kind: 'lateRows', calls: [], path: '/spend', times: 2 })
    litellm.addFault({ kind: 'keyGone', path: '/spend' })
    await expect(collect()).rejects.toMatchObject({ code: 'source_refused' })
    expect((await statusOf('main'))?.warnings.join()).toMatch(/may have been deleted/)
  })
})
