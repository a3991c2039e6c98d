import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Role, Scope } from '../../src/domain/access.js'
import { type Server, startServer } from '../../src/http/server.js'
import { createToken } from '../../src/pipeline/access-tokens.js'
import type { Store } from '../../src/ports/stores.js'
import { BudgetWorld, SETTINGS } from '../support/budget-world.js'
import { ALICE, BOB, newKey } from '../support/keys.js'
import { ManualClock } from '../support/manual-clock.js'
import { quietServerParts } from '../support/quiet-server.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS } from '../support/usage.js'

// Goal: a customer sees how long their own account lasts and nobody else's, and only who may configure
// changes what accounts may use. Method: the real server, with tokens of every role.

const clock = new ManualClock(EVENING_MS)
const ORDER = { by: 'test', reason: 'a test' }
let file: StoreFile
let store: Store
let world: BudgetWorld
let server: Server
let alice: string
let admin: string
beforeEach(async () => {
  file = new StoreFile(clock)
  store = await file.open()
  world = new BudgetWorld(store, clock)
  for (const account of [ALICE, BOB]) {
    await store.keys.add(newKey('laptop', { account }))
    await world.openVault(account, 10n * 10n ** 8n)
  }
  await world.use(ALICE, { tokens: 60_000, startedAtMs: EVENING_MS - 1_800_000 })
  await world.look()
  const budgets = { store, clock, terms: SETTINGS }
  server = await startServer({ ...quietServerParts(store, clock), budgets })
  alice = await tokenOf('execute', [ALICE])
  admin = await tokenOf('configure', 'all')
})
afterEach(async () => {
  await server.close()
  await file.remove()
})

async function tokenOf(role: Role, scope: Scope): Promise<string> {
  const wish = { label: role, role, scope, expiresAtMs: undefined }
  return (await createToken({ store, clock }, wish, ORDER)).token
}

