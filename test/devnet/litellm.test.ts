import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Litellm, type LitellmOptions, startLitellm } from '../../devnet/litellm/index.js'
import { PATIENTLY } from '../support/patience.js'

// Goal: the stand-in answers as the genuine proxy was recorded to, oddities included, so that what
// reads it here also reads the real one.

const HOUR_MS = 3_600_000
const FROM_MS = Date.UTC(2026, 10, 21, 5)
const NOW_MS = FROM_MS + 4 * HOUR_MS
const DAY = { start_date: '2026-11-21', end_date: '2026-11-22' }
const traffic = { seed: 7, fromMs: FROM_MS, untilMs: FROM_MS + HOUR_MS, calls: 400 }

const running: Litellm[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((litellm) => litellm.stop()))
})

async function start(options: LitellmOptions = {}): Promise<Litellm> {
  const litellm = await startLitellm({ nowMs: () => NOW_MS, ...options })
  running.push(litellm)
  return litellm
}

/** What is read of a row here. */
interface Row {
  readonly request_id: string
  readonly call_type: string
  readonly user: string
  readonly api_key: string
  readonly model: string
  readonly model_group: string
  readonly startTime: string
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
  readonly request_duration_ms: number
  readonly cache_hit: string
  readonly status: string | null
  readonly metadata: {
    readonly litellm_call_id: string
    readonly user_api_key_alias: string | null
    readonly error_information: { readonly error_class: string } | null
    readonly usage_object: {
      readonly prompt_tokens_details: { readonly cached_tokens: number } | null
    } | null
  }
}

interface Metrics {
  readonly metrics: { readonly prompt_tokens: number; readonly failed_requests: number }
}

/** What the answers hold between them. A test that reads what is not there fails on the value. */
interface Body {
  readonly data: readonly Row[]
  readonly total: number
  readonly error: { readonly message: string; readonly type: string; readonly code: string }
  readonly detail: string | readonly unknown[]
  readonly db: string
  readonly litellm_version: string
  readonly user_info: { readonly user_role: string }
  readonly metadata: {
    readonly total_prompt_tokens: number
    readonly total_api_requests: number
    readonly total_failed_requests: number
  }
  readonly results: readonly {
    readonly breakdown: {
      readonly models: Readonly<Record<string, Metrics>>
      readonly providers: { readonly unknown?: Metrics }
    }
  }[]
}

interface Reply {
  readonly status: number
  readonly body: Body
  readonly headers: Headers
}

async function ask(
  litellm: Litellm,
  path: string,
  query: Record<string, string | number> = {},
  key: string | null = litellm.masterKey,
): Promise<Reply> {
  const params = new URLSearchParams(
    Object.entries(query).map(([k, v]): [string, string] => [k, `${v}`]),
  )
  const headers = key === null ? {} : { authorization: `Bearer ${key}` }
  const response = await fetch(`${litellm.url}${path}?${params}`, { headers })
  return {
    status: response.status,
    body: JSON.parse(await response.text()) as Body,
    headers: response.headers,
  }
}

const logs = (litellm: Litellm, query: Record<string, string | number> = {}, key?: string) =>
  ask(litellm, '/spend/logs/v2', { ...DAY, page_size: 1000, ...query }, key)

