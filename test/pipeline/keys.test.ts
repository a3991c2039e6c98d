import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type KeyLimits, microdollars } from '../../src/domain/key-limits.js'
import { keyIdOf } from '../../src/domain/virtual-key.js'
import {
  adoptKey,
  blockKey,
  deleteKey,
  holdAccount,
  unblockKey,
  updateKey,
} from '../../src/pipeline/change-key.js'
import { createKey, rotateKey } from '../../src/pipeline/make-key.js'
import { CrashPlan } from '../support/crash-plan.js'
import { ALICE, BOB, DEFAULT_LIMITS } from '../support/keys.js'
import { CUSTOMER, KeysWorld, MINUTE_MS, OPERATOR, refusalOf } from '../support/keys-world.js'

const DAY_MS = 86_400_000
const POINTS_MAX = 100

let world: KeysWorld
beforeEach(async () => {
  world = await KeysWorld.start()
})
afterEach(() => world.stop())

const change = <Order extends typeof blockKey>(
  order: Order,
  id: Parameters<Order>[1],
  by = OPERATOR,
) => order(world.parts(), id, by, world.signal)
const rotate = (id: Parameters<typeof rotateKey>[1], by = OPERATOR) =>
  rotateKey(world.parts(), id, by, world.signal)
const update = (id: Parameters<typeof rotateKey>[1], wish: object, by = OPERATOR) =>
  updateKey(world.parts(), { id, wish }, by, world.signal)
const adopt = (named: string, account = ALICE) =>
  adoptKey(world.parts(), { named, account }, OPERATOR, world.signal)

describe('making a key', () => {
  test('hands over a secret that works, with the limits of the settings', async () => {
    const { key, secret } = await world.create('laptop')
    expect(secret).toMatch(/^sk-[\w-]{43}$/)
    expect(key).toMatchObject({
      ...{ id: keyIdOf(secret), alias: 'fm-7-laptop', state: 'wanted', syncStatus: 'synced' },
      ...{ limits: DEFAULT_LIMITS, lastSyncedAtMs: world.clock.now() },
    })
    expect(await world.call(secret)).toBe(200)
    expect(await world.info(key.id)).toMatchObject({ user_id: 'vault_7', max_budget: 10 })
  })

  test('leaves its secret nowhere: not in the store, its journal, the log, nor what is shown', async () => {
    const { secret } = await world.create('laptop')
    const next = await rotate((await world.create('other')).key.id)
    const folder = dirname(world.file.path)
    for (const file of readdirSync(folder)) {
      const content = readFileSync(join(folder, file), 'latin1')
      for (const one of [secret, next.secret]) {
        expect(content.includes(one), file).toBe(false)
        expect(content.includes(one.slice(3)), file).toBe(false)
      }
    }
    expect(readdirSync(folder).length).toBeGreaterThan(1)
    expect(JSON.stringify(await world.log())).not.toContain(secret)
  })

  test('of a held account makes a blocked one', async () => {
    await world.hold()
    const { secret } = await world.create('laptop')
    expect(await world.call(secret)).toBe(401)
    await world.store.holds.lift(ALICE, 'balance')
    await world.sync()
    world.clock.pass(MINUTE_MS)
    expect(await world.call(secret)).toBe(200)
  })

  test.each(['lostRequest', 'lostAnswer'] as const)(
    'goes through one %s: one key, and it works',
    async (kind) => {
      world.fault('/key/generate', kind)
      const { secret } = await world.create('laptop')
      expect(await world.call(secret)).toBe(200)
      expect(await world.idsThere()).toHaveLength(1)
    },
  )

  test.each(['lostRequest', 'lostAnswer'] as const)(
    'that fails for good by %s leaves nothing, and the name is free',
    async (kind) => {
      world.fault('/key/generate', kind, 2)
      expect(await refusalOf(world.create('laptop'))).toBe('keys_unreachable')
      world.up()
      await world.sync()
      expect(await world.idsThere()).toEqual([])
      const { key, secret } = await world.create('laptop')
      expect(key.alias).toBe('fm-7-laptop.2')
      expect(await world.call(secret)).toBe(200)
      expect(await world.store.keys.customersSince(ALICE, 0)).toBe(0)
    },
  )

  test('is refused for what makes no sense, before LiteLLM hears of it', async () => {
    for (const name of ['', 'Laptop', '-a', 'a-', 'a.2', 'a'.repeat(41), 'a b', 'fm-8/x']) {
      expect(await refusalOf(world.create(name)), name).toBe('bad_key')
    }
    for (const limits of [
      ...[{ rpmLimit: -1 }, { tpmLimit: 1.5 }, { budgetDuration: '30 days' }],
      ...[{ maxBudget: microdollars(-1n) }, { models: ['a', 'a'] }, { models: ['a b'] }],
      // LiteLLM fails at the first two, and starts the others anew at midnight.
      ...['2mo', '99999d', '720h', '2592000s', '43200m', '25h'].map((budgetDuration) => ({
        budgetDuration,
      })),
    ]) {
      expect(await refusalOf(world.create('laptop', { limits }))).toBe('bad_key')
    }
    expect(await refusalOf(world.create('laptop', { userId: 'a\nb' }))).toBe('bad_key')
    expect(world.litellm.requests()).toEqual([])
  })

  test('is refused where its usage would be charged to somebody else, or to nobody', async () => {
    const refusal = (userId: string, order = OPERATOR) =>
      world.create('laptop', { userId, order }).catch((error: Error) => error.message)
    expect(await refusal('vault_8')).toBe('user "vault_8" is charged to account 8')
    expect(await refusal('default_user_id')).toContain('is charged to no account')
    expect(await refusal('bob')).toContain('is charged to no account')
    // A customer does not learn whose the user is.
    expect(await refusal('vault_8', CUSTOMER)).toBe('user "vault_8" is not charged to account 7')
    expect(world.litellm.requests()).toEqual([])
  })

  test('of a name that is there is refused, and says how to get a secret', async () => {
    await world.create('laptop')
    expect(await refusalOf(world.create('laptop'))).toBe('key_exists')
    await world.create('laptop', { account: BOB })
  })

  test('that meets an alias of somebody else’s is refused, and takes the next one', async () => {
    await world.byHand('/key/generate', { key_alias: 'fm-7-laptop' })
    expect(await refusalOf(world.create('laptop'))).toBe('key_alias_taken')
    expect((await world.create('laptop')).key.alias).toBe('fm-7-laptop.2')
  })
})

