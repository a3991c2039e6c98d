import { afterEach, describe, expect, test } from 'vitest'
import { type Litellm, type LitellmOptions, startLitellm } from '../../devnet/litellm/index.js'
import type { UsageRecord } from '../../src/domain/usage-record.js'
import { createSource, examineSource, sourceConfig } from '../../src/sources/index.js'
import { readAll, type SourceFailure, usageSourceContract } from '../ports/usage-source-contract.js'

const HOUR_MS = 3_600_000
const FROM_MS = Date.UTC(2026, 10, 21, 5)
const NOW_MS = FROM_MS + 4 * HOUR_MS
const RANGE = { fromMs: FROM_MS, untilMs: FROM_MS + HOUR_MS }
const TRAFFIC = { seed: 11, ...RANGE, calls: 300 }
const VERSIONS = ['1.81.16', '1.96.2', '1.104.2'] as const

const running: Litellm[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((litellm) => litellm.stop()))
})

async function start(options: LitellmOptions = {}): Promise<Litellm> {
  const litellm = await startLitellm({ nowMs: () => NOW_MS, ...options })
  running.push(litellm)
  return litellm
}

interface SourceOptions {
  readonly key?: string
  readonly pageSize?: number
  readonly responseBytesMax?: number
  readonly requestTimeoutMs?: number
  readonly cacheHits?: 'count' | 'exclude'
}

function sourceOf(
  { url, masterKey }: Litellm,
  { key = masterKey, ...options }: SourceOptions = {},
) {
  const config = sourceConfig.parse({ kind: 'litellm', name: 'main', apiUrl: url, ...options })
  return createSource(config, (variable) => (variable === 'LITELLM_API_KEY' ? key : ''))
}

const call = (startedAtMs: number) => ({
  user: 'alice',
  startedAtMs,
  promptTokens: 10,
  completionTokens: 20,
})
const times = (n: number, at: (i: number) => number) =>
  Array.from({ length: n }, (_, i) => call(at(i)))

describe('on 1.104.2, the contract of a source', () => {
  usageSourceContract(async () => {
    const litellm = await startLitellm({ nowMs: () => NOW_MS, version: '1.104.2' })
    const ids = litellm.insertRows([
      ...times(120, (i) => FROM_MS + i * 29_950),
      ...[0, 1000, 1999, 2000].map((ms) => call(FROM_MS + ms)),
    ])
    const [reject = ''] = litellm.insertRows([
      { ...call(FROM_MS + 5_000), garbled: { prompt_tokens: 'many' } },
    ])
    // Outside on both sides, by a millisecond.
    litellm.insertRows([call(RANGE.fromMs - 1), call(RANGE.untilMs)])
    return {
      source: await sourceOf(litellm, { key: litellm.viewerKey, pageSize: 50 + 51 }),
      range: RANGE,
      ids,
      rejectIds: [reject],
      nowMs: NOW_MS,
      addLate: () => litellm.insertRows([call(FROM_MS + 7_777)])[0] ?? '',
      fail: (how) => litellm.addFault(FAULTS[how]),
      end: () => litellm.stop(),
    }
  })
})

const always = { times: Number.POSITIVE_INFINITY }
const FAULTS: Record<SourceFailure, Parameters<Litellm['addFault']>[0]> = {
  unreachable: { kind: 'unreachable', ...always },
  keyGone: { kind: 'keyGone', ...always },
  wrongRole: { kind: 'wrongRole', ...always },
  noDatabase: { kind: 'noDatabase', ...always },
  nonsense: { kind: 'truncated', ...always },
}

