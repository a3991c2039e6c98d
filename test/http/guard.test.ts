import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Role, Scope } from '../../src/domain/access.js'
import { accountNumber } from '../../src/domain/ids.js'
import { notFound } from '../../src/http/answers.js'
import type { HttpConfig } from '../../src/http/config.js'
import { type Access, addGuard, callerOf } from '../../src/http/guard.js'
import { startServer } from '../../src/http/server.js'
import { createToken, recognise, revokeToken } from '../../src/pipeline/access-tokens.js'
import { verifyLog } from '../../src/pipeline/operator-log.js'
import type { Store } from '../../src/ports/stores.js'
import { openStore } from '../../src/store/index.js'
import { ManualClock } from '../support/manual-clock.js'
import { quietServerParts } from '../support/quiet-server.js'

// Goal: nobody gets at what is not theirs, whatever they send.
// Method: a server with one route of every kind behind the product's guard; then attacks.

const ADMIN = 'canary-admin-token-of-32-characters'
const ordered = { by: 'ann', reason: 'a test' }
const DAY_MS = 86_400_000
const accounts = (...numbers: bigint[]): Scope => numbers.map(accountNumber)

let clock: ManualClock
let store: Store
const servers: FastifyInstance[] = []

beforeEach(async () => {
  clock = new ManualClock(Date.UTC(2026, 10, 29))
  store = openStore(':memory:', clock)
  await store.migrate()
})
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
  await store.close()
})

const read = (accounts: Exclude<Access, string>['accounts']) =>
  ({ config: { access: { role: 'read', accounts } } }) as const

async function serve(config: Partial<HttpConfig> = {}): Promise<string> {
  const server = Fastify({ forceCloseConnections: true })
  servers.push(server)
  addGuard(server, {
    config: { adminToken: ADMIN, ...config },
    accessTokens: store.accessTokens,
    clock,
  })
  server.get('/open', { config: { access: 'open' } }, () => 'open')
  server.get('/page', { config: { access: 'address' } }, () => 'page')
  server.get('/all', read('all'), () => 'all')
  server.get('/own', read('own'), (request) => {
    const { scope, name, role } = callerOf(request)
    return { scope: scope === 'all' ? scope : scope.map(String), name, role }
  })
  server.get('/vaults/:account', read({ param: 'account' }), (request, reply) => {
    const { account } = request.params as { account: string }
    return account === '7' || account === '8' ? { account } : notFound(reply)
  })
  const act = { config: { access: { role: 'execute', accounts: { param: 'account' } } } } as const
  server.post('/vaults/:account/keys', act, () => 'made')
  const change = { config: { access: { role: 'configure', accounts: 'all' } } } as const
  server.post('/settings', change, (request) => callerOf(request).name)
  return server.listen({ host: '127.0.0.1', port: 0 })
}

const token = async (role: Role, scope: Scope, expiresAtMs?: number) =>
  createToken({ store, clock }, { label: 'acme', role, scope, expiresAtMs }, ordered)

const bearer = (text: string) => ({ headers: { authorization: `Bearer ${text}` } })

/** Makes every new connection of the running test look as if it came from there. */
function askFrom(address: string): void {
  const relabel = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    Object.defineProperty(socket, 'remoteAddress', { value: address })
  }
  subscribe('net.server.socket', relabel)
  onTestFinished(() => void unsubscribe('net.server.socket', relabel))
}

/** As fetch, which would not let a test say its own Host. */
function ask(url: string, headers: Record<string, string>, method = 'GET'): Promise<number> {
  return new Promise((done, fail) => {
    const sent = httpRequest(url, { method, headers, agent: false }, (answer) => {
      answer.resume()
      done(answer.statusCode ?? 0)
    })
    sent.once('error', fail).end()
  })
}