describe('a process that dies while it makes a key', () => {
  /** Every point of a run, until one is not reached. */
  async function atEveryPoint(run: (plan: CrashPlan) => Promise<unknown>, check: () => unknown) {
    for (let point = 0; point < POINTS_MAX; point += 1) {
      const plan = new CrashPlan(point)
      await run(plan).catch((error: unknown) => {
        if (!plan.isCrashed) throw error
      })
      if (!plan.isCrashed) return point
      world.clock.pass(3 * MINUTE_MS)
      await world.sync()
      await check()
      for (const key of await world.store.keys.list({ accounts: 'all', limit: 100 })) {
        await world.store.keys.change(key.id, { state: 'deleted' })
      }
      await world.sync()
      expect(await world.idsThere(), `point ${point}`).toEqual([])
    }
    throw new Error('the run has no end')
  }

  /** What is there is what is wanted, and what is wanted is there. */
  const isWhole = async () => {
    const wanted = await world.store.keys.list({ accounts: 'all', limit: 100 })
    expect((await world.idsThere()).sort()).toEqual(wanted.map(({ id }) => id).sort())
    expect(wanted.map(({ state }) => state)).not.toContain('making')
    for (const { syncStatus, problem } of wanted)
      expect([syncStatus, problem]).toEqual(['synced', undefined])
  }

  test('leaves a key that is handed over or none, wherever it dies', async () => {
    const wish = { account: ALICE, name: 'laptop', userId: 'vault_7', limits: {} }
    const points = await atEveryPoint(
      (plan) => createKey(world.parts(plan), wish, OPERATOR, world.signal),
      isWhole,
    )
    expect(points).toBeGreaterThan(20)
  })

  test('leaves one working key or the other when it rotates, wherever it dies', async () => {
    let made = 0
    const points = await atEveryPoint(
      async (plan) => {
        made += 1
        const { key } = await world.create(`laptop-${made}`)
        await rotateKey(world.parts(plan), key.id, OPERATOR, world.signal)
      },
      async () => {
        await isWhole()
        expect(await world.store.keys.list({ accounts: 'all', limit: 10 })).toHaveLength(1)
      },
    )
    expect(points).toBeGreaterThan(20)
  })

  test('blocks and unblocks in the end, wherever the worker dies', async () => {
    let made = 0
    const points = await atEveryPoint(
      async (plan) => {
        made += 1
        const { key } = await world.create(`laptop-${made}`)
        await world.hold()
        await world.sync(plan)
        expect(await world.isBlocked(key.id)).toBe(true)
      },
      async () => {
        const [key] = await world.store.keys.list({ accounts: 'all', limit: 1 })
        if (key === undefined) throw new Error('the key is gone')
        expect(await world.isBlocked(key.id)).toBe(true)
        await world.store.holds.lift(ALICE, 'balance')
        await world.sync()
        expect(await world.isBlocked(key.id)).toBe(false)
      },
    )
    expect(points).toBeGreaterThan(5)
  })
})

