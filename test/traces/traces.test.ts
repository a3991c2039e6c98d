import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { RetryableError } from '../../src/domain/errors.js'
import type { Server } from '../../src/http/server.js'
import { startServer } from '../../src/http/server.js'
import { HttpClient } from '../../src/runtime/http-client.js'
import { beginWork, type DoneWork, listenToMeasures } from '../../src/runtime/measures.js'
import { learnSecret, redact } from '../../src/runtime/redaction.js'
import { runStep } from '../../src/runtime/worker.js'
import { startTraces, tracesConfig } from '../../src/traces/index.js'
import { root, runNode, tempFolder } from '../cli/run-cli.js'
import { logOf } from '../support/log-lines.js'
import { quietServerParts } from '../support/quiet-server.js'
import { TraceReceiver } from '../support/trace-receiver.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { type Daemon, STEP_NAMES, type StepName, World } from '../support/world.js'

// Goal: an operator sees where a batch's time went, what was asked of whom, and nothing secret.
// Method: the real pipeline and the real sender, in front of a receiver that speaks OTLP over HTTP.

const ROUNDS_MAX = 60
const { signal } = new AbortController()
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function startReceiver() {
  const receiver = new TraceReceiver()
  const url = await receiver.start()
  ends.push(() => receiver.stop())
  return { receiver, url }
}

const { log } = logOf()
const settings = (endpoint: string, rest: object = {}) =>
  tracesConfig.parse({ endpoint, protocol: 'http/json', ...rest })

/** Every step as its worker runs it, until a batch is in a state. */
async function runUntil(world: World, daemon: Daemon, state: string): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    for (const name of ['reconcile', ...STEP_NAMES] as readonly StepName[]) {
      while ((await runStep({ name, step: () => daemon.step(name) }, signal)) === 'advanced') {
        if ((await daemon.store.batches.last())?.life.state === state) return
      }
    }
    world.tick()
  }
  throw new Error(`no batch is ${state}`)
}

async function boot(user = 'vault_7') {
  const world = new World()
  ends.push(() => world.file.remove())
  world.flow.openVault(7n, SEPTEMBER_S)
  world.use(usageRecord('a', { user }))
  world.tick(700_000)
  return { world, daemon: await world.boot() }
}

describe('a batch', () => {
  test('is one trace with a span for each state, also over a restart', async () => {
    const { receiver, url } = await startReceiver()
    const { world, daemon } = await boot()
    const stopFirst = await startTraces(settings(url), '1.2.3', log)
    await runUntil(world, daemon, 'requested')
    await stopFirst()
    const again = await world.reboot(daemon)
    const stopSecond = await startTraces(settings(url), '1.2.3', log)
    await runUntil(world, again, 'settled')
    await stopSecond()

    const spans = receiver.spans()
    const root = spans.find(({ name }) => name === 'batch')
    const states = ['sealed', 'anchored', 'requested', 'finalised', 'attested', 'accepted']
    const ofBatch = spans.filter(({ traceId }) => traceId === root?.traceId)
    const stages = ofBatch.filter(({ name }) => states.includes(name))
    expect(root).toMatchObject({
      parent: undefined,
      attributes: { 'flowmeter.batch': '1', 'flowmeter.batch.state': 'settled' },
    })
    expect(stages.map(({ name }) => name)).toEqual(states)
    expect(stages.map(({ parent }) => parent)).toEqual(states.map(() => root?.spanId))
    expect(stages.map(({ isFailed }) => isFailed)).toEqual(states.map(() => false))

    // One ends where the next begins, and the first and the last where the root does.
    const batch = await again.store.batches.last()
    expect(root?.startMs).toBe((batch?.header.sealedAt ?? 0) * 1000)
    expect(root?.endMs).toBe(batch?.changedAtMs)
    expect(stages.at(-1)?.endMs).toBe(root?.endMs)
    expect(stages.slice(1).map(({ startMs }) => startMs)).toEqual(
      stages.slice(0, -1).map(({ endMs }) => endMs),
    )

    // Steps are below the state in which they met it, with what they sent.
    const anchor = stages.find(({ name }) => name === 'sealed')
    const steps = ofBatch.filter(({ attributes }) => attributes['flowmeter.worker'] !== undefined)
    expect(new Set(steps.map(({ name }) => name))).toEqual(
      new Set(['seal', 'anchor', 'attest', 'accept', 'settle']),
    )
    const ids = new Set([root?.spanId, ...stages.map(({ spanId }) => spanId)])
    for (const { parent } of steps) expect(ids).toContain(parent)
    const sent = steps.filter(({ name }) => name === 'anchor').flatMap(({ events }) => events)
    expect(sent[0]).toEqual([
      'transaction open',
      expect.objectContaining({ 'flowmeter.purpose': 'anchor/1' }),
    ])
    expect(anchor?.attributes).toMatchObject({
      'flowmeter.batch.next_state': 'anchored',
      'flowmeter.anchor.tx_id': expect.stringMatching(/^0x[0-9a-f]{64}$/),
    })
    expect(stages.find(({ name }) => name === 'anchored')?.attributes).toMatchObject({
      'flowmeter.round': expect.any(Number),
    })
    // Who has used what is nobody's business.
    for (const { body } of receiver.requests) expect(body.toString()).not.toContain('vault_7')
  })
})

