import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { followPlan } from '../../devnet/fault-plan.js'
import { type FaultProxy, type ProxyFault, startFaultProxy } from '../../devnet/fault-proxy.js'

/*
 * What the proxy promises to those who test with it: which faults let the server do its work, and what
 * the client gets of it. The server answers like a node of Flow that stands at block 100.
 */

const NEWEST = 100
let server: Server
let proxy: FaultProxy
let asked: string[]

beforeEach(async () => {
  asked = []
  server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://node')
    asked.push(`${request.method} ${request.url}`)
    const height = searchParams.get('height') ?? searchParams.get('block_height') ?? 'sealed'
    const block = { header: { height: height === 'sealed' ? String(NEWEST) : height } }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(pathname === '/v1/blocks' ? [block] : { answered: height }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  proxy = await startFaultProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
afterEach(async () => {
  await proxy.stop()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const strike = (fault: ProxyFault) => {
  proxy.faultOf = () => fault
}
const ask = (path = '/v1/scripts', init: RequestInit = {}) => fetch(`${proxy.url}${path}`, init)

test('without a fault, all goes through as it is', async () => {
  const response = await ask('/v1/scripts?x=1', { method: 'POST', body: '{}' })
  expect([response.status, await response.json()]).toEqual([200, { answered: 'sealed' }])
  expect(asked).toEqual(['POST /v1/scripts?x=1'])
  expect(proxy.struck.size).toBe(0)
})

describe('a fault', () => {
  test('that loses the request: the server never sees it, and nobody answers', async () => {
    strike({ kind: 'lostRequest' })
    await expect(ask()).rejects.toThrow()
    expect(asked).toEqual([])
  })

  test('that loses the answer: the server has done its work', async () => {
    strike({ kind: 'lostAnswer' })
    await expect(ask()).rejects.toThrow()
    expect(asked).toHaveLength(1)
    expect(proxy.struck.get('lostAnswer')).toBe(1)
  })

  test.each([429, 500, 503, 404])('that answers %i in place of the server', async (status) => {
    strike({ kind: 'answer', status, body: '{"code":1}' })
    const response = await ask()
    expect([response.status, await response.text(), asked]).toEqual([status, '{"code":1}', []])
  })

  test('that delays: the server sees it later, and its answer comes', async () => {
    strike({ kind: 'delay', ms: 20 })
    expect(await (await ask()).json()).toEqual({ answered: 'sealed' })
  })

  test('that cuts the answer: half of it, as if it were all', async () => {
    strike({ kind: 'truncated' })
    const text = await (await ask()).text()
    expect('{"answered":"sealed"}'.startsWith(text)).toBe(true)
    expect(() => JSON.parse(text)).toThrow()
  })

  test('that drips: a byte at a time, all of them in the end', async () => {
    strike({ kind: 'slow', byteMs: 1 })
    const chunks: number[] = []
    const { body } = await ask()
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      chunks.push(chunk.length)
    }
    expect(chunks.reduce((sum, bytes) => sum + bytes, 0)).toBe('{"answered":"sealed"}'.length)
    expect(chunks.length).toBeGreaterThan(1)
  })

  test('of a node that has never heard of a transaction: an empty status', async () => {
    strike({ kind: 'emptyStatus' })
    expect(await (await ask('/v1/transaction_results/ab')).json()).toMatchObject({ status: '' })
    expect(asked).toEqual([])
  })

  test('of a node that is behind: an old block, and none after it', async () => {
    strike({ kind: 'stale', blocks: 30 })
    expect(await (await ask('/v1/blocks?height=sealed')).json()).toEqual([
      { header: { height: '70' } },
    ])
    expect((await ask('/v1/scripts?block_height=71')).status).toBe(404)
    expect(await (await ask('/v1/scripts?block_height=sealed')).json()).toEqual({ answered: '70' })
  })

  test('that holds a request lasts until it is let go', async () => {
    let release = (): void => {}
    strike({ kind: 'held', until: new Promise((resolve) => (release = resolve)) })
    const answer = ask().then(
      () => 'answered',
      () => 'lost',
    )
    release()
    expect([await answer, asked]).toEqual(['lost', []])
  })
})

test('a plan strikes so often, the same way for the same seed, and with every kind that fits', async () => {
  const kindsOf = (seed: number, rate: number) => {
    followPlan(proxy, { seed, rate })
    return Array.from({ length: 2_000 }, () => {
      const fault = proxy.faultOf({ method: 'GET', path: '/v1/scripts', body: '' })
      return fault === undefined ? '' : fault.kind
    })
  }
  const kinds = kindsOf(7, 0.2)
  expect(kindsOf(7, 0.2)).toEqual(kinds)
  expect(kindsOf(8, 0.2)).not.toEqual(kinds)
  const struck = kinds.filter((kind) => kind !== '')
  expect(struck.length).toBeGreaterThan(300)
  expect(struck.length).toBeLessThan(500)
  expect([...new Set(struck)].sort()).toEqual(
    ['answer', 'delay', 'lostAnswer', 'lostRequest', 'slow', 'stale', 'truncated'].sort(),
  )
  expect(kindsOf(7, 0).every((kind) => kind === '')).toBe(true)
})
