import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Role, Scope } from '../../src/domain/access.js'
import { type Server, startServer } from '../../src/http/server.js'
import { createToken } from '../../src/pipeline/access-tokens.js'
import { blockKey } from '../../src/pipeline/change-key.js'
import type { ShownKey, ShownSync } from '../../src/pipeline/shown-keys.js'
import { ALICE, BOB } from '../support/keys.js'
import { KeysWorld, OPERATOR } from '../support/keys-world.js'
import { quietServerParts } from '../support/quiet-server.js'

// Goal: over HTTP everybody manages their own keys within their limits, and nobody another's.
// Method: the real server with tokens of every role, on the stand-in of LiteLLM.

let world: KeysWorld
let server: Server
/** Of the customer of account 7. */
let alice: string
let reader: string
let admin: string
beforeEach(async () => {
  world = await KeysWorld.start()
  server = await serve(true)
  alice = await tokenOf('execute', [ALICE])
  reader = await tokenOf('read', [ALICE])
  admin = await tokenOf('configure', 'all')
})
afterEach(async () => {
  await server.close()
  await world.stop()
})

function serve(hasKeys: boolean): Promise<Server> {
  const keys = hasKeys ? { keys: { ...world.parts(), signal: world.signal } } : {}
  return startServer({ ...quietServerParts(world.store, world.clock), ...keys })
}

async function tokenOf(role: Role, scope: Scope): Promise<string> {
  const wish = { label: role, role, scope, expiresAtMs: undefined }
  return (await createToken({ store: world.store, clock: world.clock }, wish, OPERATOR)).token
}

interface Answered<Body> {
  readonly status: number
  readonly body: Body & { readonly error?: string; readonly message?: string }
}

