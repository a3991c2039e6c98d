import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { ConfigError, RetryableError } from '../../src/domain/errors.js'
import { type Metrics, metricsOf } from '../../src/http/metrics.js'
import { Readiness } from '../../src/http/ready.js'
import { type Server, startServer } from '../../src/http/server.js'
import { readStatus, type Status } from '../../src/pipeline/status.js'
import { openStore } from '../../src/store/index.js'
import { ManualClock } from '../support/manual-clock.js'

const clock = new ManualClock(Date.UTC(2026, 8, 21))
const store = openStore(':memory:', clock)
const readiness = new Readiness(clock)
let status: () => Promise<Status>
let metrics: Metrics
let server: Server

beforeEach(async () => {
  await store.migrate()
  status = () => readStatus({ stores: store, clock, version: '1.2.3', identity: { meter: '0xaa' } })
  metrics = metricsOf(() => status())
  readiness.expect([
    { name: 'collect/main', idleMs: 60_000 },
    { name: 'seal', idleMs: 2_000 },
  ])
  const config = { host: '127.0.0.1', port: 0, allowedIps: ['198.51.100.0/24'] }
  server = await startServer({ ...parts(), config })
})

const parts = () => ({
  status: () => status(),
  readiness,
  metrics,
  accessTokens: store.accessTokens,
  shown: store,
  clock,
})

afterEach(() => server.close())
afterAll(() => store.close())

const get = (path: string, init?: RequestInit): Promise<Response> =>
  fetch(`${server.url}${path}`, init)

/** Makes every new connection of the running test look as if it came from there. */
function askFrom(address: string): void {
  const relabel = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    Object.defineProperty(socket, 'remoteAddress', { value: address })
  }
  subscribe('net.server.socket', relabel)
  onTestFinished(() => void unsubscribe('net.server.socket', relabel))
}

test('an address that is not free ends the start, with what to set', async () => {
  const listen = (host: string, port: number): Promise<Server> =>
    startServer({ ...parts(), config: { host, port, allowedIps: [] } })
  const port = Number(new URL(server.url).port)
  const refused = (text: string) =>
    expect.objectContaining({ message: expect.stringContaining(text) })
  await expect(listen('127.0.0.1', port)).rejects.toBeInstanceOf(ConfigError)
  await expect(listen('127.0.0.1', port)).rejects.toEqual(refused('set PORT'))
})

