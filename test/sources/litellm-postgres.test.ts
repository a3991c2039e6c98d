import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSource, examineSource, sourceConfig } from '../../src/sources/index.js'
import { readAll, type SourceFailure, usageSourceContract } from '../ports/usage-source-contract.js'
import { PATIENTLY } from '../support/patience.js'
import { startPostgres, type TestPostgres } from '../support/test-postgres.js'

const HOUR_MS = 3_600_000
const FROM_MS = Date.UTC(2026, 10, 21, 5)
const RANGE = { fromMs: FROM_MS, untilMs: FROM_MS + HOUR_MS }
const { signal } = new AbortController()

// As LiteLLM's own migrations leave it (1.96.2), down to the columns that are never read.
const TABLE = `CREATE TABLE "LiteLLM_SpendLogs" (
  request_id TEXT PRIMARY KEY, call_type TEXT NOT NULL, api_key TEXT NOT NULL DEFAULT '',
  spend DOUBLE PRECISION NOT NULL DEFAULT 0, total_tokens INTEGER NOT NULL DEFAULT 0,
  prompt_tokens INTEGER NOT NULL DEFAULT 0, completion_tokens INTEGER NOT NULL DEFAULT 0,
  "startTime" TIMESTAMP(3) NOT NULL, "endTime" TIMESTAMP(3) NOT NULL,
  "completionStartTime" TIMESTAMP(3), model TEXT NOT NULL DEFAULT '', model_id TEXT DEFAULT '',
  model_group TEXT DEFAULT '', custom_llm_provider TEXT DEFAULT '', api_base TEXT DEFAULT '',
  "user" TEXT DEFAULT '', metadata JSONB DEFAULT '{}', cache_hit TEXT DEFAULT '',
  cache_key TEXT DEFAULT '', request_tags JSONB DEFAULT '[]', team_id TEXT, end_user TEXT,
  requester_ip_address TEXT, messages JSONB DEFAULT '{}', response JSONB DEFAULT '{}',
  session_id TEXT, status TEXT, proxy_server_request JSONB DEFAULT '{}');
CREATE INDEX "LiteLLM_SpendLogs_startTime_idx" ON "LiteLLM_SpendLogs" ("startTime")`

const GRANTS = 'GRANT SELECT ON "LiteLLM_SpendLogs" TO reader'

interface Call {
  readonly id: string
  readonly atMs: number
  readonly user?: string
  readonly prompt?: number
  readonly completion?: number
  readonly metadata?: unknown
  readonly status?: string
  readonly cacheHit?: string
  readonly apiKey?: string
}

let postgres: TestPostgres
let databases = 0

beforeAll(async () => {
  postgres = await startPostgres()
  await postgres.query('postgres', `CREATE ROLE reader LOGIN PASSWORD 'reader'`)
})
afterAll(() => postgres.stop())

/** A database of its own with LiteLLM's table, and who may read it. */
async function makeDatabase(): Promise<string> {
  databases += 1
  const database = `litellm_${databases}`
  await postgres.query('postgres', `CREATE DATABASE ${database}`)
  await postgres.query(database, `${TABLE}; ${GRANTS}`)
  return database
}

async function insert(database: string, calls: readonly Call[]): Promise<void> {
  await postgres.query(
    database,
    `INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", "user", model,
      model_group, prompt_tokens, completion_tokens, metadata, status, cache_hit, api_key, messages)
    SELECT c->>'id', 'acompletion', (c->>'at')::timestamp, (c->>'at')::timestamp + '2 s', c->>'user',
      'openai/gpt-4o-mini', 'fast', (c->>'prompt')::int, (c->>'completion')::int, c->'metadata', c->>'status',
      c->>'cacheHit', c->>'apiKey', '{"content":"canary prompt"}'
    FROM jsonb_array_elements($1::jsonb) c`,
    [JSON.stringify(calls.map(columnsOf))],
  )
}

