import { request } from 'node:http'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { startServer } from '../../src/http/server.js'
import { Bell } from '../../src/runtime/bell.js'
import { laterRing } from '../../src/runtime/later-ring.js'
import { openStore } from '../../src/store/index.js'
import { ManualClock } from '../support/manual-clock.js'
import { quietServerParts } from '../support/quiet-server.js'

const TOKENS = { west: 'canary-of-the-west', east: 'canary-of-the-east' }
const woken: string[] = []
let url: string
const ends: (() => Promise<void>)[] = []

beforeEach(async () => {
  woken.length = 0
  const clock = new ManualClock(Date.UTC(2026, 10, 21))
  const store = openStore(':memory:', clock)
  await store.migrate()
  const server = await startServer({
    ...quietServerParts(store, clock),
    usageHints: Object.entries(TOKENS).map(([source, token]) => ({
      source,
      token,
      wake: () => void woken.push(source),
    })),
  })
  ends.push(
    () => store.close(),
    () => server.close(),
  )
  url = server.url
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const post = (path: string, init: RequestInit = {}) =>
  fetch(`${url}${path}`, {
    method: 'POST',
    ...init,
    headers: {
      authorization: `Bearer ${TOKENS.west}`,
      ...Object.fromEntries(new Headers(init.headers)),
    },
  })

/** What `generic_api` sends: calls with their prompts, as a JSON array or as lines. */
const calls = JSON.stringify(
  Array.from({ length: 512 }, (_, i) => ({ id: `${i}`, messages: 'p'.repeat(2_000) })),
)

describe('a hint', () => {
  test.each([
    ['a JSON array', calls, { 'content-type': 'application/json' }],
    ['lines', calls, { 'content-type': 'application/x-ndjson' }],
    ['what is no JSON', '{', { 'content-type': 'application/json' }],
    ['nothing', undefined, {}],
  ])('of %s wakes its source, and is not read', async (_name, body, headers) => {
    const init = body === undefined ? {} : { body }
    const answer = await post('/v1/hints/west', {
      ...init,
      headers: new Headers(headers as Record<string, string>),
    })
    expect(answer.status).toBe(202)
    expect(await answer.text()).toBe('{"status":"noted"}')
    expect(woken).toEqual(['west'])
  })

  test.each([
    ['without a token', '/v1/hints/west', { authorization: '' }],
    ['with the token of another source', '/v1/hints/east', {}],
    ['of a source that does not exist', '/v1/hints/north', {}],
  ])('%s: 401, and nobody wakes', async (_name, path, headers) => {
    const answer = await post(path, {
      headers: new Headers(headers as Record<string, string>),
      body: 'x',
    })
    expect(answer.status).toBe(401)
    expect(await answer.text()).not.toContain('canary')
    expect(woken).toEqual([])
  })

  // Goal: whoever has the token cannot fill the memory. Method: send without an end, and see that
  // the server answers or hangs up, long before the end.
  test('that does not end is cut off', async () => {
    const { hostname, port } = new URL(url)
    const headers = { authorization: `Bearer ${TOKENS.west}`, 'content-type': 'application/json' }
    const path = '/v1/hints/west'
    const outgoing = request({ hostname, port, path, method: 'POST', headers })
    const chunk = Buffer.alloc(1024 * 1024, 'p')
    const over = new Promise<number | string>((resolve) => {
      outgoing.on('response', (response) => resolve(response.statusCode ?? 0))
      outgoing.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
    })
    let sent = 0
    const write = (): void => {
      while (sent < 512 && !outgoing.destroyed) {
        sent += 1
        if (!outgoing.write(chunk)) return void outgoing.once('drain', write)
      }
    }
    write()
    expect([413, 'ECONNRESET', 'EPIPE']).toContain(await over)
    outgoing.destroy()
    expect(sent).toBeLessThan(512)
    expect(woken).toEqual([])
  })
})

describe('what it wakes', () => {
  test('rings now, and once more when the rows have settled', async () => {
    vi.useFakeTimers()
    ends.push(async () => void vi.useRealTimers())
    const bell = new Bell()
    const ring = vi.spyOn(bell, 'ring')
    const { ring: wake, stop } = laterRing(bell, 75_000)
    wake()
    wake()
    expect(ring).toHaveBeenCalledTimes(2)
    vi.advanceTimersByTime(75_000)
    expect(ring).toHaveBeenCalledTimes(3)
    wake()
    stop()
    vi.advanceTimersByTime(150_000)
    expect(ring).toHaveBeenCalledTimes(4)
  })
})
