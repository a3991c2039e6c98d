import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { RetryableError } from '../../src/domain/errors.js'
import { HttpClient, type HttpClientParts } from '../../src/runtime/http-client.js'
import { learnSecret } from '../../src/runtime/redaction.js'

const KEY = 'sk-canary-of-this-test'

let server: Server
let answer: (request: IncomingMessage, response: ServerResponse) => void
let asked: { method: string | undefined; url: string | undefined; body: string; key: unknown }[]

beforeEach(async () => {
  asked = []
  answer = (_, response) => response.end('{}')
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      const { method, url, headers } = request
      asked.push({ method, url, body, key: headers.authorization })
      answer(request, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const baseUrl = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const { signal } = new AbortController()

function client(changes: Partial<HttpClientParts> = {}): HttpClient {
  return new HttpClient({
    baseUrl: baseUrl(),
    codePrefix: 'source',
    timeoutMs: 30_000,
    responseBytesMax: 1_000,
    headers: { authorization: `Bearer ${KEY}` },
    ...changes,
  })
}

async function failureOf(work: Promise<unknown>): Promise<RetryableError> {
  const failure = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(failure instanceof RetryableError)) throw new Error(`not retryable: ${failure}`)
  return failure
}

test('a refusal that repeats the key is told without it', async () => {
  learnSecret(KEY)
  answer = (request, response) => {
    response.statusCode = 401
    response.end(JSON.stringify({ error: `${request.headers.authorization} is no key` }))
  }
  const { text } = await client().request({ path: '/' }, signal)
  expect(JSON.parse(text)).toEqual({ error: 'Bearer [redacted] is no key' })
})

describe('a request', () => {
  test('carries method, path, query, headers and a body of JSON', async () => {
    await client().request({ path: '/a', query: { q: 'x y' } }, signal)
    await client().request({ method: 'POST', path: '/b', body: { one: 1 } }, signal)
    expect(asked).toEqual([
      { method: 'GET', url: '/a?q=x+y', body: '', key: `Bearer ${KEY}` },
      { method: 'POST', url: '/b', body: '{"one":1}', key: `Bearer ${KEY}` },
    ])
  })

  test('has its answer whatever the status, and large integers as they were written', async () => {
    answer = (_, response) => {
      response.writeHead(503, { 'X-Why': 'busy' }).end('{"n":18446744073709551615}')
    }
    const got = await client().request({ path: '/' }, signal)
    expect([got.status, got.headers['x-why'], got.text]).toEqual([
      503,
      'busy',
      '{"n":18446744073709551615}',
    ])
  })

  test('follows no redirect: a key goes nowhere else', async () => {
    answer = (_, response) => {
      response.writeHead(302, { location: `${baseUrl()}/elsewhere` }).end()
    }
    expect((await client().request({ path: '/' }, signal)).status).toBe(302)
    expect(asked).toHaveLength(1)
  })
})

describe('what goes wrong', () => {
  test('nobody there is unreachable', async () => {
    const gone = client()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    expect(await failureOf(gone.request({ path: '/' }, signal))).toMatchObject({
      code: 'source_unreachable',
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })

  test('no answer, or one that never ends, is unreachable after the limit', async () => {
    answer = () => {}
    const silent = client({ timeoutMs: 50 }).request({ path: '/' }, signal)
    expect((await failureOf(silent)).code).toBe('source_unreachable')
    answer = (_, response) => {
      const drip = setInterval(() => response.write(' '), 10)
      response.on('close', () => clearInterval(drip))
    }
    const slow = client({ timeoutMs: 80 }).request({ path: '/' }, signal)
    expect((await failureOf(slow)).code).toBe('source_unreachable')
  })

  test('too much is nonsense, not half an answer', async () => {
    answer = (_, response) => response.end(`"${'x'.repeat(5_000)}"`)
    const failure = await failureOf(client().request({ path: '/' }, signal))
    expect(failure.code).toBe('source_nonsense')
  })

  test('what is not JSON is nonsense, when it is read as JSON', async () => {
    answer = (_, response) => response.end('<html>')
    const got = await client().request({ path: '/' }, signal)
    expect(got.text).toBe('<html>')
    expect(() => got.json()).toThrow(RetryableError)
  })

  test('being stopped is no failure of the other side', async () => {
    const stop = new AbortController()
    answer = () => stop.abort(new Error('stopping'))
    await expect(client().request({ path: '/' }, stop.signal)).rejects.toThrow('stopping')
    await expect(client().request({ path: '/' }, stop.signal)).rejects.toThrow('stopping')
  })

  test('says where, and shows neither key nor path', async () => {
    answer = (_, response) => response.destroy()
    const failure = await failureOf(client().request({ path: `/${KEY}?k=${KEY}` }, signal))
    expect(failure.message).toContain('127.0.0.1')
    const everything = JSON.stringify([failure, failure.stack, failure.cause])
    expect(everything).not.toContain(KEY)
  })
})