function columnsOf(call: Call) {
  const { id, atMs, user = 'alice', prompt = 10, completion = 20 } = call
  const { status = 'success', cacheHit = 'None' } = call
  const at = new Date(atMs).toISOString().slice(0, -1)
  const metadata = call.metadata ?? { usage_object: null, user_api_key_alias: 'a-1' }
  const apiKey = call.apiKey ?? 'ffbc'
  return { id, at, user, prompt, completion, status, cacheHit, apiKey, metadata }
}

function sourceOf(
  database: string,
  options: Readonly<Record<string, unknown>> = {},
  role = 'reader',
) {
  const config = sourceConfig.parse({ kind: 'litellm-postgres', name: 'main', ...options })
  const secretOf = (variable: string) =>
    variable === 'LITELLM_DATABASE_URL' ? postgres.url(database, role) : ''
  return { source: createSource(config, secretOf), config, secretOf }
}

const times = (n: number, at: (i: number) => number): Call[] =>
  Array.from({ length: n }, (_, i) => ({ id: `call-${i}-${at(i)}`, atMs: at(i) }))

describe('the contract of a source', () => {
  usageSourceContract(async () => {
    const database = await makeDatabase()
    const calls = [
      ...times(120, (i) => FROM_MS + i * 29_950),
      ...[0, 1000, 1999, 2000].map((ms, i) => ({ id: `edge-${i}`, atMs: FROM_MS + ms })),
    ]
    await insert(database, calls)
    await insert(database, [
      { id: 'garbled', atMs: FROM_MS + 5_000, prompt: -3 },
      { id: 'before', atMs: RANGE.fromMs - 1 },
      { id: 'after', atMs: RANGE.untilMs },
    ])
    let late = Promise.resolve()
    const { source } = sourceOf(database, { rowsMax: 50 })
    const real = await source
    let broken = Promise.resolve()
    return {
      // What a test does to the database without waiting is waited for here.
      source: {
        name: real.name,
        fetchSlice: async (range, stop) => {
          await Promise.all([late, broken])
          return real.fetchSlice(range, stop)
        },
        now: (stop) => real.now(stop),
        probe: async (stop) => {
          await broken
          return real.probe(stop)
        },
      },
      range: RANGE,
      ids: calls.map(({ id }) => id),
      rejectIds: ['garbled'],
      get nowMs() {
        return Date.now()
      },
      addLate: () => {
        late = insert(database, [{ id: 'late', atMs: FROM_MS + 7_777 }])
        return 'late'
      },
      fail: (how) => {
        broken = FAILURES[how].breakIt(database)
        return () => {
          broken = FAILURES[how].heal(database)
        }
      },
      end: async () => {
        await Promise.all([late, broken])
      },
    }
  })
})

const ALTER = 'ALTER TABLE "LiteLLM_SpendLogs"'
const admin = (sql: string) => async () => void (await postgres.query('postgres', sql))
const inside = (sql: string) => async (database: string) =>
  void (await postgres.query(database, sql))
type Act = (database: string) => Promise<void>
const FAILURES: Record<SourceFailure, { readonly breakIt: Act; readonly heal: Act }> = {
  // Nobody is let in any more: what a starting, stopping or full server says.
  unreachable: {
    breakIt: async (database) =>
      void (await postgres.query('postgres', `ALTER DATABASE ${database} CONNECTION LIMIT 0`)),
    heal: async (database) =>
      void (await postgres.query('postgres', `ALTER DATABASE ${database} CONNECTION LIMIT -1`)),
  },
  keyGone: { breakIt: admin('ALTER ROLE reader NOLOGIN'), heal: admin('ALTER ROLE reader LOGIN') },
  wrongRole: {
    breakIt: inside('REVOKE SELECT ON "LiteLLM_SpendLogs" FROM reader'),
    heal: inside(GRANTS),
  },
  noDatabase: {
    breakIt: inside(`${ALTER} RENAME TO elsewhere`),
    heal: inside('ALTER TABLE elsewhere RENAME TO "LiteLLM_SpendLogs"'),
  },
  nonsense: {
    breakIt: inside(`${ALTER} RENAME COLUMN prompt_tokens TO prompts`),
    heal: inside(`${ALTER} RENAME COLUMN prompts TO prompt_tokens`),
  },
}