describe('what a route declares', () => {
  const wrong: readonly [string, string, Access | undefined][] = [
    ['nothing', 'GET', undefined],
    ['nothing, for HEAD', 'HEAD', undefined],
    ['reading, for a POST', 'POST', { role: 'read', accounts: 'all' }],
    ['an address, for a DELETE', 'DELETE', 'address'],
    ['that it is open, for a PUT', 'PUT', 'open'],
  ]
  test.each(wrong)('%s: the server does not start', (_, method, access) => {
    const server = Fastify()
    servers.push(server)
    addGuard(server, { config: {}, accessTokens: store.accessTokens, clock })
    const config = access === undefined ? {} : { access }
    expect(() => server.route({ method, url: '/new', config, handler: () => '' })).toThrow(
      /declares no access|only guarded as reading/,
    )
  })

  test('by its address alone, a caller reads and does nothing else', async () => {
    const url = await serve()
    expect((await fetch(`${url}/all`)).status).toBe(200)
    expect((await fetch(`${url}/vaults/7`)).status).toBe(200)
    expect(await (await fetch(`${url}/own`)).json()).toMatchObject({ scope: 'all', role: 'read' })
    const refused = await fetch(`${url}/settings`, { method: 'POST' })
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    expect((await fetch(`${url}/vaults/7/keys`, { method: 'POST' })).status).toBe(401)
  })

  test('REQUIRE_TOKEN: an address reads nothing, but for what is open and the page', async () => {
    const url = await serve({ requireToken: true })
    const codes = ['/open', '/page', '/all', '/own', '/vaults/7'].map(
      async (path) => (await fetch(url + path)).status,
    )
    expect(await Promise.all(codes)).toEqual([200, 200, 401, 401, 401])
    expect((await fetch(`${url}/all`, bearer(ADMIN))).status).toBe(200)
  })
})

describe('ADMIN_TOKEN', () => {
  test('may do everything; nothing near it may', async () => {
    const url = await serve()
    const post = (authorization: string) =>
      fetch(`${url}/settings`, { method: 'POST', headers: { authorization } })
    const right = await post(`Bearer ${ADMIN}`)
    expect([right.status, await right.text()]).toEqual([200, 'ADMIN_TOKEN'])
    const wrong = [`${ADMIN}x`, ADMIN.slice(1), ADMIN.toUpperCase(), '', `${ADMIN},${ADMIN}`]
    for (const text of wrong) expect((await post(`Bearer ${text}`)).status).toBe(401)
    expect((await post(ADMIN)).status).toBe(401)
    expect((await post(`Basic ${ADMIN}`)).status).toBe(401)
  })

  test('unset: no text is right', async () => {
    const server = Fastify()
    servers.push(server)
    addGuard(server, { config: {}, accessTokens: store.accessTokens, clock })
    server.get('/all', read('all'), () => 'all')
    for (const text of ['undefined', 'null', '']) {
      const headers = { authorization: `Bearer ${text}` }
      expect((await server.inject({ url: '/all', headers })).statusCode).toBe(401)
    }
  })

  test('a wrong token is never less than none: the address is not asked instead', async () => {
    const url = await serve()
    expect((await fetch(`${url}/all`, bearer('nonsense'))).status).toBe(401)
  })
})