// Goal: what we count is what LiteLLM logged as billable. Method: sum the records by user and model
// and compare with sums that the simulator makes in SQL, straight from its table.
describe.each(VERSIONS)('on %s', (version) => {
  test('counts the billable rows, all of them, once', async () => {
    const litellm = await start({ version, traffic: TRAFFIC })
    const { records, rejects } = await readAll(await sourceOf(litellm), RANGE)
    expect(rejects).toEqual([])
    expect(sumsOf(records)).toEqual(truthOf(litellm))
    const reasons = new Set(records.map(({ excluded }) => excluded))
    expect(reasons).toEqual(new Set([undefined, 'failure', 'health_check']))
  })

  test('leaves out cache hits where the settings say so', async () => {
    const litellm = await start({ version, traffic: TRAFFIC })
    const { records } = await readAll(await sourceOf(litellm, { cacheHits: 'exclude' }), RANGE)
    expect(sumsOf(records)).toEqual(truthOf(litellm, { withoutCacheHits: true }))
    expect(truthOf(litellm, { withoutCacheHits: true })).not.toEqual(truthOf(litellm))
  })

  test('reads JSON columns that come as text', async () => {
    const litellm = await start({ version, traffic: TRAFFIC, isJsonText: true })
    const { records } = await readAll(await sourceOf(litellm), RANGE)
    expect(sumsOf(records)).toEqual(truthOf(litellm))
  })

  test('asks for page 1 only, and never for /health', async () => {
    const litellm = await start({ version, traffic: TRAFFIC })
    await readAll(await sourceOf(litellm, { pageSize: 40 }), RANGE)
    const seen = litellm.requests()
    const pages = seen.flatMap(({ query }) => query.page ?? [])
    expect(pages.length).toBeGreaterThan(8)
    expect(new Set(pages)).toEqual(new Set(['1']))
    expect(seen.map(({ path }) => path)).not.toContain('/health')
  })

  test('finds all rows of a second that does not fit on a page, in whatever order they come', async () => {
    const litellm = await start({ version, isTieOrderShifting: true, metadata: 'thin' })
    // Half of them in one millisecond, and some on the edge to the next second.
    litellm.insertRows([
      ...times(150, () => FROM_MS),
      ...times(150, (i) => FROM_MS + (i % 10) * 100),
      ...times(20, () => FROM_MS + 1000),
    ])
    const { records } = await readAll(await sourceOf(litellm, { pageSize: 30 }), RANGE)
    expect(records).toHaveLength(320)
    expect(new Set(records.map(({ key }) => key.requestId)).size).toBe(320)
    expect(litellm.requests().some(({ query }) => query.page === '9')).toBe(true)
  })
})

describe('reading', () => {
  test('falls back to 100 rows a page where 1000 are refused, once', async () => {
    const litellm = await start({ version: '1.81.16', traffic: TRAFFIC })
    const source = await sourceOf(litellm)
    await readAll(source, RANGE)
    const sizes = litellm.requests().flatMap(({ query }) => query.page_size ?? [])
    expect(sizes.slice(0, 2)).toEqual(['1000', '100'])
    expect(sizes.lastIndexOf('1000')).toBe(0)
  })

  test('reads again when rows were written between count and rows', async () => {
    const litellm = await start({ traffic: TRAFFIC })
    litellm.addFault({ kind: 'lateRows', calls: [call(FROM_MS + 5)], path: '/spend' })
    const { records } = await readAll(await sourceOf(litellm), RANGE)
    expect(sumsOf(records)).toEqual(truthOf(litellm))
    const reads = litellm.requests().filter(({ path }) => path === '/spend/logs/v2')
    expect(reads).toHaveLength(2)
  })

  test('reads more rows than LiteLLM counts', async () => {
    const litellm = await start({ metadata: 'thin' })
    litellm.insertRows(times(12_000, (i) => FROM_MS + i * 250))
    const { records } = await readAll(await sourceOf(litellm), RANGE)
    expect(new Set(records.map(({ key }) => key.requestId)).size).toBe(12_000)
    const reads = litellm.requests().filter(({ path }) => path === '/spend/logs/v2')
    // 12 full pages at least; narrowing and widening the window may cost as many again.
    expect(reads.length).toBeLessThan(40)
  })

  test('turns no page while a narrower window would do', async () => {
    const litellm = await start({ metadata: 'thin' })
    litellm.insertRows(times(900, (i) => FROM_MS + i * 11)) // 91 in a second.
    const { records } = await readAll(await sourceOf(litellm, { pageSize: 100 }), RANGE)
    expect(records).toHaveLength(900)
    expect(litellm.requests().filter(({ query }) => Number(query.page) > 1)).toEqual([])
  })

  // Goal: no row is lost to being written late. Method: poll like the daemon, with an overlap above
  // the longest call, while time goes on and rows appear; then compare with the source's own sums.
  test('overlapping ranges see every row in the end', async () => {
    const litellm = await start({ nowMs: () => FROM_MS, traffic: { ...TRAFFIC, calls: 1_000 } })
    const source = await sourceOf(litellm, { pageSize: 100 })
    const seen = new Map<string, UsageRecord>()
    for (
      const stepMs = 37_123;
      litellm.nowMs() < RANGE.untilMs + 300_000;
      litellm.advance(stepMs)
    ) {
      const range = { fromMs: litellm.nowMs() - 200_000, untilMs: litellm.nowMs() + 1 }
      const { records } = await readAll(source, range)
      for (const record of records) seen.set(record.key.requestId, record)
    }
    expect(sumsOf([...seen.values()])).toEqual(truthOf(litellm))
    expect(litellm.truth({ withUnwritten: true })).toEqual(litellm.truth())
  })

  test('reads a second with more rows than LiteLLM counts', async () => {
    const litellm = await start({ metadata: 'thin' })
    litellm.insertRows(times(10_500, (i) => FROM_MS + (i % 1000)))
    const { records } = await readAll(await sourceOf(litellm), RANGE)
    expect(new Set(records.map(({ key }) => key.requestId)).size).toBe(10_500)
  })

  test('gives up on a count that its rows never reach', async () => {
    const litellm = await start()
    const body = { data: [], total: 5, page: 1, page_size: 1000, total_pages: 1 }
    litellm.addFault({ kind: 'answer', status: 200, body, path: '/spend', ...always })
    const error = { code: 'source_nonsense', message: expect.stringContaining('counts other rows') }
    await expect(readAll(await sourceOf(litellm), RANGE)).rejects.toMatchObject(error)
  })

  test('shows a row only once it is written, however long its call took', async () => {
    const litellm = await start()
    const long = { ...call(NOW_MS - 60_000), durationMs: 90_000, writeLagMs: 8_000 }
    const [id] = litellm.insertRows([long])
    const source = await sourceOf(litellm)
    const range = { fromMs: NOW_MS - 120_000, untilMs: NOW_MS }
    expect((await readAll(source, range)).records).toEqual([])
    litellm.advance(38_000)
    expect((await readAll(source, range)).records).toMatchObject([{ key: { requestId: id } }])
  })
})

