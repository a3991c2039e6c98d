import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import type { Server } from '../../src/http/server.js'
import { createToken, revokeToken } from '../../src/pipeline/access-tokens.js'
import type { ShownBatch, ShownUsage, ShownVault } from '../../src/pipeline/shown.js'
import { PageWorld } from '../support/page-world.js'

// Goal: what people are shown is what the store holds, in pages, and to whom it belongs.
// Method: the real server over a store that the pipeline filled; sums are made again from the rows.

let world: PageWorld
let server: Server
beforeAll(async () => {
  world = await PageWorld.create()
  server = await world.serve({
    config: { host: '127.0.0.1', port: 0, allowedIps: [], requireToken: true, httpRateLimit: 0 },
  })
})
afterAll(() => world.remove())

async function tokenFor(scope: 'all' | readonly bigint[]): Promise<string> {
  const accounts = scope === 'all' ? scope : scope.map(accountNumber)
  const { token } = await createToken(
    { store: world.store, clock: world.world.clock },
    { label: 'test', role: 'read', scope: accounts, expiresAtMs: undefined },
    { by: 'test', reason: 'test' },
  )
  return token
}

let everybody: string
async function get<Body>(path: string, token?: string) {
  everybody ??= await tokenFor('all')
  const authorization = `Bearer ${token ?? everybody}`
  const answer = await fetch(`${server.url}${path}`, { headers: { authorization } })
  return { status: answer.status, body: (await answer.json()) as Body }
}

interface Items<Item> {
  readonly items: readonly Item[]
  readonly next: string | null
}

describe('usage', () => {
  test.each(['day', 'week', 'month'])('%s: every record that counts, once', async (span) => {
    const { status, body } = await get<ShownUsage>(`/v1/usage/series?span=${span}`)
    expect(status).toBe(200)
    const { buckets, from, until } = body
    const rows = world.world.source.rows.filter(
      ({ startedAtMs }) => startedAtMs >= Date.parse(from) && startedAtMs < Date.parse(until),
    )
    const sum = (pick: (row: (typeof rows)[number]) => bigint) =>
      rows.reduce((all, row) => all + pick(row), 0n)
    expect(buckets.reduce((all, one) => all + BigInt(one.promptTokens), 0n)).toBe(
      sum(({ promptTokens }) => promptTokens),
    )
    expect(buckets.reduce((all, one) => all + BigInt(one.completionTokens), 0n)).toBe(
      sum(({ completionTokens }) => completionTokens),
    )
    expect(buckets.reduce((all, one) => all + one.requests, 0)).toBe(rows.length)
    expect(buckets.length).toBeGreaterThan(5)
  })

  test('of one vault', async () => {
    const { body } = await get<ShownUsage>('/v1/usage/series?span=month&account=42')
    const rows = world.world.source.rows.filter(({ payers }) => payers.user === '42')
    expect(body.buckets.reduce((all, one) => all + one.requests, 0)).toBe(rows.length)
  })

  test.each([
    'span=year',
    'span=constructor',
    'account=-1',
    'account=18446744073709551616',
    'span=day&span=day',
  ])('%s: 400', async (query) => expect((await get(`/v1/usage/series?${query}`)).status).toBe(400))
})

describe('vaults', () => {
  test('come in pages, in order, each once', async () => {
    const seen: string[] = []
    for (let after: string | null = ''; after !== null; ) {
      const start: string = after === '' ? '' : `&after=${after}`
      const { body }: { body: Items<ShownVault> } = await get(`/v1/vaults?limit=3${start}`)
      expect(body.items.length).toBeLessThanOrEqual(3)
      seen.push(...body.items.map(({ account }) => account))
      after = body.next
    }
    expect(seen).toEqual(['1', '7', '42', '3110863829004614707'])
  })

  test('a period’s tiers lead from its tokens to the next bound', async () => {
    const { body } = await get<ShownVault>('/v1/vaults/42')
    const [period] = body.periods
    const { current = 0, toNext, tiers = [] } = period?.tier ?? {}
    const bound = tiers[current]?.upTo ?? null
    expect(bound === null ? null : `${BigInt(bound) - BigInt(period?.billableTokens ?? 0)}`).toBe(
      toNext,
    )
    expect(BigInt(period?.billableTokens ?? 0)).toBeGreaterThan(0n)
  })

  test.each(['limit=0', 'limit=101', 'limit=x', 'after=x', 'limit=1&limit=2'])(
    '%s: 400',
    async (query) => {
      expect((await get(`/v1/vaults?${query}`)).status).toBe(400)
    },
  )

  test.each(['5', '007', '18446744073709551616', '1%2F', '-1'])(
    '%s is none: 404',
    async (account) => {
      expect((await get(`/v1/vaults/${account}`)).status).toBe(404)
    },
  )
})

