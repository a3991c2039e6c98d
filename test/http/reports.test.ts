import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import { metricsOf } from '../../src/http/metrics.js'
import { Readiness } from '../../src/http/ready.js'
import { type Server, startServer } from '../../src/http/server.js'
import { createToken } from '../../src/pipeline/access-tokens.js'
import { readStatus } from '../../src/pipeline/status.js'
import { makeReport } from '../../src/reports/index.js'
import { openStore } from '../../src/store/index.js'
import { ManualClock } from '../support/manual-clock.js'

// Goal: reports over HTTP, a customer's own alone, and one at a time.

const clock = new ManualClock(Date.UTC(2026, 8, 21))
const store = openStore(':memory:', clock)
let server: Server
/** Lets a report wait until the test says so. */
let gate: Promise<void>
let begin = (): void => {}

beforeEach(async () => {
  await store.migrate()
  gate = Promise.resolve()
  const status = () => readStatus({ stores: store, clock, version: '1.2.3', identity: {} })
  server = await startServer({
    config: { host: '127.0.0.1', port: 0 },
    ...{ status, readiness: new Readiness(clock), metrics: metricsOf(status) },
    ...{ accessTokens: store.accessTokens, shown: store, clock },
    reports: {
      make: async (question, signal) => {
        begin()
        await gate
        return makeReport({ stores: store, clock }, question, signal)
      },
      now: () => clock.now(),
      payerField: 'user',
    },
  })
})
afterEach(() => server.close())
afterAll(() => store.close())

const get = (path: string, token?: string): Promise<Response> =>
  fetch(`${server.url}/v1/reports${path}`, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  })

test('every kind is listed and answers', async () => {
  const { kinds } = (await (await get('')).json()) as { kinds: string[] }
  expect(kinds).toHaveLength(8)
  for (const kind of kinds) {
    const answer = await get(`/${kind}`)
    expect(answer.status, kind).toBe(200)
    expect(await answer.json()).toMatchObject({ kind, until: '2026-09-21T00:00:00.000Z' })
  }
})

test('CSV is asked for by format', async () => {
  const answer = await get('/peak-hours?format=csv')
  expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8')
  expect((await answer.text()).split('\r\n')).toHaveLength(1 + 168 + 1)
})

test.each([
  ['/peak-hours?from=soon', 400],
  ['/peak-hours?account=seven', 400],
  ['/peak-hours?account=7&account=8', 400],
  ['/peak-hours?limit=1', 400],
  ['/peak-hours?format=xml', 400],
  ['/profits', 404],
  ['/__proto__', 404],
])('%s: %i', async (path, status) => {
  expect((await get(path)).status).toBe(status)
})

describe('a customer’s token', () => {
  const tokenFor = async (...accounts: bigint[]): Promise<string> => {
    const wish = { label: `of ${accounts}`, role: 'read', expiresAtMs: undefined } as const
    const scope = accounts.map(accountNumber)
    const ordered = { reason: 'test', by: 'test' }
    const made = await createToken({ store, clock }, { ...wish, scope }, ordered)
    return made.token
  }

  test('sees its own account, named or not, and learns of no other', async () => {
    const token = await tokenFor(7n)
    expect(await (await get('/users', token)).json()).toMatchObject({ account: '7' })
    expect((await get('/users?account=7', token)).status).toBe(200)
    expect((await get('/users?account=8', token)).status).toBe(404)
    expect((await get('/health', token)).status).toBe(404)
    expect(await (await get('', token)).json()).not.toContain('health')
  })

  test('of several accounts names one', async () => {
    const token = await tokenFor(7n, 8n)
    expect((await get('/users', token)).status).toBe(400)
    expect((await get('/users?account=8', token)).status).toBe(200)
  })
})

test('one report at a time: the next is told to wait, and is served after', async () => {
  let open = (): void => {}
  gate = new Promise((done) => {
    open = done
  })
  const begun = new Promise<void>((done) => {
    begin = done
  })
  const first = get('/users')
  await begun
  const second = await get('/users')
  expect([second.status, second.headers.get('retry-after')]).toEqual([429, '5'])
  open()
  expect((await first).status).toBe(200)
  expect((await get('/users')).status).toBe(200)
})