async function ask(method: string, path: string, token = admin, body?: unknown) {
  const answer = await fetch(`${server.url}/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

test('a customer sees their own runway, and of another account not that there is one', async () => {
  const { status, body } = await ask('GET', '/vaults/7/runway', alice)
  expect(status).toBe(200)
  expect(body).toEqual({
    ...{ account: '7', paidFrom: 'vault', currency: 'USD', level: 'warn', available: '9.4' },
    ...{ at: '2026-09-24T20:00:00.000Z', knownUntil: '2026-09-24T20:00:00.000Z' },
    ...{ reserve: body.reserve, exposure: body.exposure, exposureAMinute: body.exposureAMinute },
    ...{ burnPerHour: '0.6', burnWindowS: 3_600, timeLeftS: 56_019, spentToday: '0.6' },
    ...{
      budget: null,
      byokBudget: null,
      tier: null,
      quota: [],
      credits: null,
      holds: [],
      problem: null,
    },
  })
  expect(await ask('GET', '/vaults/8/runway', alice)).toEqual(
    await ask('GET', '/vaults/99/runway', alice),
  )
  expect((await ask('GET', '/vaults/8/runway', alice)).status).toBe(404)
  expect((await ask('GET', '/quotas', alice)).body).toMatchObject({ items: [{ name: 'free' }] })
})

test('nobody but who may configure sees or changes budgets and tiers', async () => {
  const budget = { hard: '1000', soft: '800', days: 30 }
  for (const [method, path, body] of [
    ['GET', '/budgets', undefined],
    ['GET', '/budgets/7', undefined],
    ['PUT', '/budgets/7', budget],
    ['DELETE', '/budgets/7', undefined],
    ['PUT', '/quotas/7', { tier: 'free' }],
    ['DELETE', '/quotas/7', undefined],
  ] as const) {
    expect((await ask(method, path, alice, body)).status, `${method} ${path}`).toBe(403)
  }
  expect(await store.budgetTerms.budget(ALICE)).toBeUndefined()
  const set = await ask('PUT', '/budgets/7', admin, { ...budget, reason: 'new' })
  expect(set).toMatchObject({ status: 200, body: { hard: '1000', soft: '800', spent: '0.6' } })
  expect((await ask('PUT', '/budgets/operator', admin, { hard: '5' })).status).toBe(200)
  expect((await ask('GET', '/budgets?limit=1')).body).toMatchObject({
    items: [{ subject: '7' }],
    next: '7',
  })
  expect((await ask('GET', '/budgets?after=7')).body).toMatchObject({
    items: [{ subject: 'operator' }],
    next: null,
  })
  expect((await ask('PUT', '/quotas/7', admin, { tier: 'free' })).status).toBe(200)
  expect((await ask('DELETE', '/quotas/7')).body).toEqual({ account: '7', tier: null })
  expect((await ask('DELETE', '/budgets/7')).status).toBe(200)
  const log = await store.operatorLog.entries(1, 20)
  const verbs = log.filter(({ verb }) => !verb.startsWith('tokens')).map(({ verb }) => verb)
  const set2 = ['budgets set', 'budgets set', 'quotas set', 'quotas unset', 'budgets unset']
  expect(verbs).toEqual(set2)
})

test('what calls with one’s own provider’s key may cost is a budget of its own, which its customer sees', async () => {
  const set = await ask('PUT', '/budgets/7-byok', admin, {
    hard: '0.3',
    reason: 'a platform share',
  })
  expect(set).toMatchObject({ status: 200, body: { hard: '0.3', spent: null } })
  await world.use(ALICE, { tokens: 30_000, startedAtMs: EVENING_MS - 60_000, model: 'byok/gpt-4' })
  await world.look()
  expect((await ask('GET', '/vaults/7/runway', alice)).body).toMatchObject({
    budget: null,
    byokBudget: { hard: '0.3', spent: '0.3', remaining: '0', level: 'hard' },
    holds: [
      { key: null, reason: 'budget', text: expect.stringContaining('your own provider’s key') },
    ],
  })
  expect((await ask('GET', '/budgets')).body).toMatchObject({ items: [{ subject: '7-byok' }] })
  expect((await ask('GET', '/vaults/8/runway', alice)).status).toBe(404)
  expect((await ask('PUT', '/budgets/7-byok', alice, { hard: '9' })).status).toBe(403)
  expect((await ask('DELETE', '/budgets/7-byok')).status).toBe(200)
  const last = (await store.operatorLog.entries(1, 20)).at(-1)
  expect(last?.arguments).toEqual({
    subject: '7-byok',
    before: '0.3 USD in 30 days',
    after: 'none',
  })
})

test.each([
  ['PUT', '/budgets/99-byok', { hard: '1' }, 404],
  ['PUT', '/budgets/07-byok', { hard: '1' }, 404],
  ['PUT', '/budgets/operator-byok', { hard: '1' }, 404],
  ['PUT', '/budgets/7', { hard: 1000 }, 422],
  ['PUT', '/budgets/7', { hard: '1e3' }, 422],
  ['PUT', '/budgets/7', { hard: '1', sfot: '1' }, 422],
  ['PUT', '/budgets/7', { hard: '1', soft: '2' }, 422],
  ['PUT', '/budgets/7', [], 422],
  ['PUT', '/budgets/007', { hard: '1' }, 404],
  ['PUT', '/budgets/99', { hard: '1' }, 404],
  ['DELETE', '/budgets/7', undefined, 404],
  ['PUT', '/quotas/7', { tier: 'gold' }, 422],
  ['PUT', '/quotas/7', {}, 422],
  ['PUT', '/quotas/7', { tier: 'free', reason: 'two\nlines' }, 422],
  ['GET', '/budgets?after=x', undefined, 400],
] as const)('%s %s %o answers %i and changes nothing', async (method, path, body, status) => {
  expect((await ask(method, path, admin, body)).status).toBe(status)
  expect(await store.budgetTerms.list(undefined, 9)).toEqual([])
  expect(await store.budgetTerms.listTiers(undefined, 9)).toEqual([])
})