describe('access tokens', () => {
  test('a customer sees their own account, and of others not even whether they exist', async () => {
    const url = await serve()
    const { token: text } = await token('read', accounts(7n))
    const get = (path: string) => fetch(url + path, bearer(text))
    expect((await get('/vaults/7')).status).toBe(200)
    const [others, nobodys] = [await get('/vaults/8'), await get('/vaults/9')]
    expect([others.status, nobodys.status]).toEqual([404, 404])
    expect(await others.text()).toBe(await nobodys.text())
    expect((await get('/all')).status).toBe(403)
    expect(await (await get('/own')).json()).toMatchObject({ scope: ['7'] })
    const post = await fetch(`${url}/vaults/7/keys`, { method: 'POST', ...bearer(text) })
    expect(post.status).toBe(403)
    const other = await fetch(`${url}/vaults/8/keys`, { method: 'POST', ...bearer(text) })
    expect(other.status).toBe(404)
  })

  test.each([
    ...['007', '+7', '-7', '7.0', '7e0', '0x7', '%37%20', '%2B7', '7%00', '７', '٧', '7,8'],
    ...['18446744073709551623', `7${'0'.repeat(40)}`, '7%2F..%2F8', '8%2F..%2F7', '..%2f7', ''],
  ])('account "%s" is no spelling of 7', async (spelling) => {
    const url = await serve()
    const { token: text } = await token('read', accounts(7n))
    expect((await fetch(`${url}/vaults/${spelling}`, bearer(text))).status).toBe(404)
  })

  test('the role grows: execute reads, and configures nothing', async () => {
    const url = await serve()
    const { token: text } = await token('execute', accounts(7n, 8n))
    const post = (path: string) => fetch(url + path, { method: 'POST', ...bearer(text) })
    expect((await fetch(`${url}/vaults/8`, bearer(text))).status).toBe(200)
    expect((await post('/vaults/8/keys')).status).toBe(200)
    expect((await post('/settings')).status).toBe(403)
    const { token: all } = await token('configure', 'all')
    const done = await fetch(`${url}/settings`, { method: 'POST', ...bearer(all) })
    expect(await done.text()).toMatch(/^token fm_[0-9a-f]{12} \(acme\)$/)
  })

  test('expired, revoked, of another secret, or cut: nobody, and all of them alike', async () => {
    const url = await serve()
    const get = async (text: string) => {
      const answer = await fetch(`${url}/own`, bearer(text))
      return [answer.status, await answer.text()]
    }
    const short = await token('read', accounts(7n), clock.now() + DAY_MS)
    const other = await token('read', accounts(8n))
    expect((await get(short.token))[0]).toBe(200)
    clock.pass(DAY_MS)
    const expired = await get(short.token)
    expect(expired[0]).toBe(401)
    await revokeToken(store, other.id, ordered)
    expect(await get(other.token)).toEqual(expired)
    const live = await token('read', accounts(9n))
    const spliced = live.id + other.token.slice(other.id.length)
    for (const text of [spliced, live.token.slice(0, -1), `${live.token}A`, live.id]) {
      expect(await get(text)).toEqual(expired)
    }
    expect((await get(live.token))[0]).toBe(200)
  })

  test('the store has no token, only what it hashes to; use is noted once a minute', async () => {
    const { id, token: text } = await token('read', 'all')
    const rows = JSON.stringify(await store.accessTokens.list())
    expect(rows).toContain(id)
    expect(rows).not.toContain(text.slice(id.length + 1))
    const uses: (number | undefined)[] = []
    for (const passed of [0, 59_000, 1_000]) {
      clock.pass(passed)
      await recognise(text, { accessTokens: store.accessTokens, clock })
      uses.push((await store.accessTokens.find(id))?.lastUsedAtMs)
    }
    expect(uses.map((at) => (at ?? 0) - (uses[0] ?? 0))).toEqual([0, 0, 60_000])
  })

  test('making and revoking are in the operators’ log: who, what, before, after; never the token', async () => {
    const { id, token: text } = await token('read', accounts(7n))
    await revokeToken(store, id, { by: 'bob', reason: 'left' })
    const log = await store.operatorLog.entries(1, 10)
    expect(log.map(({ who, verb, arguments: args }) => ({ who, verb, ...args }))).toEqual([
      { who: 'ann', verb: 'tokens create', token: id, before: 'none', after: 'read of 7, "acme"' },
      {
        ...{ who: 'bob', verb: 'tokens revoke', token: id },
        ...{ before: 'read of 7, "acme"', after: 'read of 7, "acme", revoked' },
      },
    ])
    expect(JSON.stringify(log)).not.toContain(text.slice(id.length + 1))
    expect(await verifyLog(store)).toEqual([])
    await expect(revokeToken(store, id, ordered)).rejects.toThrow('revoked already')
    await expect(revokeToken(store, 'fm_000000000000', ordered)).rejects.toThrow('no token')
  })

  test.each([
    ['no label', { label: '' }],
    ['a label of two lines', { label: 'a\nb' }],
    ['no account', { scope: [] }],
    ['configure for some accounts', { role: 'configure' as const, scope: accounts(7n) }],
    ['expired already', { expiresAtMs: 0 }],
  ])('refused: %s', async (_, wish) => {
    const whole = {
      label: 'a',
      role: 'read' as const,
      scope: 'all' as const,
      expiresAtMs: undefined,
    }
    const made = createToken({ store, clock }, { ...whole, ...wish }, ordered)
    await expect(made).rejects.toMatchObject({ code: 'bad_token' })
    expect(await store.operatorLog.entries(1, 10)).toEqual([])
  })

  test.each(['token', 'access_token', 'key', 'api_key', 'q'])(
    'in a URL, as ?%s=: refused, however right it is',
    async (name) => {
      const url = await serve()
      const { token: text } = await token('read', 'all')
      const answer = await fetch(`${url}/all?a=1&${name}=${text}`, bearer(text))
      expect([answer.status, await answer.json()]).toMatchObject([400, { error: 'token_in_url' }])
    },
  )
})