test('batches come newest first, with what was sent for each', async () => {
  const { body } = await get<Items<ShownBatch>>('/v1/batches?limit=2')
  const held = (await world.store.batches.page(1n, 1_000))
    .map(({ header }) => `${header.seq}`)
    .reverse()
  expect(body.items.map(({ seq }) => seq)).toEqual(held.slice(0, 2))
  const older = await get<Items<ShownBatch>>(`/v1/batches?before=${body.next}&limit=100`)
  expect(older.body.items.map(({ seq }) => seq)).toEqual(held.slice(2))
  const first = older.body.items.at(-1)
  const verbs = first?.transactions.map(({ purpose }) => purpose.split('/')[0])
  expect(new Set(verbs)).toEqual(new Set(['anchor', 'request', 'accept', 'settle']))
  expect(first?.transactions.every(({ purpose }) => purpose.split('/')[1] === '1')).toBe(true)
  expect((await get('/v1/batches?before=x')).status).toBe(400)
})

describe('a customer’s token', () => {
  test('sees its own vaults, their usage, and nothing else', async () => {
    const token = await tokenFor([7n])
    const vaults = await get<Items<ShownVault>>('/v1/vaults', token)
    expect(vaults.body.items.map(({ account }) => account)).toEqual(['7'])
    expect((await get('/v1/vaults/7', token)).status).toBe(200)
    expect((await get('/v1/vaults/42', token)).status).toBe(404)
    expect((await get('/v1/usage/series?account=42', token)).status).toBe(404)
    const { body } = await get<ShownUsage>('/v1/usage/series?span=month', token)
    const rows = world.world.source.rows.filter(({ payers }) => payers.user === '7')
    expect(body.buckets.reduce((all, one) => all + one.requests, 0)).toBe(rows.length)
    for (const path of ['/status', '/metrics', '/v1/batches', '/v1/events']) {
      const answer = await fetch(`${server.url}${path}`, {
        headers: { authorization: `Bearer ${token}` },
      })
      expect([path, answer.status]).toEqual([path, 403])
    }
  })

  test('two callers for different vaults never get each other’s kept answer', async () => {
    const [first, second] = [await tokenFor([1n]), await tokenFor([42n])]
    const one = await get('/v1/usage/series?span=month', first)
    const other = await get('/v1/usage/series?span=month', second)
    expect(one.body).not.toEqual(other.body)
  })
})

describe('events', () => {
  const listen = (signal: AbortSignal, token = everybody) =>
    fetch(`${server.url}/v1/events`, { headers: { authorization: `Bearer ${token}` }, signal })

  test('the status comes at once, and again when it changes', async () => {
    const over = new AbortController()
    const answer = await listen(over.signal)
    expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/)
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const until = async (word: string) => {
      while (!text.includes(word)) text += (await reader?.read())?.value ?? ''
    }
    await until('event: status')
    world.running = { ...world.running, storage: { freeBytes: 77, storeBytes: 1 } }
    await until('"freeBytes":77')
    over.abort()
  })

  test('end with the token: who is revoked hears nothing more', async () => {
    const wish = { label: 'gone', role: 'read', scope: 'all', expiresAtMs: undefined } as const
    const parts = { store: world.store, clock: world.world.clock }
    const { id, token } = await createToken(parts, wish, { by: 'ops', reason: 'asked for' })
    const over = new AbortController()
    const [gone, stays] = [await listen(over.signal, token), await listen(over.signal)]
    await revokeToken(world.store, id, { by: 'ops', reason: 'left us' })
    expect(await gone.text()).toMatch(/^retry:/) // To its end.
    const reader = stays.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    world.running = { ...world.running, storage: { freeBytes: 78, storeBytes: 1 } }
    while (!text.includes('"freeBytes":78')) text += (await reader?.read())?.value ?? ''
    over.abort()
  })

  test('fifty listen, the next is told to come later; all end with the server', async () => {
    const other = await world.serve()
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => fetch(`${other.url}/v1/events`)),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    const late = await fetch(`${other.url}/v1/events`)
    expect(late.status).toBe(503)
    const ends = answers.map((answer) => answer.text())
    await other.close()
    expect((await Promise.all(ends)).every((text) => text.startsWith('retry:'))).toBe(true)
  })
})