describe('rotating', () => {
  test('puts another key in the place of one, with its limits and what it spent', async () => {
    const wish = { limits: { rpmLimit: 7, models: ['gpt-4o'] } }
    const { key: old, secret } = await world.create('laptop', wish)
    expect(await world.call(secret)).toBe(200)
    const { spend } = await world.info(old.id)
    const next = await rotate(old.id)
    expect(next.key).toMatchObject({
      ...{ alias: 'fm-7-laptop.2', name: 'laptop', limits: old.limits, replaces: old.id },
    })
    expect([await world.call(secret), await world.call(next.secret)]).toEqual([401, 200])
    expect(spend).toBeGreaterThan(0)
    expect((await world.info(next.key.id)).spend).toBeGreaterThanOrEqual(Number(spend))
    expect(await world.idsThere()).toEqual([next.key.id])
    expect(await refusalOf(rotate(old.id))).toBe('no_key')
  })

  test('that fails leaves the old key as it is', async () => {
    const { key, secret } = await world.create('laptop')
    world.fault('/key/generate', 'lostAnswer', 2)
    expect(await refusalOf(rotate(key.id))).toBe('keys_unreachable')
    world.up()
    await world.sync()
    expect(await world.call(secret)).toBe(200)
    expect(await world.idsThere()).toEqual([key.id])
  })

  test('twice at once gives one key', async () => {
    const { key } = await world.create('laptop')
    const results = await Promise.allSettled([rotate(key.id), rotate(key.id)])
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    world.clock.pass(3 * MINUTE_MS)
    await world.sync()
    expect(await world.idsThere()).toHaveLength(1)
  })

  test('a lost key gives a new secret', async () => {
    const { key } = await world.create('laptop')
    await world.byHand('/key/delete', { keys: [key.id] })
    const next = await rotate(key.id)
    expect(await world.call(next.secret)).toBe(200)
  })

  test('is no way out of a block', async () => {
    const { key: held } = await world.create('held')
    await change(blockKey, held.id)
    const { key: foreign } = await world.create('foreign')
    await world.byHand('/key/block', { key: foreign.id })
    for (const by of [OPERATOR, CUSTOMER]) {
      expect(await refusalOf(rotate(held.id, by))).toBe('key_blocked')
      expect(await refusalOf(rotate(foreign.id, by))).toBe('key_blocked')
    }
    const { key } = await world.create('dry')
    await world.hold()
    expect(await world.call((await rotate(key.id)).secret)).toBe(401)
  })

  test('is no way out of a block that comes while the new key is being made', async () => {
    const { key } = await world.create('laptop')
    const parts = world.parts()
    const gateway = new Proxy(parts.gateway, {
      get(target, name) {
        const method: unknown = Reflect.get(target, name)
        if (typeof method !== 'function') return method
        return async (...asked: unknown[]) => {
          if (name === 'create') await change(blockKey, key.id)
          return Reflect.apply(method, target, asked)
        }
      },
    })
    const rotated = rotateKey({ ...parts, gateway }, key.id, CUSTOMER, world.signal)
    expect(await refusalOf(rotated)).toBe('key_blocked')
    await world.sync()
    expect(await world.idsThere()).toEqual([key.id])
    expect(await world.isBlocked(key.id)).toBe(true)
  })

  test('takes along what holds this key alone, but for what its owner said', async () => {
    const { key } = await world.create('laptop')
    const untilMs = world.clock.now() + 5 * MINUTE_MS
    const used = { account: ALICE, key: key.id, reason: 'quota', text: 'used up', untilMs } as const
    await world.store.holds.place(used)
    await change(blockKey, key.id, CUSTOMER)
    const next = await rotate(key.id, CUSTOMER)
    expect(await world.call(next.secret)).toBe(401)
    const holds = await world.store.holds.of(ALICE)
    const ofNext = holds.filter((hold) => hold.key === next.key.id)
    expect(ofNext).toEqual([{ ...used, key: next.key.id, sinceMs: world.clock.now() }])
  })
})