describe('from where', () => {
  test('TOKEN_IPS: a customer’s token, and neither the admin’s nor one for all', async () => {
    askFrom('203.0.113.7')
    const url = await serve({ allowedIps: ['10.0.0.0/8'], tokenIps: ['0.0.0.0/0'] })
    const one = await token('read', accounts(7n))
    const all = await token('read', 'all')
    const status = async (path: string, init?: RequestInit) =>
      (await fetch(url + path, init)).status
    expect(await status('/vaults/7', bearer(one.token))).toBe(200)
    expect(await status('/vaults/7')).toBe(401)
    expect(await status('/all')).toBe(401)
    expect(await status('/vaults/7', bearer(all.token))).toBe(403)
    expect(await status('/all', bearer(ADMIN))).toBe(403)
  })

  test('a stranger is told nothing, whatever they show', async () => {
    askFrom('203.0.113.7')
    const url = await serve({ allowedIps: ['10.0.0.0/8'] })
    const { token: text } = await token('read', 'all')
    for (const path of [
      '/all',
      '//all',
      '/all/',
      '/ALL',
      '/nowhere',
      '/open/..%2fall',
      '/%61ll',
      '/page',
    ]) {
      for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'PATCH']) {
        const answer = await fetch(url + path, { method, ...bearer(text) })
        expect([path, method, answer.status]).toEqual([path, method, 403])
      }
    }
    expect((await fetch(`${url}/open`)).status).toBe(200)
  })

  test.each([
    [
      'nobody trusted: the header makes nobody local',
      [],
      '127.0.0.1',
      { 'x-forwarded-for': '10.0.0.7' },
      403,
    ],
    ['nobody trusted, RFC 7239', [], '127.0.0.1', { forwarded: 'for=10.0.0.7' }, 403],
    ['an empty header is a header', [], '127.0.0.1', { 'x-forwarded-for': '' }, 403],
    ['trusted, and named', ['127.0.0.1'], '127.0.0.1', { 'x-forwarded-for': '10.0.0.7' }, 200],
    [
      'trusted, with a port',
      ['127.0.0.1'],
      '127.0.0.1',
      { 'x-forwarded-for': '10.0.0.7:4711' },
      200,
    ],
    [
      'trusted, mapped',
      ['127.0.0.1'],
      '::ffff:127.0.0.1',
      { 'x-forwarded-for': '::ffff:10.0.0.7' },
      200,
    ],
    [
      'trusted, mapped in hexadecimal',
      ['127.0.0.1'],
      '127.0.0.1',
      { 'x-forwarded-for': '::ffff:a00:7' },
      200,
    ],
    ['trusted, a stranger', ['127.0.0.1'], '127.0.0.1', { 'x-forwarded-for': '203.0.113.7' }, 403],
    [
      'what the client wrote itself stands left',
      ['127.0.0.1'],
      '127.0.0.1',
      { 'x-forwarded-for': '10.0.0.7, 203.0.113.7' },
      403,
    ],
    [
      'two proxies',
      ['127.0.0.1', '10.9.0.1'],
      '127.0.0.1',
      { 'x-forwarded-for': '1.1.1.1, 10.0.0.7, 10.9.0.1' },
      200,
    ],
    [
      'two proxies, one of them not trusted',
      ['127.0.0.1'],
      '127.0.0.1',
      { 'x-forwarded-for': '10.0.0.7, 10.10.0.1' },
      200,
    ],
    [
      'a claim to be this machine',
      ['127.0.0.1'],
      '127.0.0.1',
      { 'x-forwarded-for': '127.0.0.1' },
      403,
    ],
    ['a trusted proxy that names nobody', ['127.0.0.1'], '127.0.0.1', {}, 403],
    ['nonsense', ['127.0.0.1'], '127.0.0.1', { 'x-forwarded-for': 'unknown' }, 403],
    [
      'nonsense before a name',
      ['127.0.0.1'],
      '127.0.0.1',
      { 'x-forwarded-for': '10.0.0.7, <script>' },
      403,
    ],
    [
      'more hops than there are',
      ['127.0.0.1'],
      '127.0.0.1',
      { 'x-forwarded-for': Array(40).fill('10.0.0.7').join() },
      403,
    ],
    [
      'another header',
      ['127.0.0.1'],
      '127.0.0.1',
      { 'x-real-ip': '10.0.0.7', 'x-client-ip': '10.0.0.7' },
      403,
    ],
    [
      'a proxy that is not trusted',
      ['127.0.0.1'],
      '10.10.0.1',
      { 'x-forwarded-for': '203.0.113.7' },
      200,
    ],
  ])('X-Forwarded-For: %s', async (_, trustedProxies, peer, headers, expected) => {
    askFrom(peer)
    const url = await serve({ allowedIps: ['10.0.0.0/8'], trustedProxies })
    const answer = await fetch(`${url}/all`, { headers: headers as Record<string, string> })
    expect(answer.status).toBe(expected)
  })

  test('HSTS when a trusted proxy has HTTPS in front, and not when a client says so', async () => {
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '10.0.0.7' }
    const trusting = await serve({ trustedProxies: ['127.0.0.1'], allowedIps: ['10.0.0.0/8'] })
    const said = (await fetch(`${trusting}/all`, { headers })).headers
    expect(said.get('strict-transport-security')).toBe('max-age=31536000')
    const plain = (await fetch(`${await serve()}/open`, { headers })).headers
    expect(plain.get('strict-transport-security')).toBeNull()
  })
})