describe('/spend/logs/v2', () => {
  test('answers with the recorded envelope, newest first', async () => {
    const litellm = await start({ traffic })
    const { status, body, headers } = await logs(litellm, { page_size: 100 })
    expect(status).toBe(200)
    const { data, ...envelope } = body
    expect(data).toHaveLength(100)
    expect(envelope).toEqual({
      total: expect.any(Number),
      page: 1,
      page_size: 100,
      total_pages: Math.ceil(envelope.total / 100),
      total_is_capped: false,
    })
    const starts = data.map((row) => Date.parse(row.startTime))
    expect(starts).toEqual([...starts].sort((a, b) => b - a))
    expect(Date.parse(headers.get('date') ?? '')).toBe(NOW_MS)
  })

  test('has rows of the recorded shape and size, without prompts', async () => {
    const litellm = await start({ traffic })
    const [row] = (await logs(litellm, { status_filter: 'success' })).body.data
    if (row === undefined) throw new Error('there are no rows')
    expect(Object.keys(row).slice(0, 9)).toEqual([
      ...['request_id', 'call_type', 'api_key', 'spend', 'total_tokens', 'prompt_tokens'],
      ...['completion_tokens', 'startTime', 'endTime'],
    ])
    expect(row).not.toHaveProperty('messages')
    expect(row).not.toHaveProperty('proxy_server_request')
    const bytes = JSON.stringify(row.metadata).length
    expect(bytes).toBeGreaterThan(5_500)
    expect(bytes).toBeLessThan(7_000)
  })

  test('leaves out the fraction of a time at millisecond 0', async () => {
    const litellm = await start()
    insert(litellm, [{ startedAtMs: FROM_MS }, { startedAtMs: FROM_MS + 1 }])
    const times = (await logs(litellm, { sort_order: 'asc' })).body.data.map((r) => r.startTime)
    expect(times).toEqual(['2026-11-21T05:00:00+00:00', '2026-11-21T05:00:00.001+00:00'])
  })

  test('includes both ends in whole seconds, so half a second later is outside', async () => {
    const litellm = await start()
    insert(
      litellm,
      [0, 500, 1000, 1500].map((ms) => ({ startedAtMs: FROM_MS + ms })),
    )
    const range = { start_date: '2026-11-21 05:00:00', end_date: '2026-11-21 05:00:01' }
    expect((await logs(litellm, range)).body.total).toBe(3)
    expect((await logs(litellm, { ...range, end_date: '2026-11-21' })).body.total).toBe(0)
  })

  test.each([
    [{ start_date: '' }, 400, 'Start date and end date are required'],
    [{ end_date: '2026-11-22T00:00:00Z' }, 400, 'Invalid date format'],
    [{ end_date: '2026-11-22 00:00:00.500' }, 400, 'Invalid date format'],
    [{ sort_by: 'user' }, 400, 'sort_by'],
    [{ sort_order: 'up' }, 400, 'sort_order'],
  ])('refuses %o with %i', async (query, status, message) => {
    const reply = await logs(await start(), query)
    expect(reply.status).toBe(status)
    expect(reply.body.error.message).toContain(message)
    expect(reply.body.error.code).toBe(String(status))
  })

  test.each([
    ['1.96.2', 1000, 1001],
    ['1.104.2', 1000, 1001],
    ['1.81.16', 100, 101],
  ] as const)('%s takes a page size of %i, and answers 422 to %i', async (version, most, above) => {
    const litellm = await start({ version })
    expect((await logs(litellm, { page_size: most })).status).toBe(200)
    const reply = await logs(litellm, { page_size: above })
    expect(reply.status).toBe(422)
    expect(reply.body.detail[0]).toMatchObject({
      type: 'less_than_equal',
      loc: ['query', 'page_size'],
    })
    expect((await logs(litellm, { page_size: 0 })).status).toBe(422)
  })

  test('counts to 10 000 and says so; later pages are still full', async () => {
    const litellm = await start({ metadata: 'thin' })
    insert(
      litellm,
      Array.from({ length: 10_101 }, (_, i) => ({ startedAtMs: FROM_MS + i * 100 })),
    )
    const capped = (await logs(litellm)).body
    expect(capped).toMatchObject({ total: 10_000, total_pages: 10, total_is_capped: true })
    expect((await logs(litellm, { page: 11 })).body.data).toHaveLength(101)
    const old = await start({ version: '1.81.16', metadata: 'thin' })
    insert(
      old,
      Array.from({ length: 10_101 }, (_, i) => ({ startedAtMs: FROM_MS + i * 100 })),
    )
    const exact = (await logs(old, { page_size: 10 })).body
    expect(exact.total).toBe(10_101)
    expect(exact).not.toHaveProperty('total_is_capped')
  })

  test('loses and repeats tied rows across pages when their order shifts', async () => {
    const litellm = await start({ isTieOrderShifting: true, metadata: 'thin' })
    insert(
      litellm,
      Array.from({ length: 90 }, () => ({ startedAtMs: FROM_MS })),
    )
    const pages = []
    for (const page of [1, 2, 3]) pages.push((await logs(litellm, { page, page_size: 30 })).body)
    const ids = pages.flatMap((body) => body.data.map((row) => row.request_id))
    expect(ids).toHaveLength(90)
    expect(new Set(ids).size).toBeLessThan(90)
  })

  test('can write a row between its count and its rows', async () => {
    const litellm = await start()
    insert(litellm, [{ startedAtMs: FROM_MS }])
    const late = { user: 'bob', startedAtMs: FROM_MS + 1, promptTokens: 1, completionTokens: 1 }
    litellm.addFault({ kind: 'lateRows', calls: [late] })
    const torn = (await logs(litellm)).body
    expect([torn.total, torn.data.length]).toEqual([1, 2])
  })

  test('drops a second row with a taken id, which the daily totals still count', async () => {
    const litellm = await start()
    insert(litellm, [
      { startedAtMs: FROM_MS, requestId: 'chatcmpl-1', promptTokens: 5 },
      { startedAtMs: FROM_MS, requestId: 'chatcmpl-1', promptTokens: 70 },
    ])
    const { body } = await logs(litellm)
    expect(body.data.map((row) => row.prompt_tokens)).toEqual([5])
    const daily = (await ask(litellm, '/user/daily/activity/aggregated', DAY)).body
    expect(daily.metadata.total_prompt_tokens).toBe(75)
  })
})