describe('reading', () => {
  test('says where the next slice begins, in one statement each, however rows are tied', async () => {
    const database = await makeDatabase()
    await insert(database, [
      ...times(7, () => FROM_MS).map((call, i) => ({ ...call, id: `tied-${i}` })),
      ...times(9, (i) => FROM_MS + 1 + i),
      ...times(12, () => FROM_MS + 500).map((call, i) => ({ ...call, id: `later-${i}` })),
    ])
    for (const rowsMax of [1, 2, 3, 5, 8, 100]) {
      const { records } = await readAll(await sourceOf(database, { rowsMax }).source, RANGE)
      expect(records).toHaveLength(28)
      expect(new Set(records.map(({ key }) => key.requestId)).size).toBe(28)
    }
  })

  test('reads times as UTC, whatever the zones of server and reader are', async () => {
    const database = await makeDatabase()
    await insert(database, [{ id: 'one', atMs: FROM_MS + 1_695 }])
    const [record] = (await readAll(await sourceOf(database).source, RANGE)).records
    expect(record).toMatchObject({ startedAtMs: FROM_MS + 1_695, endedAtMs: FROM_MS + 3_695 })
  })

  test('counts as the reader of the API does: status, health checks, cache, disconnects', async () => {
    const database = await makeDatabase()
    const usage_object = { prompt_tokens_details: { cached_tokens: 4 } }
    const left = { error_information: { error_class: 'ClientDisconnected', traceback: 'canary' } }
    await insert(database, [
      { id: 'ok', atMs: FROM_MS, metadata: { usage_object } },
      { id: 'text', atMs: FROM_MS, metadata: JSON.stringify({ usage_object }) },
      { id: 'failed', atMs: FROM_MS, status: 'failure', completion: 0 },
      { id: 'disguised', atMs: FROM_MS, status: 'failure' },
      { id: 'health', atMs: FROM_MS, apiKey: 'litellm-internal-health-check' },
      { id: 'cached', atMs: FROM_MS, cacheHit: 'True' },
      { id: 'left', atMs: FROM_MS, metadata: left },
    ])
    const options = { cacheHits: 'exclude', clientDisconnects: 'exclude' }
    const all = await readAll(await sourceOf(database, options).source, RANGE)
    const { records } = all
    const found = Object.fromEntries(records.map((one) => [one.key.requestId, one.excluded]))
    expect(found).toEqual({
      ...{ ok: undefined, text: undefined, failed: 'failure', health: 'health_check' },
      ...{ disguised: 'held_failure' }, // It cost something: somebody has to look.
      ...{ cached: 'cache_hit', left: 'client_disconnected' },
    })
    const cached = records.filter(({ cachedPromptTokens }) => cachedPromptTokens === 4n)
    expect(cached.map(({ key }) => key.requestId).sort()).toEqual(['ok', 'text'])
    const kept = JSON.stringify(all, (_key, value) =>
      typeof value === 'bigint' ? `${value}` : value,
    )
    expect(kept).not.toContain('canary')
  })
})

// Goal: a standby that is behind delays, and loses nothing. Method: stop its replay, write a row on the
// primary, and see that the source's time stands still until the row is there.
test('a standby is believed up to what it has replayed', async () => {
  const database = await makeDatabase()
  const standby = await postgres.startStandby()
  try {
    const config = sourceConfig.parse({ kind: 'litellm-postgres', name: 'main' })
    const source = await createSource(config, () => standby.url(database, 'reader'))
    const ids = async () =>
      (await readAll(source, RANGE)).records.map(({ key }) => key.requestId).sort()
    await insert(database, [{ id: 'before', atMs: FROM_MS }])
    await expect.poll(ids, PATIENTLY).toEqual(['before'])
    expect((await source.probe(signal)).warnings).toEqual([expect.stringContaining('standby')])

    await standby.query(database, 'SELECT pg_wal_replay_pause()')
    const state = async () =>
      (await standby.query(database, 'SELECT pg_get_wal_replay_pause_state() AS state')).rows[0]
    await expect.poll(state, PATIENTLY).toEqual({ state: 'paused' })
    const pausedMs = await source.now(signal)
    await insert(database, [{ id: 'unseen', atMs: FROM_MS }])
    expect([await source.now(signal), await ids()]).toEqual([pausedMs, ['before']])

    await standby.query(database, 'SELECT pg_wal_replay_resume()')
    await expect.poll(() => source.now(signal), PATIENTLY).toBeGreaterThan(pausedMs)
    await expect.poll(ids, PATIENTLY).toEqual(['before', 'unseen'])
  } finally {
    await standby.stop()
  }
})