describe('a key without the role', () => {
  test.each(VERSIONS)('is no empty answer on %s', async (version) => {
    const litellm = await start({ version, traffic: TRAFFIC })
    for (const key of [litellm.internalUserKey, litellm.modelKey]) {
      const source = await sourceOf(litellm, { key })
      await expect(readAll(source, RANGE)).rejects.toMatchObject({ code: 'source_role' })
    }
  })

  test('is found out even where it sees some rows', async () => {
    const litellm = await start()
    litellm.insertRows([{ ...call(FROM_MS), user: 'watcher' }, call(FROM_MS)])
    const source = await sourceOf(litellm, { key: litellm.internalUserKey })
    await expect(readAll(source, RANGE)).rejects.toMatchObject({ code: 'source_role' })
  })

  test('is a viewer on 1.81', async () => {
    const litellm = await start({ version: '1.81.16', traffic: TRAFFIC })
    const source = await sourceOf(litellm, { key: litellm.viewerKey })
    await expect(readAll(source, RANGE)).rejects.toMatchObject({ code: 'source_role' })
  })
})

describe('answers that are none', () => {
  const page = '<html><body>Bad gateway</body></html>'
  test.each<[string, Parameters<Litellm['addFault']>[0], string]>([
    ['a lost database', { kind: 'databaseLost' }, 'source_unreachable'],
    ['a connection cut in the middle', { kind: 'broken' }, 'source_unreachable'],
    ['JSON cut in the middle', { kind: 'truncated' }, 'source_nonsense'],
    ['silence', { kind: 'slow', delayMs: Number.POSITIVE_INFINITY }, 'source_unreachable'],
    ['a gateway', { kind: 'answer', status: 502, body: page }, 'source_unreachable'],
    ['a login page', { kind: 'answer', status: 200, body: page }, 'source_nonsense'],
    ['a list', { kind: 'answer', status: 200, body: [] }, 'source_nonsense'],
    ['no total', { kind: 'answer', status: 200, body: { data: [] } }, 'source_nonsense'],
    ['a redirect', { kind: 'answer', status: 302, body: '' }, 'source_nonsense'],
    ['too many requests', { kind: 'answer', status: 429, body: {} }, 'source_unreachable'],
    ['another route', { kind: 'answer', status: 404, body: { detail: 'x' } }, 'source_nonsense'],
    ['a refusal', { kind: 'answer', status: 403, body: { detail: { error: 'x' } } }, 'source_role'],
    [
      'no key',
      { kind: 'answer', status: 401, body: { error: { message: 'x' } } },
      'source_refused',
    ],
  ])('%s', async (_, fault, code) => {
    const litellm = await start({ traffic: TRAFFIC })
    const limits = { responseBytesMax: 1_999_999, pageSize: 100, requestTimeoutMs: 60_000 }
    const source = await sourceOf(litellm, limits)
    // Nothing but silence is waited for.
    const hasty = await sourceOf(litellm, { ...limits, requestTimeoutMs: 2_000 })
    litellm.addFault({ ...fault, path: '/spend' })
    const error = { name: 'RetryableError', code }
    const failing = fault.kind === 'slow' ? hasty : source
    await expect(readAll(failing, RANGE)).rejects.toMatchObject(error)
    expect(sumsOf((await readAll(source, RANGE)).records)).toEqual(truthOf(litellm))
  })

  test('pages of too many bytes are asked for again with fewer rows', async () => {
    const litellm = await start({ traffic: TRAFFIC })
    const source = await sourceOf(litellm, { responseBytesMax: 100_000, pageSize: 300 })
    expect(sumsOf((await readAll(source, RANGE)).records)).toEqual(truthOf(litellm))
    const sizes = litellm.requests().flatMap(({ query }) => Number(query.page_size ?? 0) || [])
    expect(sizes[0]).toBe(300)
    expect(Math.min(...sizes)).toBeLessThan(30)
  })

  test('a single row of too many bytes is an error that says so', async () => {
    const litellm = await start({ traffic: TRAFFIC })
    litellm.addFault({ kind: 'oversized', bytes: 2_000_000, path: '/spend', ...always })
    const source = await sourceOf(litellm, { responseBytesMax: 1_999_999 })
    await expect(readAll(source, RANGE)).rejects.toMatchObject({
      code: 'source_nonsense',
      message: expect.stringContaining('too many bytes'),
    })
  })

  test.each(['sk-wrong-and-secret', 'not-even-a-key'])(
    'key %s is refused and not shown',
    async (key) => {
      const litellm = await start()
      const error = await readAll(await sourceOf(litellm, { key }), RANGE).catch((e: unknown) => e)
      expect(error).toMatchObject({ code: 'source_refused' })
      expect(`${error}${JSON.stringify(error)}`).not.toContain(key.slice(-5))
    },
  )
})