describe('keys and roles', () => {
  test.each([
    [null, 401, 'auth_error'],
    ['no-key', 401, 'auth_error'],
    ['sk-unknown', 401, 'token_not_found_in_db'],
  ])('key %s gets %i %s', async (key, status, type) => {
    const reply = await ask(await start(), '/spend/logs/v2', DAY, key)
    expect([reply.status, reply.body.error.type]).toEqual([status, type])
  })

  test('an internal user sees no rows and no error, but not the details', async () => {
    const litellm = await start({ traffic })
    const reply = await logs(litellm, {}, litellm.internalUserKey)
    expect([reply.status, reply.body.total, reply.body.data]).toEqual([200, 0, []])
    const details = (key: string) => ask(litellm, '/health/readiness/details', {}, key)
    expect((await details(litellm.internalUserKey)).status).toBe(401)
    for (const key of [litellm.masterKey, litellm.viewerKey]) {
      expect((await details(key)).body.litellm_version).toBe('1.96.2')
    }
    const me = await ask(litellm, '/user/info', {}, litellm.internalUserKey)
    expect(me.body.user_info.user_role).toBe('internal_user')
  })

  test('a viewer reads all rows from 1.96 on, and none before', async () => {
    const litellm = await start({ traffic })
    expect((await logs(litellm, {}, litellm.viewerKey)).body.total).toBeGreaterThan(300)
    const old = await start({ version: '1.81.16' })
    expect((await logs(old, { page_size: 10 }, old.viewerKey)).status).toBe(403)
    expect((await logs(old, { page_size: 10 }, old.internalUserKey)).status).toBe(401)
    expect((await ask(old, '/health/readiness/details')).status).toBe(404)
  })

  test('a key for model calls is refused in the second error shape', async () => {
    const litellm = await start()
    const reply = await logs(litellm, {}, litellm.modelKey)
    expect(reply.status).toBe(403)
    expect(reply.body.detail).toContain('Virtual key is not allowed')
  })
})

test('readiness is public and tells the version on old releases only', async () => {
  const litellm = await start()
  const ready = await ask(litellm, '/health/readiness', {}, null)
  expect(ready.body).toEqual({ status: 'healthy', db: 'connected' })
  expect((await ask(litellm, '/health/liveliness', {}, null)).body).toBe("I'm alive!")
  const old = await start({ version: '1.81.16' })
  expect((await ask(old, '/health/readiness', {}, null)).body.litellm_version).toBe('1.81.16')
})

