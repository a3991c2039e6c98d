import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { metricsOf } from '../../src/http/metrics.js'
import { readStatus } from '../../src/pipeline/status.js'
import { HttpClient } from '../../src/runtime/http-client.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { runUntil, World } from '../support/world.js'

// Goal: response times by outcome and times in a state are counted where they happen.

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function worldWithMetrics() {
  const world = new World()
  world.flow.openVault(7n, SEPTEMBER_S)
  const daemon = await world.boot()
  const { store } = daemon
  const metrics = metricsOf(() =>
    readStatus({ stores: store, clock: world.clock, version: '1', identity: {} }),
  )
  ends.push(
    () => world.file.remove(),
    () => metrics.end(),
  )
  return { world, daemon, metrics }
}

test('answers, refusals and silence are told apart, with the host and nothing else of the address', async () => {
  const { metrics } = await worldWithMetrics()
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/silent')) request.socket.destroy()
    else response.writeHead(request.url?.startsWith('/no') ? 404 : 200).end('{}')
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  ends.push(() => server.close())
  const { port } = server.address() as AddressInfo
  const client = new HttpClient({
    baseUrl: `http://127.0.0.1:${port}/canary-path`,
    codePrefix: 'source',
    timeoutMs: 60_000,
    responseBytesMax: 1_000,
  })
  const direct = new HttpClient({
    baseUrl: `http://127.0.0.1:${port}`,
    codePrefix: 'source',
    timeoutMs: 60_000,
    responseBytesMax: 1_000,
  })
  const { signal } = new AbortController()
  await client.request({ path: '/x', query: { key: 'canary-query' } }, signal)
  await direct.request({ path: '/no' }, signal)
  await expect(direct.request({ path: '/silent' }, signal)).rejects.toThrow()
  const stopped = AbortSignal.abort()
  await expect(direct.request({ path: '/x' }, stopped)).rejects.toThrow()
  const text = await metrics.text()
  const counts = [...text.matchAll(/flowmeter_dependency_seconds_count\{(.*)\} (\d+)/g)]
  expect(counts.map(([, labels, count]) => [labels, count])).toEqual(
    ['answered', 'refused', 'failed'].map((outcome) => [
      `dependency="source",host="127.0.0.1:${port}",outcome="${outcome}"`,
      '1',
    ]),
  )
  expect(text).not.toContain('canary')
})

test('a batch’s time in each state, once it has left it', async () => {
  const { world, daemon, metrics } = await worldWithMetrics()
  world.use(usageRecord('a', { user: '7' }))
  world.tick(700_000)
  await runUntil(world, daemon, 'settled')
  const text = await metrics.text()
  const counted = [...text.matchAll(/batch_stage_seconds_count\{state="(\w+)"\} (\d+)/g)]
  const states = Object.fromEntries(counted.map(([, state, count]) => [state, Number(count)]))
  for (const state of ['sealed', 'anchored', 'requested', 'attested', 'accepted']) {
    expect([state, states[state]]).toEqual([state, 1])
  }
  const [, sum] = /batch_stage_seconds_sum\{state="requested"\} (\d+)/.exec(text) ?? []
  expect(Number(sum)).toBeGreaterThan(0)
  expect(text).toMatch(/flowmeter_transactions\{lane="test\/flow\/0",fate="landed"\} [1-9]/)
})
