import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { microdollars } from '../../src/domain/key-limits.js'
import { updateKey } from '../../src/pipeline/change-key.js'
import { ALICE, DEFAULT_LIMITS, newKey } from '../support/keys.js'
import { KeysWorld, MINUTE_MS, OPERATOR, refusalOf } from '../support/keys-world.js'

// Goal: LiteLLM becomes what is wanted, whatever happens on the way, and what others do there stays.
// Method: the stand-in over HTTP, with a clock that both share.

let world: KeysWorld
beforeEach(async () => {
  world = await KeysWorld.start()
})
afterEach(() => world.stop())

describe('limits', () => {
  test('that somebody changed in LiteLLM are set again', async () => {
    const { key } = await world.create('laptop')
    await world.byHand('/key/update', { key: key.id, max_budget: 1_000, rpm_limit: null })
    await world.byHand('/key/update', { key: key.id, models: ['x'], user_id: 'mallory' })
    world.clock.pass(5 * MINUTE_MS)
    await world.sync()
    expect(await world.info(key.id)).toMatchObject({
      ...{ max_budget: 10, rpm_limit: 100, models: [], user_id: 'vault_7' },
    })
    expect(await world.key(key.id)).toMatchObject({ syncStatus: 'synced', failures: 0 })
  })

  test('that differ only in the order of models are left alone', async () => {
    const limits = { models: ['a', 'b'] }
    const { key } = await world.create('laptop', { limits })
    await world.byHand('/key/update', { key: key.id, models: ['b', 'a'] })
    const before = (await world.info(key.id)).updated_at
    world.clock.pass(5 * MINUTE_MS)
    await world.sync()
    expect((await world.info(key.id)).updated_at).toBe(before)
  })

  test('do not start a budget anew where another one changes', async () => {
    const { key } = await world.create('laptop')
    const before = (await world.info(key.id)).budget_reset_at
    world.clock.pass(MINUTE_MS)
    const change = { id: key.id, wish: { rpmLimit: 5 } }
    await updateKey(world.parts(), change, OPERATOR, world.signal)
    expect(await world.info(key.id)).toMatchObject({ budget_reset_at: before, rpm_limit: 5 })
  })

  test('that LiteLLM takes and does not keep have failed, are told, and are tried again', async () => {
    const { key } = await world.create('laptop')
    // It answers as if it had done it, and has not.
    world.litellm.addFault({
      ...{ kind: 'answer', status: 200, body: {}, path: '/key/update', times: 2 },
    })
    const wish = { maxBudget: microdollars(5_000_000n) }
    const told = await updateKey(world.parts(), { id: key.id, wish }, OPERATOR, world.signal)
    expect(told).toMatchObject({ syncStatus: 'failed', failures: 1, limits: wish })
    expect(told.problem).toBe(
      'the gateway was told and shows otherwise: maxBudget (a budget of 10)',
    )
    await world.sync()
    expect(await world.key(key.id)).toMatchObject({ failures: 1 })
    world.clock.pass(5_000)
    await world.sync()
    expect(await world.key(key.id)).toMatchObject({ failures: 2 })
    world.clock.pass(10_000)
    await world.sync()
    expect(await world.key(key.id)).toMatchObject({ syncStatus: 'synced', failures: 0 })
    expect(await world.info(key.id)).toMatchObject({ max_budget: 5 })
  })

  test('that LiteLLM refuses keep no other key from being looked at, and no block', async () => {
    const [bad, good] = [await world.create('bad'), await world.create('good')]
    const refused = { kind: 'answer', status: 422, body: { detail: [] } } as const
    await world.store.keys.change(bad.key.id, { limits: { ...DEFAULT_LIMITS, rpmLimit: 1 } })
    await world.hold()
    world.proxy.faultOf = ({ path, body }) =>
      path === '/key/update' && body.includes('rpm_limit')
        ? { ...refused, body: '{"detail":[]}' }
        : undefined
    await world.sync()
    expect(await world.key(bad.key.id)).toMatchObject({ syncStatus: 'failed' })
    expect(await world.isBlocked(bad.key.id)).toBe(true)
    expect(await world.key(good.key.id)).toMatchObject({ syncStatus: 'synced' })
    expect(await world.isBlocked(good.key.id)).toBe(true)
  })
})