describe('traffic', () => {
  test('is the same for the same seed, and another for another', async () => {
    const [one, same, other] = await Promise.all([
      start({ traffic }),
      start({ traffic }),
      start({ traffic: { ...traffic, seed: 8 } }),
    ])
    const read = async (litellm: Litellm) => (await logs(litellm)).body.data
    expect(await read(one)).toEqual(await read(same))
    expect(await read(one)).not.toEqual(await read(other))
  })

  test('has every odd kind of row', async () => {
    const { data } = (await logs(await start({ traffic }))).body
    const some = (is: (row: Row) => boolean) => data.filter(is).length
    const callIds = data.map((row) => row.metadata.litellm_call_id)
    const starts = data.map((row) => row.startTime)
    const odd = {
      failures: some((r) => r.status === 'failure' && r.model_group !== ''),
      managementFailures: some((r) => r.status === 'failure' && r.model === ''),
      oldSuccesses: some((r) => r.status === null),
      cacheHits: some((r) => r.cache_hit === 'True' && r.request_id.includes('_cache_hit')),
      healthChecks: some((r) => r.api_key === 'litellm-internal-health-check'),
      ownerless: some((r) => r.user === '' && r.metadata.user_api_key_alias === null),
      masterKey: some((r) => r.api_key === 'litellm_proxy_master_key'),
      left: some((r) => r.metadata.error_information?.error_class === 'ClientDisconnected'),
      embeddings: some((r) => r.call_type === 'aembedding' && r.total_tokens === 0),
      cachedPrompts: some(
        (r) => (r.metadata.usage_object?.prompt_tokens_details?.cached_tokens ?? 0) > 0,
      ),
      sameCallIds: callIds.length - new Set(callIds).size,
      ties: starts.length - new Set(starts).size,
      longStreams: some((r) => r.request_duration_ms >= 60_000),
    }
    expect(Object.entries(odd).filter(([, count]) => count === 0)).toEqual([])
  })

  test('appears at the end of a call plus the write lag', async () => {
    const litellm = await start()
    const call = { startedAtMs: NOW_MS, durationMs: 5_000, writeLagMs: 2_000 }
    insert(litellm, [call])
    const visible = async () => (await logs(litellm)).body.total
    expect(await visible()).toBe(0)
    litellm.advance(6_999)
    expect(await visible()).toBe(0)
    litellm.advance(1)
    expect(await visible()).toBe(1)
  })

  test('keeps its table over a restart, and does not make traffic again', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'litellm-'))
    try {
      const first = await startLitellm({ dir, traffic, nowMs: () => NOW_MS })
      const truth = first.truth()
      await first.stop()
      const second = await startLitellm({ dir, traffic, nowMs: () => NOW_MS })
      expect(second.truth()).toEqual(truth)
      await second.stop()
    } finally {
      rmSync(dir, { recursive: true })
    }
  })
})

// Goal: the truth that other tests compare with is right. Method: add up the rows served over HTTP
// in JavaScript, which shares nothing with the SQL but the table.
test('the truth is the sum of the billable rows served', async () => {
  const litellm = await start({ traffic })
  const sums = new Map<string, bigint[]>()
  for (const row of (await logs(litellm)).body.data) {
    const isBillable = row.status === 'success' || row.status === null
    if (!isBillable || row.api_key === 'litellm-internal-health-check') continue
    const name = `${row.user}/${row.model_group}`
    const [requests = 0n, prompt = 0n, completion = 0n] = sums.get(name) ?? []
    const more = [row.prompt_tokens, row.completion_tokens].map(BigInt) as [bigint, bigint]
    sums.set(name, [requests + 1n, prompt + more[0], completion + more[1]])
  }
  const truth = litellm
    .truth()
    .map((sum): [string, bigint[]] => [
      `${sum.user}/${sum.model}`,
      [sum.requests, sum.promptTokens, sum.completionTokens],
    ])
  expect(truth.length).toBeGreaterThan(20)
  expect(new Map(truth)).toEqual(sums)
})