async function ask<Body = ShownKey & { readonly key: string }>(
  method: string,
  path: string,
  { token = alice, body }: { token?: string | undefined; body?: unknown } = {},
): Promise<Answered<Body>> {
  const answer = await fetch(`${server.url}/v1/keys${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: answer.status, body: (await answer.json()) as Answered<Body>['body'] }
}

const WISH = { name: 'laptop', userId: 'vault_7' }
const create = (token?: string, more: object = {}) =>
  ask('POST', '', { token, body: { ...WISH, ...more } })
const bobsKey = async () => (await world.create('bobs', { account: BOB })).key

describe('a customer', () => {
  test('makes a key, sees it without its secret, limits it, and deletes it', async () => {
    const { status, body } = await create(alice, { rpmLimit: 5, maxBudget: '2.50' })
    expect(status).toBe(201)
    expect(await world.call(body.key)).toBe(200)
    const { key, ...shown } = body
    expect(shown).toEqual({
      ...{ id: shown.id, alias: 'fm-7-laptop', name: 'laptop', account: '7', userId: 'vault_7' },
      ...{ maxBudget: '2.5', budgetDuration: '30d', rpmLimit: 5, tpmLimit: 10_000, models: [] },
      ...{ state: 'wanted', syncStatus: 'synced', problem: null, spend: '0', replaces: null },
      ...{ lastSyncedAt: '2026-11-21T20:00:00.000Z', createdAt: '2026-11-21T20:00:00.000Z' },
      ...{ isBlocked: false, blockedBy: null, holds: [] },
      lastSyncedAt: shown.lastSyncedAt,
      createdAt: shown.createdAt,
    })
    const seen = await ask('GET', `/${shown.id}`)
    expect(JSON.stringify(seen)).not.toContain(key)
    expect(seen.body).toMatchObject({ id: shown.id })

    const changed = await ask('PATCH', `/${shown.id}`, { body: { tpmLimit: 7, models: ['m'] } })
    expect(changed).toMatchObject({
      status: 200,
      body: { tpmLimit: 7, rpmLimit: 5, models: ['m'] },
    })
    expect(await world.info(body.id as never)).toMatchObject({ tpm_limit: 7, max_budget: 2.5 })

    const deleted = await ask('DELETE', `/${shown.id}`, { body: { reason: 'lost' } })
    expect(deleted).toMatchObject({ status: 200, body: { state: 'deleted', syncStatus: 'synced' } })
    expect((await ask('GET', `/${shown.id}`)).status).toBe(404)
    expect(await world.call(key)).toBe(401)
  })

  test('rotates, blocks and unblocks it, and reads why it is blocked', async () => {
    const { body: old } = await create()
    const { status, body } = await ask('POST', `/${old.id}/rotate`)
    expect(status).toBe(201)
    expect(body.replaces).toBe(old.id)
    expect([await world.call(old.key), await world.call(body.key)]).toEqual([401, 200])
    const blocked = await ask('POST', `/${body.id}/block`, { body: { reason: 'it leaked' } })
    expect(blocked.body).toMatchObject({
      ...{ isBlocked: true, blockedBy: 'flowmeter' },
      holds: [{ reason: 'owner', text: 'it leaked', until: null }],
    })
    expect((await ask('POST', `/${body.id}/unblock`)).body).toMatchObject({ isBlocked: false })
    expect(await ask('POST', `/${body.id}/unblock`)).toMatchObject({ status: 409 })
    await world.hold('balance 0.40, reserve 0.50: deposit to go on')
    const synced = await ask('POST', `/${body.id}/sync`)
    expect(synced.body).toMatchObject({ isBlocked: true, holds: [{ reason: 'balance' }] })
  })

  test.each([
    ['a limit above the ceiling', { maxBudget: '10.000001' }, 403, 'above_ceiling'],
    ['no limit', { rpmLimit: null }, 403, 'above_ceiling'],
    ['another’s user', { userId: 'vault_8' }, 422, 'wrong_account'],
    ['another’s account', { account: '8' }, 404, 'not_found'],
    ['a field that is misspelt', { rpm_limit: 5 }, 422, 'bad_key'],
    ['a budget as a float', { maxBudget: 1.5 }, 422, 'bad_key'],
    ['a budget with too many decimals', { maxBudget: '1.0000001' }, 422, 'bad_key'],
    ['models that are no list', { models: 'all' }, 422, 'bad_key'],
    ['a rate as text', { tpmLimit: '5' }, 422, 'bad_key'],
    ['a rate that is none', { tpmLimit: 1e300 }, 422, 'bad_key'],
    ['a name with a line', { name: 'a\nb' }, 422, 'bad_key'],
    ['an account that is none', { account: '07' }, 422, 'bad_key'],
    ['a reason of two lines', { reason: 'a\nb' }, 422, 'bad_key'],
    ['a prototype', JSON.parse('{"__proto__":{"rpmLimit":1}}') as object, 400, 'bad_request'],
  ])('is refused %s', async (_what, more, status, error) => {
    const body = Object.defineProperties({ ...WISH }, Object.getOwnPropertyDescriptors(more))
    expect(await ask('POST', '', { body })).toMatchObject({ status, body: { error } })
    expect(await world.idsThere()).toEqual([])
  })

  test('is refused a key of the same name, and too many of them', async () => {
    const { key } = (await create()).body
    const again = await create()
    expect(again).toMatchObject({ status: 409, body: { error: 'key_exists' } })
    expect(JSON.stringify(again)).not.toContain(key)
    for (const name of ['b', 'c']) expect((await create(alice, { name })).status).toBe(201)
    expect(await create(alice, { name: 'd' })).toMatchObject({
      ...{ status: 403, body: { error: 'too_many_keys' } },
    })
  })

  // Goal: whoever may order for an account fills neither the log nor LiteLLM; others go on.
  test('orders so often in a minute, with however many tokens', async () => {
    const { id } = (await create()).body
    const other = await tokenOf('execute', [ALICE])
    const answers: number[] = []
    for (let i = 0; i < 25; i += 1) {
      const token = i % 2 === 0 ? alice : other
      answers.push((await ask('POST', `/${id}/sync`, { token })).status)
    }
    expect(answers.filter((status) => status === 200)).toHaveLength(19)
    expect(answers.at(-1)).toBe(429)
    expect((await ask('POST', `/${id}/sync`, { token: admin })).status).toBe(200)
    const bob = await tokenOf('execute', [BOB])
    expect((await create(bob, { userId: 'vault_8' })).status).toBe(201)
    expect((await ask('GET', `/${id}`)).status).toBe(200)
    world.clock.pass(60_000)
    expect((await ask('POST', `/${id}/sync`)).status).toBe(200)
  })

  test('does not lift what the operator placed', async () => {
    const { id } = (await create()).body
    await blockKey(world.parts(), id as never, OPERATOR, world.signal)
    expect(await ask('POST', `/${id}/unblock`)).toMatchObject({ status: 409 })
    expect(await ask('POST', `/${id}/rotate`)).toMatchObject({ status: 403 })
    expect(await ask('DELETE', `/${id}`)).toMatchObject({ status: 403 })
    expect(await create(alice, { name: 'b' })).toMatchObject({
      ...{ status: 403, body: { error: 'account_blocked' } },
    })
  })
})

describe('what is another’s', () => {
  const ROUTES = [
    ...[['GET', ''] as const, ['PATCH', ''] as const, ['DELETE', ''] as const],
    ...(['rotate', 'block', 'unblock', 'sync'] as const).map(
      (verb) => ['POST', `/${verb}`] as const,
    ),
  ]

  test.each(ROUTES)('is as if it were not there: %s %s', async (method, path) => {
    const { id } = await bobsKey()
    const before = await world.info(id)
    const body = method === 'PATCH' ? { rpmLimit: 1 } : undefined
    const others = await ask(method, `/${id}${path}`, { body })
    expect(others.status).toBe(404)
    expect(await ask(method, `/${'f'.repeat(64)}${path}`, { body })).toEqual(others)
    expect(await ask(method, `/nonsense${path}`, { body })).toEqual(others)
    expect(await world.info(id)).toEqual(before)
  })

  test('is in no list and no sum', async () => {
    await bobsKey()
    await create()
    const own = await ask<{ items: ShownKey[] }>('GET', '')
    expect(own.body.items.map(({ account }) => account)).toEqual(['7'])
    expect((await ask('GET', '?account=8')).status).toBe(404)
    expect((await ask<ShownSync>('GET', '/sync')).body).toMatchObject({ synced: 1, failing: [] })
    const all = await ask<{ items: ShownKey[]; next: string }>('GET', '?limit=1', { token: admin })
    expect(all.body.items).toHaveLength(1)
    const rest = await ask<{ items: ShownKey[] }>('GET', `?after=${all.body.next}`, {
      token: admin,
    })
    expect(rest.body).toMatchObject({ items: [{}], next: null })
    expect((await ask<ShownSync>('GET', '/sync', { token: admin })).body).toMatchObject({
      synced: 2,
    })
  })
})

describe('roles', () => {
  test('read sees and changes nothing', async () => {
    const { id } = (await create()).body
    expect((await ask('GET', `/${id}`, { token: reader })).status).toBe(200)
    for (const [method, path, body] of [
      ['POST', '', WISH],
      ['PATCH', `/${id}`, { rpmLimit: 1 }],
      ['DELETE', `/${id}`, undefined],
      ['POST', `/${id}/rotate`, undefined],
      ['POST', `/${id}/block`, undefined],
      ['POST', `/${id}/sync`, undefined],
    ] as const) {
      expect(await ask(method, path, { token: reader, body })).toMatchObject({ status: 403 })
    }
    expect(await ask('DELETE', `/${id}`, { token: 'nobody' })).toMatchObject({ status: 401 })
    expect(await world.idsThere()).toEqual([id])
  })

  test('configure gives more than the ceiling, and may act for everybody', async () => {
    const more = { account: '8', userId: 'vault_8', maxBudget: null, rpmLimit: 5_000 }
    const { status, body } = await create(admin, more)
    expect([status, body.maxBudget, body.rpmLimit]).toEqual([201, null, 5_000])
    expect(await create(admin)).toMatchObject({ status: 422, body: { error: 'bad_key' } })
    const entries = await world.store.operatorLog.entries(1, 100)
    expect(entries.at(-1)).toMatchObject({
      verb: 'keys create',
      who: expect.stringMatching(/^token fm_/),
    })
  })
})

test('a LiteLLM that is down is told, and leaves the wish', async () => {
  const { id } = (await create()).body
  world.down()
  expect(await create(alice, { name: 'b' })).toMatchObject({
    ...{ status: 503, body: { error: 'keys_unreachable' } },
  })
  const changed = await ask('PATCH', `/${id}`, { body: { rpmLimit: 5 } })
  expect(changed).toMatchObject({ status: 200, body: { syncStatus: 'pending', rpmLimit: 5 } })
})

test('without budgets every route says so, to whoever may ask', async () => {
  await server.close()
  server = await serve(false)
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '/sync'],
    ['POST', ''],
    ['DELETE', `/${'f'.repeat(64)}`],
    ['POST', `/${'f'.repeat(64)}/block`],
  ] as const) {
    expect(await ask(method, path)).toMatchObject({ status: 404, body: { error: 'no_budgets' } })
  }
  expect(await ask('GET', '', { token: 'nobody' })).toMatchObject({ status: 401 })
})