describe('a step', () => {
  test('has below it what was asked of others; a look that found nothing leaves no span', async () => {
    const { receiver, url } = await startReceiver()
    const asked = await startReceiver()
    const stop = await startTraces(settings(url), '1.2.3', log)
    const client = new HttpClient({
      baseUrl: `${asked.url}/canary-path`,
      codePrefix: 'settler',
      timeoutMs: 20_000,
      responseBytesMax: 1_000,
    })
    const ask = () => client.request({ path: '/x', query: { key: 'canary-query' } }, signal)
    const step = (name: string, outcome: 'idle' | 'advanced') =>
      runStep({ name, step: () => ask().then(() => outcome) }, signal)
    await step('look', 'idle')
    await step('prices', 'advanced')
    const failing = async () => {
      await ask()
      throw new RetryableError('settler_behind', 'told to canary-somebody')
    }
    await expect(runStep({ name: 'wallets', step: failing }, signal)).rejects.toThrow()
    await stop()

    const spans = receiver.spans()
    const named = (name: string) => spans.filter((span) => span.name === name)
    expect(named('look')).toEqual([])
    expect(named('prices')).toMatchObject([{ parent: undefined, isFailed: false }])
    expect(named('wallets')).toMatchObject([
      { isFailed: true, attributes: { 'error.type': 'settler_behind' } },
    ])
    expect(named('settler').map(({ parent, kind }) => [parent, kind])).toEqual(
      [...named('prices'), ...named('wallets')].map(({ spanId }) => [spanId, 3]),
    )
    expect(named('settler')[0]?.attributes).toMatchObject({
      'server.address': new URL(asked.url).host,
      'flowmeter.outcome': 'answered',
    })
    expect(JSON.stringify(spans)).not.toContain('canary')
  })
})

describe('a request that is answered here', () => {
  async function serve(): Promise<Server> {
    const { world, daemon } = await boot()
    const parts = quietServerParts(daemon.store, world.clock)
    const server = await startServer({ ...parts, config: { ...parts.config, httpRateLimit: 0 } })
    ends.push(
      () => parts.metrics.end(),
      () => server.close(),
    )
    return server
  }

  test('is a trace by its route; probes, strangers and what is not there leave none', async () => {
    const server = await serve()
    const { receiver, url } = await startReceiver()
    const stop = await startTraces(settings(url), '1.2.3', log)
    // The answer is here before the server knows that it is.
    const last = new Promise<void>((told) => {
      const onWork = ({ name }: DoneWork) => (name.includes('/v1/vaults/') ? told() : undefined)
      ends.push(listenToMeasures({ onWork }))
    })
    const ask = async (path: string, headers = {}) =>
      (await (await fetch(`${server.url}${path}`, { headers })).text()).length
    await ask('/health')
    await ask('/ready')
    await ask('/metrics')
    await ask('/nothing/canary-path')
    await ask('/status', { authorization: 'Bearer canary-token' })
    await ask('/status?note=canary-query')
    await ask('/v1/vaults/424242')
    await last
    await stop()
    const spans = receiver.spans()
    expect(spans.map(({ name, kind, parent }) => [name, kind, parent])).toEqual([
      ['GET /status', 2, undefined],
      ['GET /v1/vaults/:account', 2, undefined],
    ])
    expect(spans[0]?.attributes).toMatchObject({
      'http.request.method': 'GET',
      'http.route': '/status',
      'http.response.status_code': 200,
    })
    expect(JSON.stringify(spans)).not.toMatch(/canary|424242/)
  })
})