describe('who is answered', () => {
  test.each([
    '/ready',
    '/status',
    '/metrics',
    '/nowhere',
    '/',
    '/healthy',
    '/health%2f..%2fstatus',
    '//status',
  ])('%s: nobody whom ALLOWED_IPS does not name', async (path) => {
    askFrom('203.0.113.7')
    const answer = await get(path)
    expect(answer.status).toBe(403)
    expect(await answer.json()).toEqual({
      error: 'forbidden',
      message: 'ALLOWED_IPS does not name you',
    })
  })

  test('/health: everybody', async () => {
    askFrom('203.0.113.7')
    const answer = await get('/health')
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ok' }])
    expect((await get('/health?from=a-load-balancer')).status).toBe(200)
  })

  test.each(['198.51.100.42', '::ffff:198.51.100.42'])('/status: %s, named', async (address) => {
    askFrom(address)
    expect((await get('/status')).status).toBe(200)
  })

  test('a header that claims another address changes nothing', async () => {
    askFrom('203.0.113.7')
    const headers = { 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1' }
    expect((await get('/status', { headers })).status).toBe(403)
  })
})

describe('/ready', () => {
  const stateOf = async () => {
    const answer = await get('/ready')
    return {
      code: answer.status,
      ...((await answer.json()) as { ready: boolean; workers: object }),
    }
  }

  test('503 until every worker has stepped, then 200', async () => {
    expect(await stateOf()).toEqual({
      code: 503,
      ready: false,
      workers: {
        'collect/main': { ok: false, why: 'has not finished its first step' },
        seal: { ok: false, why: 'has not finished its first step' },
      },
    })
    readiness.note('collect/main', 'idle')
    expect((await stateOf()).code).toBe(503)
    readiness.note('seal', 'advanced')
    expect(await stateOf()).toMatchObject({ code: 200, ready: true })
  })

  test('503 with the reason while a worker fails, and 200 when it works again', async () => {
    readiness.note('seal', 'idle')
    readiness.note('collect/main', new RetryableError('source_refused', 'LiteLLM answered 401'))
    expect(await stateOf()).toMatchObject({
      code: 503,
      workers: { 'collect/main': { ok: false, why: 'source_refused: LiteLLM answered 401' } },
    })
    readiness.note('collect/main', 'idle')
    expect((await stateOf()).code).toBe(200)
  })

  test('503 when a worker has not stepped for its interval and two minutes more', async () => {
    readiness.note('seal', 'idle')
    readiness.note('collect/main', 'idle')
    clock.pass(122_000)
    expect((await stateOf()).code).toBe(200)
    clock.pass(1_000)
    const { code, workers } = await stateOf()
    expect(code).toBe(503)
    expect(workers).toEqual({
      'collect/main': { ok: true },
      seal: { ok: false, why: 'has not stepped for 123 s' },
    })
  })

  test('503 from the moment the process is asked to stop; /health goes on', async () => {
    readiness.note('seal', 'idle')
    readiness.note('collect/main', 'idle')
    const stopping = new Readiness(clock)
    stopping.expect([{ name: 'seal', idleMs: 2_000 }])
    stopping.note('seal', 'idle')
    expect(stopping.report().ready).toBe(true)
    stopping.stop()
    expect(stopping.report().ready).toBe(false)
    expect((await get('/health')).status).toBe(200)
  })

  test('a daemon without workers is not ready', () => {
    expect(new Readiness(clock).report()).toEqual({ ready: false, workers: {} })
  })
})

describe('/status', () => {
  test('is JSON of what the store holds', async () => {
    const answer = await get('/status')
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(await answer.json()).toMatchObject({
      version: '1.2.3',
      at: new Date(clock.now()).toISOString(),
      identity: { meter: '0xaa' },
      records: { total: 0, excluded: 0, rejected: 0, sealed: 0 },
      unmapped: { records: 0, payers: [] },
      parked: [],
    })
  })

  test('names every state of the backlog, empty ones too, in the order of a record’s way', async () => {
    const { backlog } = (await (await get('/status')).json()) as Status
    expect(Object.keys(backlog)).toEqual([
      ...['collected', 'attributed', 'sealed', 'anchored', 'requested', 'finalised', 'attested'],
      ...['accepted', 'parked'],
    ])
  })

  test('a bug inside is for the log: 500 without its message', async () => {
    status = () => Promise.reject(new Error('canary of the inside'))
    for (const path of ['/status', '/metrics']) {
      const answer = await get(path)
      expect(answer.status).toBe(500)
      expect(await answer.text()).toBe('{"error":"internal","message":"see the log"}')
    }
  })
})

describe('/metrics', () => {
  test('every line is a comment or a sample of Prometheus’s text format', async () => {
    readiness.note('seal', 'idle')
    metrics.note('seal', 'advanced')
    metrics.note('seal', new RetryableError('busy', 'later'))
    const answer = await get('/metrics')
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    const samples = parseMetrics(await answer.text())
    expect(samples.get('flowmeter_worker_steps_total{worker="seal",result="advanced"}')).toBe(1)
    expect(samples.get('flowmeter_worker_steps_total{worker="seal",result="busy"}')).toBe(1)
    expect(samples.get('flowmeter_unmapped_records')).toBe(0)
    expect(samples.get('flowmeter_refused_entries')).toBe(0)
    expect(samples.get('flowmeter_backlog{state="sealed"}')).toBe(0)
    expect(samples.get('process_start_time_seconds')).toBeGreaterThan(0)
  })

  test('shows what the store says at that moment, labels escaped', async () => {
    const real = await status()
    const problem = { code: 'source_refused', message: 'no' }
    const source = { name: 'ma"in', readUntil: real.at, lagS: 90, warnings: [], problem }
    status = async () => ({
      ...real,
      sources: [source],
      unmapped: { records: 3, payers: [] },
      conservation: { at: real.at, checks: { pool: '5' } },
    })
    const samples = parseMetrics(await (await get('/metrics')).text())
    expect(samples.get('flowmeter_unmapped_records')).toBe(3)
    expect(samples.get('flowmeter_source_lag_seconds{source="ma\\"in"}')).toBe(90)
    expect(samples.get('flowmeter_source_problem{source="ma\\"in"}')).toBe(1)
    expect(samples.get('flowmeter_check_difference{check="pool"}')).toBe(5)
  })
})

describe('everything else', () => {
  test.each(['/nowhere', '/Status', '/status/', '/%', '/web/', '/web/..%2fpackage.json'])(
    'GET %s: 404 with the way',
    async (path) => {
      const answer = await get(path)
      expect([400, 404]).toContain(answer.status)
      if (path === '/%') return
      expect(await answer.json()).toEqual({
        error: 'not_found',
        message: 'ask for /, /health, /ready, /status or /metrics',
      })
    },
  )

  test('a runbook is one of ours, and no path', async () => {
    expect((await get('/runbooks/batch_parked')).status).toBe(200)
    for (const name of ['..%2f..%2fREADME', 'nothing', '__proto__']) {
      expect((await get(`/runbooks/${name}`)).status).toBe(404)
    }
  })

  test.each(['POST', 'PUT', 'DELETE'])(
    '%s /status: 404, nothing here can be written',
    async (method) => {
      expect((await get('/status', { method })).status).toBe(404)
    },
  )
})

/** Samples by name and labels. Throws for a line that Prometheus would not take. */
function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  const sample = /^([a-zA-Z_:][\w:]*(?:\{(?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)*\})?) (\S+)$/
  for (const line of text.trimEnd().split('\n')) {
    if (line === '' || /^# (HELP|TYPE) \w+ /.test(line)) continue
    if (/^\w+ nan$/i.test(line)) continue // Nothing to tell yet; Prometheus takes it in any case.
    const [, name, value] = sample.exec(line) ?? []
    if (name === undefined || Number.isNaN(Number(value))) throw new Error(`no sample: ${line}`)
    samples.set(name, Number(value))
  }
  return samples
}