describe('a LiteLLM that is down', () => {
  test('costs no wish: all of it is applied later, in the newest form', async () => {
    const [a, b] = [await world.create('a'), await world.create('b')]
    world.down()
    const update = (rpmLimit: number) =>
      updateKey(world.parts(), { id: a.key.id, wish: { rpmLimit } }, OPERATOR, world.signal)
    expect(await update(50)).toMatchObject({ syncStatus: 'pending', limits: { rpmLimit: 50 } })
    await update(40)
    await world.store.keys.change(b.key.id, { state: 'deleted' })
    await world.hold()
    expect(await refusalOf(world.sync())).toBe('keys_unreachable')
    expect(await world.key(a.key.id)).toMatchObject({ syncStatus: 'pending', failures: 0 })
    world.up()
    world.clock.pass(MINUTE_MS)
    await world.sync()
    expect(await world.info(a.key.id)).toMatchObject({ rpm_limit: 40, blocked: true })
    expect(await world.idsThere()).toEqual([a.key.id])
    expect(await world.key(b.key.id)).toMatchObject({
      syncStatus: 'synced',
      nextTryAtMs: undefined,
    })
  })

  test('gets few questions, however many keys wait', async () => {
    for (let i = 0; i < 30; i += 1) await world.store.keys.add(newKey(`k${i}`))
    world.down()
    for (let i = 0; i < 5; i += 1) expect(await refusalOf(world.sync())).toBe('keys_unreachable')
    expect(world.proxy.struck.get('lostRequest')).toBe(5)
  })

  // A simulation found it: a key that was answered with 500 for a while rested for ten minutes more.
  test('answers 500 for hours: a block comes at most 15 s after it works again', async () => {
    const { key } = await world.create('laptop')
    await world.hold()
    world.proxy.faultOf = () => ({ kind: 'answer', status: 500, body: '{}' })
    for (let tries = 0; tries < 12; tries += 1) {
      await world.sync()
      world.clock.pass(15_000)
    }
    await world.sync()
    expect((await world.key(key.id)).failures).toBeGreaterThan(10)
    world.up()
    world.clock.pass(15_000)
    await world.sync()
    expect(await world.isBlocked(key.id)).toBe(true)
  })

  test.each([
    [{ kind: 'keyGone' }, 'keys_refused'],
    [{ kind: 'wrongRole' }, 'keys_role'],
    [{ kind: 'noDatabase' }, 'keys_no_database'],
  ] as const)('%j stops the worker and fails no key', async (fault, code) => {
    const { key } = await world.create('laptop')
    await world.hold()
    const lift = world.litellm.addFault({ ...fault, times: Number.POSITIVE_INFINITY })
    // A role shows itself where something is to be changed.
    expect(await refusalOf(world.sync())).toBe(code)
    expect(await world.key(key.id)).toMatchObject({ syncStatus: 'pending', failures: 0 })
    lift()
    await world.sync()
    expect(await world.isBlocked(key.id)).toBe(true)
  })
})