describe('a hostile customer', () => {
  const create = (name: string, limits = {}) => world.create(name, { order: CUSTOMER, limits })

  test.each<[string, Partial<KeyLimits>]>([
    ['a higher budget', { maxBudget: microdollars(10_000_001n) }],
    ['no budget', { maxBudget: null }],
    ['a budget of a second', { budgetDuration: '1s' }],
    ['a budget that is a day shorter', { budgetDuration: '29d' }],
    ['more requests', { rpmLimit: 101 }],
    ['any requests', { rpmLimit: null }],
    ['more tokens', { tpmLimit: 10_001 }],
    ['any tokens', { tpmLimit: null }],
  ])('gets no more than the account may have: %s', async (_what, limits) => {
    expect(await refusalOf(create('laptop', limits))).toBe('above_ceiling')
    const { key } = await create('laptop')
    expect(await refusalOf(update(key.id, limits, CUSTOMER))).toBe('above_ceiling')
    expect(await world.info(key.id)).toMatchObject({ max_budget: 10, budget_duration: '30d' })
    expect(await update(key.id, limits)).toMatchObject({ limits })
  })

  test('gets no model but those of the account', async () => {
    world.ceiling = { ...DEFAULT_LIMITS, models: ['small', 'tiny'] }
    const { key } = await create('laptop')
    expect(key.limits.models).toEqual(['small', 'tiny'])
    for (const models of [[], ['large'], ['small', 'large'], ['*'], ['all-proxy-models']]) {
      expect(await refusalOf(update(key.id, { models }, CUSTOMER))).toBe('above_ceiling')
    }
    expect(await update(key.id, { models: ['tiny'] }, CUSTOMER)).toMatchObject({
      limits: { models: ['tiny'] },
    })
  })

  test('may lower, and keeps what an operator gave as long as it is not touched', async () => {
    const { key } = await create('laptop')
    await update(key.id, { rpmLimit: 500 })
    const lowered = await update(key.id, { tpmLimit: 5 }, CUSTOMER)
    expect(lowered.limits).toMatchObject({ rpmLimit: 500, tpmLimit: 5 })
    expect(await update(key.id, { rpmLimit: 50 }, CUSTOMER)).toMatchObject({
      limits: { rpmLimit: 50 },
    })
    expect(await refusalOf(update(key.id, { rpmLimit: 500 }, CUSTOMER))).toBe('above_ceiling')
  })

  test('stays below the ceiling with a key whose budget lasts for what is no time here', async () => {
    const { key } = await create('laptop')
    const limits = { ...key.limits, maxBudget: microdollars(100_000_000n), budgetDuration: '1w' }
    await world.store.keys.change(key.id, { limits }) // As a gateway had it before it was adopted.
    const sooner = update(key.id, { budgetDuration: '1s' }, CUSTOMER)
    expect(await refusalOf(sooner)).toBe('above_ceiling')
    expect(await update(key.id, { rpmLimit: 5 }, CUSTOMER)).toMatchObject({
      limits: { budgetDuration: '1w', rpmLimit: 5 },
    })
  })

  test('gets no budget that is made of an operator’s and their own', async () => {
    const budget = (dollars: bigint) => microdollars(dollars * 1_000_000n)
    const { key } = await create('laptop')
    await update(key.id, { maxBudget: budget(1n), budgetDuration: '1d' })
    const tenADay = update(key.id, { maxBudget: budget(10n) }, CUSTOMER)
    expect(await refusalOf(tenADay)).toBe('above_ceiling')
    await update(key.id, { maxBudget: budget(100n), budgetDuration: '365d' })
    const hundredAMonth = update(key.id, { budgetDuration: '30d' }, CUSTOMER)
    expect(await refusalOf(hundredAMonth)).toBe('above_ceiling')
    const half = { maxBudget: budget(50n) }
    expect(await update(key.id, half, CUSTOMER)).toMatchObject({ limits: half })
    const own = { maxBudget: budget(10n), budgetDuration: '30d' }
    expect(await update(key.id, own, CUSTOMER)).toMatchObject({ limits: own })
  })

  test('gets no fresh budget by deleting and making again, nor by asking at once', async () => {
    const asked = await Promise.allSettled(['a', 'b', 'c', 'd', 'e'].map((name) => create(name)))
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
    const [key] = await world.store.keys.list({ accounts: [ALICE], limit: 1 })
    if (key === undefined) throw new Error('there is no key')
    // In the middle of the second time of its budget: the time counts from here.
    world.clock.pass(45 * DAY_MS)
    await change(deleteKey, key.id, CUSTOMER)
    world.clock.pass(30 * DAY_MS)
    expect(await refusalOf(create('f'))).toBe('too_many_keys')
    world.clock.pass(1)
    await create('f')
    expect(await refusalOf(create('g'))).toBe('too_many_keys')
    await world.create('operators')
  })

  test('makes and rotates so often in an hour, and no more: limits a minute begin anew by it', async () => {
    let { key } = await create('laptop')
    for (let made = 1; made < 10; made += 1) ({ key } = await rotate(key.id, CUSTOMER))
    expect(await refusalOf(rotate(key.id, CUSTOMER))).toBe('made_too_often')
    expect(await refusalOf(create('other'))).toBe('made_too_often')
    await rotate(key.id)
    await world.create('laptop', { account: BOB, order: CUSTOMER })
    world.clock.pass(60 * MINUTE_MS + 1)
    await create('other')
  })

  test('rotates, and stays where they are', async () => {
    let { key } = await create('laptop')
    for (let times = 0; times < 5; times += 1) ({ key } = await rotate(key.id, CUSTOMER))
    expect(await world.store.keys.customersSince(ALICE, 0)).toBe(1)
    expect(await world.idsThere()).toEqual([key.id])
  })

  test('gets no key in place of one that the operator blocked, here or in LiteLLM', async () => {
    const { key: one } = await create('one')
    await change(blockKey, one.id)
    expect(await refusalOf(create('two'))).toBe('account_blocked')
    expect(await refusalOf(change(deleteKey, one.id, CUSTOMER))).toBe('key_blocked')
    expect(await refusalOf(change(unblockKey, one.id, CUSTOMER))).toBe('not_held')
    await change(unblockKey, one.id)

    await world.byHand('/key/block', { key: one.id })
    expect(await refusalOf(change(deleteKey, one.id, CUSTOMER))).toBe('key_blocked')
    world.clock.pass(5 * MINUTE_MS)
    await world.sync()
    expect(await refusalOf(create('two'))).toBe('account_blocked')
    await world.byHand('/key/unblock', { key: one.id })
    world.clock.pass(5 * MINUTE_MS)
    await world.sync()
    await create('two')

    await holdAccount(world.store, ALICE, true, OPERATOR)
    expect(await refusalOf(create('three'))).toBe('account_blocked')
  })
})