describe('looking before reading', () => {
  test.each([
    ['1.81.16', [/loses the rows/, /100 rows at once/]],
    ['1.96.2', [/loses the rows/]],
    ['1.104.2', []],
  ] as const)('warns of what %s does', async (version, warnings) => {
    const source = await sourceOf(await start({ version }))
    const facts = await source.probe(new AbortController().signal)
    expect(facts.version).toBe(version)
    expect(facts.warnings).toEqual(warnings.map((text) => expect.stringMatching(text)))
  })

  test('finds a lost database', async () => {
    const litellm = await start()
    litellm.addFault({ kind: 'databaseLost', path: '/health/readiness' })
    const probe = (await sourceOf(litellm)).probe(new AbortController().signal)
    await expect(probe).rejects.toMatchObject({ code: 'source_no_database' })
  })

  test('doctor says what is broken and what to do, and shows no key', async () => {
    const litellm = await start()
    const { signal } = new AbortController()
    const config = sourceConfig.parse({ kind: 'litellm', name: 'main', apiUrl: litellm.url })
    const fine = await examineSource(config, () => litellm.masterKey, signal)
    // The proxy's clock is the test's, days away from this machine's: the last one says so.
    expect(fine.map(({ verdict }) => verdict)).toEqual(['ok', 'warning', 'warning'])
    expect(fine.at(-1)).toMatchObject({
      says: expect.stringMatching(/clock/),
      fix: expect.any(String),
    })
    for (const [how, fault] of Object.entries(FAULTS)) {
      const heal = litellm.addFault(fault)
      const [finding] = await examineSource(config, () => litellm.masterKey, signal)
      heal()
      expect([how, finding]).toMatchObject([how, { verdict: 'broken', fix: expect.any(String) }])
      expect(JSON.stringify(finding)).not.toContain('sk-')
    }
  })
})

describe('settings', () => {
  test.each([
    [{ name: 'Main Proxy' }],
    [{ apiUrl: 'litellm:4000' }],
    [{ apiUrl: 'ftp://litellm' }],
    [{ pageSize: 0 }],
    [{ apiKey: 'sk-in-a-file' }],
  ])('%o is refused', (wrong) => {
    const good = { kind: 'litellm', name: 'main', apiUrl: 'http://127.0.0.1:4000' }
    expect(sourceConfig.safeParse(good).success).toBe(true)
    expect(sourceConfig.safeParse({ ...good, ...wrong }).success).toBe(false)
  })
})

/** Requests, prompt, cached prompt and completion tokens by user and model. */
type Sums = Map<string, readonly bigint[]>

function sumsOf(records: readonly UsageRecord[]): Sums {
  const sums: Sums = new Map()
  for (const record of records.filter(({ excluded }) => excluded === undefined)) {
    const key = `${record.payers.user}/${record.model}`
    const one = [1n, record.promptTokens, record.cachedPromptTokens, record.completionTokens]
    const before = sums.get(key) ?? [0n, 0n, 0n, 0n]
    sums.set(
      key,
      one.map((value, i) => value + (before[i] ?? 0n)),
    )
  }
  return sums
}

function truthOf(litellm: Litellm, options: { withoutCacheHits?: boolean } = {}): Sums {
  const rows = litellm.truth({ ...RANGE, ...options })
  return new Map(
    rows.map((row) => [
      `${row.user}/${row.model}`,
      [row.requests, row.promptTokens, row.cachedPromptTokens, row.completionTokens],
    ]),
  )
}