describe('browsers', () => {
  test.each([
    ['an address', {}, 200],
    ['localhost', { host: 'localhost:3000' }, 200],
    ['a name of the compose network', { host: 'flowmeter:3000' }, 200],
    ['a service of Kubernetes', { host: 'flowmeter.billing.svc.cluster.local' }, 200],
    ['the name of HTTP_HOSTS', { host: 'Meter.Example.org:8443' }, 200],
    ['a foreign name that means our address', { host: 'evil.example.com' }, 403],
    ['one that ends like ours', { host: 'evil-meter.example.org' }, 403],
    ['one that begins like an address', { host: '127.0.0.1.evil.example' }, 403],
    ['a page of somebody else', { origin: 'https://evil.example' }, 403],
    ['a page of a file', { origin: 'null' }, 403],
    ['another port', { host: '127.0.0.1:3000', origin: 'http://127.0.0.1:8080' }, 403],
    ['our own page', { host: '127.0.0.1:3000', origin: 'http://127.0.0.1:3000' }, 200],
    [
      'an image in a foreign page',
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
      403,
    ],
    [
      'a frame in a foreign page',
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
      403,
    ],
    [
      'a link in a mail',
      {
        'sec-fetch-site': 'cross-site',
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
      },
      200,
    ],
    [
      'our page’s script',
      { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' },
      200,
    ],
  ])('let in by the address: %s', async (_, headers, expected) => {
    const url = await serve({ httpHosts: ['meter.example.org'] })
    expect(await ask(`${url}/all`, headers as Record<string, string>)).toBe(expected)
  })

  test('no answer lets another origin read it, not even to a preflight', async () => {
    const url = await serve()
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST' }
    const answer = await fetch(`${url}/settings`, { method: 'OPTIONS', headers })
    expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual(
      [],
    )
    expect(answer.status).toBe(403)
  })

  test('every answer says what a browser may do with it, errors too', async () => {
    const { url, close } = await startServer(quietServerParts(store, clock))
    onTestFinished(close)
    for (const path of ['/health', '/status', '/nowhere', '/%', '/%c0']) {
      const { headers } = await fetch(url + path)
      expect([path, headers.get('x-content-type-options')]).toEqual([path, 'nosniff'])
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('x-frame-options')).toBe('DENY')
    }
  })
})