describe('blocking', () => {
  test('a customer blocks a key of theirs, and unblocks it; an operator may, too', async () => {
    const { key, secret } = await world.create('laptop')
    await change(blockKey, key.id, CUSTOMER)
    expect(await world.call(secret)).toBe(401)
    await change(unblockKey, key.id, CUSTOMER)
    expect(await world.isBlocked(key.id)).toBe(false)
    await change(blockKey, key.id, CUSTOMER)
    await change(unblockKey, key.id)
    expect(await world.isBlocked(key.id)).toBe(false)
    expect(await refusalOf(change(unblockKey, key.id))).toBe('not_held')
  })

  test('lifting one hold leaves the others', async () => {
    const { key } = await world.create('laptop')
    await change(blockKey, key.id)
    await world.hold()
    await change(unblockKey, key.id)
    expect(await world.isBlocked(key.id)).toBe(true)
  })

  test('of an account reaches all of its keys, and those made later', async () => {
    const { key } = await world.create('laptop')
    const { key: bobs } = await world.create('laptop', { account: BOB })
    expect(await holdAccount(world.store, ALICE, true, OPERATOR)).toBe(true)
    expect(await holdAccount(world.store, ALICE, true, OPERATOR)).toBe(false)
    await world.sync()
    const { key: later } = await world.create('later')
    const blocked = await Promise.all([key, bobs, later].map(({ id }) => world.isBlocked(id)))
    expect(blocked).toEqual([true, false, true])
    expect(await holdAccount(world.store, ALICE, false, OPERATOR)).toBe(true)
    await world.sync()
    expect(await world.isBlocked(key.id)).toBe(false)
  })
})