describe('the sender', () => {
  const advance = (name: string) => runStep({ name, step: async () => 'advanced' }, signal)

  test('writes protobuf unless told otherwise, with its headers and what it is', async () => {
    const { receiver, url } = await startReceiver()
    const config = tracesConfig.parse({
      endpoint: `${url}/otlp/`,
      headers: 'x-token=canary%2Cvalue, other = 1',
      resource: 'deployment.environment=staging',
    })
    const stop = await startTraces(config, '1.2.3', log)
    await advance('prices')
    await stop()
    expect(receiver.requests).toHaveLength(1)
    const [{ path, headers, body } = { path: '', headers: {}, body: Buffer.of() }] =
      receiver.requests
    expect([path, headers['content-type']]).toEqual(['/otlp/v1/traces', 'application/x-protobuf'])
    expect(headers).toMatchObject({ 'x-token': 'canary,value', other: '1' })
    for (const text of ['flowmeter', '1.2.3', 'deployment.environment', 'staging', 'prices']) {
      expect(body.includes(text)).toBe(true)
    }
    // One of the headers, repeated by whoever refuses it.
    expect(redact('refused: canary,value')).toBe('refused: [redacted]')
  })

  test('cuts out what was learnt as a secret, wherever it was told', async () => {
    const { receiver, url } = await startReceiver()
    learnSecret('canary-in-a-name-of-a-source')
    const stop = await startTraces(settings(url), '1.2.3', log)
    await runStep(
      {
        name: 'collect',
        step: async () => {
          throw new RetryableError('canary-in-a-name-of-a-source', '')
        },
      },
      signal,
    ).catch(() => {})
    await stop()
    expect(receiver.spans()).toMatchObject([{ attributes: { 'error.type': '[redacted]' } }])
  })

  test('without an endpoint nothing is measured', async () => {
    const stop = await startTraces(tracesConfig.parse({}), '1.2.3', log)
    expect(beginWork('step', 'prices')).toBeUndefined()
    await stop()
  })

  test('tells once that nobody takes them, and goes on', async () => {
    const { receiver, url } = await startReceiver()
    receiver.status = 401
    const { log: heard, lines } = logOf()
    const stop = await startTraces(settings(url), '1.2.3', heard)
    await advance('prices')
    await receiver.until(() => receiver.requests[0])
    await advance('wallets')
    await stop()
    expect(receiver.spans().map(({ name }) => name)).toEqual(['prices', 'wallets'])
    expect(lines()).toMatchObject([{ why: '401', msg: 'traces are not taken, and dropped' }])
  })
  // Method: what is built, beside the packages of an installation without optional ones.
  test('without its packages the daemon does not start, and says how to install them', async () => {
    const cwd = tempFolder()
    cpSync(join(root, 'dist/src'), join(cwd, 'src'), { recursive: true })
    writeFileSync(join(cwd, 'package.json'), '{"type":"module"}')
    for (const name of ['zod', '@noble/hashes', '@opentelemetry/api']) {
      mkdirSync(dirname(join(cwd, 'node_modules', name)), { recursive: true })
      symlinkSync(join(root, 'node_modules', name), join(cwd, 'node_modules', name))
    }
    const script = `
      import { startTraces, tracesConfig } from './src/traces/index.js'
      const config = tracesConfig.parse({ endpoint: 'http://127.0.0.1:9' })
      await (await startTraces(tracesConfig.parse({}), '1', undefined))()
      await startTraces(config, '1', undefined).catch(({ name, code, message }) => console.log(name, code, message))`
    const { stdout, stderr } = await runNode(['--input-type=module', '-e', script], { cwd })
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^ConfigError traces_packages .*npm ci --omit=dev/)
  })
})