describe('blocks', () => {
  test('follow the holds of the account, and work again when the last is lifted', async () => {
    const { key, secret } = await world.create('laptop')
    await world.hold()
    const quota = { account: ALICE, key: undefined, reason: 'quota', text: 'used up' } as const
    await world.store.holds.place({ ...quota, untilMs: world.clock.now() + 10 * MINUTE_MS })
    await world.sync()
    expect(await world.call(secret)).toBe(401)
    expect(await world.key(key.id)).toMatchObject({
      ...{ syncStatus: 'synced', seen: { isBlocked: true, isForeignBlock: false } },
    })
    await world.store.holds.lift(ALICE, 'balance')
    await world.sync()
    expect(await world.isBlocked(key.id)).toBe(true)
    world.clock.pass(10 * MINUTE_MS)
    await world.sync()
    expect(await world.isBlocked(key.id)).toBe(false)
    expect((await world.info(key.id)).metadata).toEqual({})
    world.clock.pass(MINUTE_MS)
    expect(await world.call(secret)).toBe(200)
  })

  test('of the operator stay, whatever our holds do, and are shown as such', async () => {
    const { key } = await world.create('laptop')
    await world.byHand('/key/block', { key: key.id })
    await world.hold()
    await world.sync()
    await world.store.holds.lift(ALICE, 'balance')
    await world.sync()
    expect(await world.isBlocked(key.id)).toBe(true)
    expect(await world.key(key.id)).toMatchObject({
      ...{ syncStatus: 'synced', seen: { isBlocked: true, isForeignBlock: true } },
    })
    await world.byHand('/key/unblock', { key: key.id })
    world.clock.pass(5 * MINUTE_MS)
    await world.sync()
    expect((await world.key(key.id)).seen).toMatchObject({ isForeignBlock: false })
  })

  test('that the operator lifts while our hold stands are set again, and that is told', async () => {
    const { key } = await world.create('laptop')
    await world.hold()
    await world.sync()
    await world.byHand('/key/unblock', { key: key.id })
    world.clock.pass(MINUTE_MS)
    await world.sync()
    expect(await world.isBlocked(key.id)).toBe(true)
    expect(world.told).toEqual([
      'fm-7-laptop: somebody unblocked it at the gateway while a hold stands: it is blocked again',
    ])
  })

  test('that the operator lifts and sets again, after our reason ended, are theirs', async () => {
    const { key } = await world.create('laptop')
    await world.hold()
    await world.sync()
    await world.byHand('/key/unblock', { key: key.id })
    await world.store.holds.lift(ALICE, 'balance')
    await world.sync()
    await world.byHand('/key/block', { key: key.id })
    world.clock.pass(10 * MINUTE_MS)
    await world.sync()
    expect(await world.isBlocked(key.id)).toBe(true)
  })

  test('keep what operators wrote into the metadata of a key', async () => {
    const { key } = await world.create('laptop')
    await world.byHand('/key/update', { key: key.id, metadata: { team: 'blue' } })
    await world.hold()
    await world.sync()
    expect((await world.info(key.id)).metadata).toMatchObject({ team: 'blue' })
    await world.store.holds.lift(ALICE, 'balance')
    await world.sync()
    expect((await world.info(key.id)).metadata).toEqual({ team: 'blue' })
  })

  test('hold a key that an old copy in memory served again', async () => {
    const { key, secret } = await world.create('laptop')
    await world.litellm.addReplica()
    const other = { key: secret, model: 'gpt-4o', replica: 1 }
    expect(world.litellm.call(other)).toBe(200)
    await world.hold()
    await world.sync()
    expect(await world.call(secret)).toBe(401)
    world.clock.pass(50_000)
    // The other proxy still has it in memory, and gives that back to all.
    expect(world.litellm.call({ ...other, isStaleWriter: true })).toBe(200)
    expect(await world.isBlocked(key.id)).toBe(true)
    expect(await world.call(secret)).toBe(200)
    world.clock.pass(10_000)
    await world.sync()
    expect(world.told).toEqual([
      'fm-7-laptop: it was used although it is blocked: it is blocked once more',
    ])
    expect(await world.call(secret)).toBe(401)
  })
})

describe('what LiteLLM lost', () => {
  test('is told, and is not made again without its secret', async () => {
    const { key } = await world.create('laptop')
    await world.byHand('/key/delete', { keys: [key.id] })
    world.clock.pass(5 * MINUTE_MS)
    await world.sync()
    const { syncStatus, problem } = await world.key(key.id)
    expect(syncStatus).toBe('failed')
    expect(problem).toContain('somebody deleted it at the gateway')
    expect(await world.idsThere()).toEqual([])
  })

  test('a key whose user is charged to somebody else by now is told, too', async () => {
    await world.store.directory.set('team-a', ALICE)
    const { key } = await world.create('laptop', { userId: 'team-a' })
    await world.store.directory.set('team-a', 8n as typeof ALICE)
    world.clock.pass(5 * MINUTE_MS)
    await world.sync()
    expect(await world.key(key.id)).toMatchObject({
      ...{ syncStatus: 'failed', problem: 'user "team-a" is charged to account 8' },
    })
  })

  test('keys of another gateway are left alone, and told', async () => {
    await world.store.keys.add(newKey('elsewhere', { gateway: 'other' }))
    await world.sync()
    const [key] = await world.store.keys.list({ accounts: 'all', limit: 1 })
    expect(key).toMatchObject({ syncStatus: 'failed' })
    expect(key?.problem).toContain('it belongs to source other')
  })
})