describe('adopting', () => {
  test('a key with the alias of one that was managed before is refused, in words', async () => {
    await byHand({ key_alias: 'bobs' })
    const { id } = await adopt('bobs')
    await change(deleteKey, id)
    await byHand({ key_alias: 'bobs' })
    expect(await refusalOf(adopt('bobs'))).toBe('key_alias_taken')
  })

  test('a key that has the name of ours takes it, and the next gets another', async () => {
    await byHand({ key_alias: 'fm-7-laptop' })
    await adopt('fm-7-laptop')
    const { key } = await world.create('laptop')
    expect(key.alias).toBe('fm-7-laptop.2')
  })

  const byHand = async (more: object) =>
    (await world.byHand('/key/generate', { user_id: 'vault_7', ...more })) as {
      token_id: string
      key: string
    }

  test.each(['alias', 'hash'])(
    'by its %s takes a key as it is, and changes nothing',
    async (by) => {
      const limits = { max_budget: 3.25, rpm_limit: 9, models: ['m'], metadata: { team: 'blue' } }
      const { token_id, key } = await byHand({ key_alias: 'bobs', ...limits })
      const before = await world.info(token_id as never)
      expect(await adopt(by === 'alias' ? 'bobs' : token_id)).toMatchObject({
        ...{ id: token_id, name: 'bobs', syncStatus: 'synced', state: 'wanted' },
        limits: {
          maxBudget: 3_250_000n,
          budgetDuration: null,
          rpmLimit: 9,
          tpmLimit: null,
          models: ['m'],
        },
      })
      expect(await world.info(token_id as never)).toEqual(before)
      await world.hold()
      await world.sync()
      expect(await world.call(key)).toBe(401)
      expect(await refusalOf(adopt('bobs'))).toBe('key_exists')
    },
  )

  test('leaves a block that it has', async () => {
    const { token_id } = await byHand({ key_alias: 'bobs', blocked: true })
    expect(await adopt('bobs')).toMatchObject({ seen: { isForeignBlock: true } })
    await world.hold()
    await world.sync()
    await world.store.holds.lift(ALICE, 'balance')
    await world.sync()
    expect(await world.isBlocked(token_id as never)).toBe(true)
  })

  test('is refused for what is not there, not ours, or not exact', async () => {
    expect(await refusalOf(adopt('nothing'))).toBe('key_unknown')
    await byHand({ key_alias: 'eve', user_id: 'vault_8' })
    expect(await refusalOf(adopt('eve'))).toBe('wrong_account')
    await byHand({ key_alias: 'float', max_budget: 0.1 + 0.2 })
    expect(await refusalOf(adopt('float'))).toBe('bad_key')
  })

  test('without an alias gives it a name, and it can be rotated', async () => {
    const { token_id } = await byHand({})
    const adopted = await adopt(token_id)
    expect(adopted.name).toBe(`adopted-${token_id.slice(0, 8)}`)
    expect((await rotate(adopted.id)).key.alias).toBe(`fm-7-${adopted.name}.2`)
  })
})

test('every change is in the operators’ log: who, what, before and after', async () => {
  const { key } = await world.create('laptop')
  await update(key.id, { rpmLimit: 5 }, CUSTOMER)
  await update(key.id, { rpmLimit: 5 }, CUSTOMER)
  await change(blockKey, key.id)
  await change(blockKey, key.id)
  await change(unblockKey, key.id)
  const { key: next } = await rotate(key.id)
  await change(deleteKey, next.id)
  await change(deleteKey, next.id)
  const which = { key: key.id, alias: 'fm-7-laptop', account: '7' }
  const full = '$10 per 30d, 100 rpm, 10000 tpm, any model'
  const lowered = '$10 per 30d, 5 rpm, 10000 tpm, any model'
  const all = (await world.log()).map(({ verb, arguments: args }) => ({ verb, ...args }))
  expect(all).toEqual([
    { verb: 'keys create', ...which, before: 'none', after: `user vault_7, ${full}` },
    { verb: 'keys update', ...which, before: full, after: lowered },
    { verb: 'keys block', ...which, before: 'not held', after: 'held by operator' },
    { verb: 'keys unblock', ...which, before: 'held', after: 'not held' },
    { verb: 'keys rotate', ...which, before: `key ${key.id}`, after: `key ${next.id}` },
    {
      ...{ verb: 'keys delete', ...which, key: next.id, alias: 'fm-7-laptop.2' },
      ...{ before: `user vault_7, ${lowered}`, after: 'deleted' },
    },
  ])
  expect(await world.store.operatorLog.entries(2, 1)).toMatchObject([{ who: CUSTOMER.by }])
})