describe('who reads', () => {
  test('row-level security is no empty table', async () => {
    const database = await makeDatabase()
    await insert(database, [{ id: 'hidden', atMs: FROM_MS }])
    await postgres.query(database, `${ALTER} ENABLE ROW LEVEL SECURITY`)
    const seen = await postgres.query(database, 'SELECT 1').then(() => sourceOf(database).source)
    await expect(readAll(seen, RANGE)).rejects.toMatchObject({ code: 'source_role' })
  })

  test('a role that may write is warned of, and writes nothing all the same', async () => {
    const database = await makeDatabase()
    const { warnings } = await (await sourceOf(database, {}, 'postgres').source).probe(signal)
    expect(warnings).toEqual([expect.stringContaining('may write')])
  })

  test('a wrong password, database, schema and port each say what to do', async () => {
    const database = await makeDatabase()
    const fixes = async (url: string, options = {}) => {
      const { config } = sourceOf(database, options)
      const [finding] = await examineSource(config, () => url, signal)
      expect(JSON.stringify(finding)).not.toContain(':reader@')
      return finding
    }
    const good = postgres.url(database, 'reader')
    expect(await fixes(good)).toMatchObject({ verdict: 'ok' })
    expect(await fixes(postgres.url('nowhere', 'reader'))).toMatchObject({
      says: expect.stringContaining('no such database'),
    })
    expect(await fixes(postgres.url(database, 'nobody'))).toMatchObject({
      fix: expect.stringContaining('password'),
    })
    expect(await fixes(good, { schema: 'elsewhere' })).toMatchObject({ verdict: 'broken' })
    expect(await fixes(good.replace(`${postgres.port}`, '9'))).toMatchObject({
      fix: expect.stringContaining('host and port'),
    })
  })

  test('leaves no connection behind, and stops in mid-question', async () => {
    const database = await makeDatabase()
    const source = await sourceOf(database).source
    const blocked = postgres.query(
      database,
      'BEGIN; LOCK TABLE "LiteLLM_SpendLogs"; SELECT pg_sleep(3600)',
    )
    const ended = blocked.catch((error: unknown) => String(error))
    const connections = async () => {
      const sql = `SELECT count(*)::int AS n, count(*) FILTER (WHERE wait_event_type = 'Lock')::int AS
        waiting FROM pg_stat_activity WHERE application_name = 'flowmeter' AND datname = $1`
      return (await postgres.query('postgres', sql, [database])).rows[0]
    }
    const locked = async () =>
      (
        await postgres.query(
          database,
          `SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE c.relname = 'LiteLLM_SpendLogs' AND l.mode = 'AccessExclusiveLock' AND l.granted`,
        )
      ).rowCount
    await expect.poll(locked, PATIENTLY).toBe(1)
    const stop = new AbortController()
    const asked = source.fetchSlice(RANGE, stop.signal).catch(String)
    await expect.poll(connections, PATIENTLY).toMatchObject({ waiting: 1 })
    stop.abort()
    expect(await asked).toContain('AbortError')
    await postgres.query(
      'postgres',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)%' AND pid <> pg_backend_pid()`,
    )
    expect(await ended).toContain('terminat')
    await expect.poll(connections, PATIENTLY).toMatchObject({ n: 0 })
  })
})