test('the aggregate of one user equals the sum of their rows, failures counted apart', async () => {
  const litellm = await start({ traffic: { ...traffic, users: ['alice'] } })
  const rows = (await logs(litellm, { user_id: 'alice' })).body.data
  const query = { ...DAY, user_id: 'alice' }
  const daily = (await ask(litellm, '/user/daily/activity/aggregated', query)).body
  const failures = rows.filter((row) => row.status === 'failure').length
  const dropped = daily.metadata.total_api_requests - rows.length
  expect(daily.metadata.total_failed_requests).toBe(failures)
  expect(dropped).toBeGreaterThan(0) // Taken ids: counted here, never logged.
  const { models = {}, providers } = daily.results[0]?.breakdown ?? {}
  const prompts = Object.values(models).reduce((sum, { metrics }) => sum + metrics.prompt_tokens, 0)
  expect(prompts).toBe(daily.metadata.total_prompt_tokens)
  expect(providers?.unknown?.metrics.failed_requests).toBe(failures)
})

describe('faults', () => {
  test('are used up, and end with the stand-in', async () => {
    const litellm = await start()
    litellm.addFault({ kind: 'unreachable', times: 2 })
    await expect(logs(litellm)).rejects.toThrow('fetch failed')
    await expect(logs(litellm)).rejects.toThrow('fetch failed')
    expect((await logs(litellm)).status).toBe(200)
  })

  test.each([
    [{ kind: 'keyGone' }, 401, 'token_not_found_in_db'],
    [{ kind: 'noDatabase' }, 401, 'Prisma Client is not initialized'],
    [{ kind: 'databaseLost' }, 500, 'internal_server_error'],
    [{ kind: 'wrongRole' }, 200, '"total":0'],
    [{ kind: 'answer', status: 429, body: { error: 'slow down' } }, 429, 'slow down'],
  ] as const)('%o answers %i', async (fault, status, text) => {
    const litellm = await start({ traffic })
    litellm.addFault(fault)
    const reply = await logs(litellm)
    expect(reply.status).toBe(status)
    expect(JSON.stringify(reply.body)).toContain(text)
  })

  test('cut answers are no JSON, or no answer', async () => {
    const litellm = await start({ traffic })
    litellm.addFault({ kind: 'truncated' })
    await expect(logs(litellm)).rejects.toThrow(SyntaxError)
    litellm.addFault({ kind: 'broken' })
    await expect(logs(litellm)).rejects.toThrow('terminated')
  })

  test('a silent proxy takes requests, and stopping it ends them', async () => {
    const litellm = await startLitellm()
    litellm.addFault({ kind: 'slow', delayMs: Number.POSITIVE_INFINITY })
    const asked = logs(litellm).catch((error: unknown) => error)
    await expect.poll(() => litellm.requests(), PATIENTLY).toMatchObject([{ status: 0 }])
    await litellm.stop()
    expect(await asked).toBeInstanceOf(TypeError)
  })

  test('a lost database shows in the readiness', async () => {
    const litellm = await start()
    litellm.addFault({ kind: 'databaseLost', path: '/health' })
    expect((await logs(litellm)).status).toBe(200)
    const ready = await ask(litellm, '/health/readiness', {}, null)
    expect([ready.status, ready.body.db]).toEqual([503, 'disconnected'])
  })
})

test('stopping before 1.104 and the retention job lose rows', async () => {
  const litellm = await start()
  insert(litellm, [
    { startedAtMs: FROM_MS },
    { startedAtMs: NOW_MS - 2_000, durationMs: 1_000, writeLagMs: 5_000 },
  ])
  expect(litellm.loseUnwritten()).toBe(1)
  litellm.advance(HOUR_MS)
  expect((await logs(litellm)).body.total).toBe(1)
  litellm.deleteBefore(NOW_MS)
  expect((await logs(litellm)).body.total).toBe(0)
})

function insert(
  litellm: Litellm,
  calls: readonly Partial<Parameters<Litellm['insertRows']>[0][0]>[],
) {
  const usual = { user: 'alice', startedAtMs: FROM_MS, promptTokens: 10, completionTokens: 20 }
  litellm.insertRows(calls.map((call) => ({ ...usual, ...call })))
}