describe('limits', () => {
  test('ten wrong tokens in a minute, then not even the right one until some time has passed', async () => {
    const url = await serve()
    for (let i = 0; i < 10; i += 1) {
      expect((await fetch(`${url}/all`, bearer(`guess-${i}`))).status).toBe(401)
    }
    const refused = await fetch(`${url}/all`, bearer(ADMIN))
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '6'])
    expect((await fetch(`${url}/all`)).status).toBe(200) // Nobody else is locked out by it.
    clock.pass(6_000)
    expect((await fetch(`${url}/all`, bearer(ADMIN))).status).toBe(200)
  })

  test('so many requests of a client in a minute; this machine and /health as many as it likes', async () => {
    const url = await serve({ httpRateLimit: 3, allowedIps: ['10.0.0.0/8'] })
    for (let i = 0; i < 5; i += 1) expect((await fetch(`${url}/all`)).status).toBe(200)
    askFrom('10.0.0.7')
    const codes: number[] = []
    for (let i = 0; i < 5; i += 1) codes.push(await ask(`${url}/all`, {}))
    expect(codes).toEqual([200, 200, 200, 429, 429])
    expect(await ask(`${url}/open`, {})).toBe(200)
    clock.pass(20_000)
    expect(await ask(`${url}/all`, {})).toBe(200)
  })

  test('a customer’s limit is their own: they share an address with others', async () => {
    askFrom('10.0.0.7')
    const url = await serve({ httpRateLimit: 2, allowedIps: ['10.0.0.0/8'] })
    const [one, two] = [await token('read', accounts(7n)), await token('read', accounts(8n))]
    const get = async (text: string) => (await fetch(`${url}/own`, bearer(text))).status
    expect([await get(one.token), await get(one.token), await get(one.token)]).toEqual([
      200, 200, 429,
    ])
    expect(await get(two.token)).toBe(200)
  })

  test('headers beyond 16 KiB: 431', async () => {
    const { url, close } = await startServer(quietServerParts(store, clock))
    onTestFinished(close)
    expect(await ask(`${url}/status`, { 'x-large': 'a'.repeat(20_000) })).toBe(431)
  })

  // Node's own timer looks once a second, so this one takes real seconds.
  test('headers that never end: the connection is closed', async () => {
    const { url, close } = await startServer(quietServerParts(store, clock))
    onTestFinished(close)
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.write('GET /status HTTP/1.1\r\nHost: a\r\nX-Slow: ')
    const said: string[] = []
    socket.on('data', (chunk) => said.push(String(chunk)))
    await new Promise((done) => socket.once('close', done))
    expect(said.join('')).toMatch(/^HTTP\/1\.1 408 /)
  })
})
