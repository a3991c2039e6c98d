import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { byokOf } from '../../src/domain/budget-subject.js'
import { RetryableError } from '../../src/domain/errors.js'
import { accountNumber, modelId } from '../../src/domain/ids.js'
import { microdollars } from '../../src/domain/key-limits.js'
import { millicredits } from '../../src/domain/ledger.js'
import { parseWad, wad } from '../../src/domain/money.js'
import { NO_QUOTA } from '../../src/domain/quota.js'
import { setBudget } from '../../src/pipeline/budget-orders.js'
import { grantCredits } from '../../src/pipeline/charge-credits.js'
import { shownBudget } from '../../src/pipeline/shown-budgets.js'
import type { Store } from '../../src/ports/stores.js'
import { BudgetWorld, FLAT_PLAN, FREE_TIER, SETTINGS } from '../support/budget-world.js'
import { Crash, CrashPlan } from '../support/crash-plan.js'
import { ALICE, BOB, newKey } from '../support/keys.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS } from '../support/usage.js'

// A thousand tokens are a cent, a token on Flow is worth one dollar.
const DOLLAR = 10n ** 8n
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

let file: StoreFile
let clock: ManualClock
let world: BudgetWorld

beforeEach(async () => {
  clock = new ManualClock(EVENING_MS)
  file = new StoreFile(clock)
  world = new BudgetWorld(await file.open(), clock)
  await world.store.keys.add(newKey('laptop'))
  await world.openVault(ALICE, 10n * DOLLAR)
})
afterEach(() => file.remove())

describe('a vault', () => {
  test('with funds has working keys, and says how long they last', async () => {
    await world.use(ALICE, { tokens: 60_000, startedAtMs: EVENING_MS - 30 * MINUTE_MS })
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    const { runway, spent, currency } = await world.state(ALICE)
    expect(currency).toBe('USD')
    expect(spent).toBe(parseWad('0.6'))
    expect(runway).toMatchObject({ available: parseWad('9.4'), level: 'warn' })
    expect(runway.burn).toEqual({ cost: parseWad('0.6'), windowMs: HOUR_MS })
    // 9.4 less the reserve, which is 380 s at 0.6 an hour and rounded up; then rounded down.
    expect(runway.timeLeftMs).toBe(56_019_999)
  })

  test('that runs dry holds its keys: usage counts before it is sealed, sealed, and charged', async () => {
    await world.use(ALICE, { tokens: 990_000, startedAtMs: EVENING_MS - 3 * HOUR_MS })
    await world.look()
    expect((await world.state(ALICE)).runway.available).toBe(parseWad('0.1'))
    expect(await world.reasons(ALICE)).toEqual([])
    await world.use(ALICE, { tokens: 6_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    for (const then of [() => world.seal(), () => world.settle(false), () => world.settle()]) {
      await world.look()
      expect((await world.state(ALICE)).runway.available).toBe(parseWad('0.04'))
      expect(await world.reasons(ALICE)).toEqual(['balance'])
      await then()
    }
    await world.look()
    const state = await world.state(ALICE)
    expect(state.runway.available).toBe(parseWad('0.04'))
    expect(state.spent).toBe(parseWad('9.96'))
    const [hold] = await world.store.holds.of(ALICE)
    expect(hold?.text).toBe(
      '0.04 USD are left and 0.05 are kept back for calls that are on their way: ' +
        'deposit more than 0.01 USD',
    )
  })

  test('goes on after a deposit, at the next look, but not after one that is too small', async () => {
    await world.use(ALICE, { tokens: 1_000_000, startedAtMs: EVENING_MS - 3 * HOUR_MS })
    await world.look()
    world.flow.deposit(ALICE, DOLLAR / 20n)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['balance'])
    world.flow.deposit(ALICE, 1n)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
  })

  test('that was blocked at a fast pace is not let go on because it is quiet since', async () => {
    await world.use(ALICE, { tokens: 900_000, startedAtMs: EVENING_MS - 10 * MINUTE_MS })
    await world.look()
    expect((await world.state(ALICE)).runway.reserve).toBe(parseWad('0.95'))
    await world.use(ALICE, { tokens: 10_000 })
    clock.pass(1_000)
    await world.collect([])
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['balance'])
    clock.pass(5 * HOUR_MS)
    await world.collect([])
    world.restart()
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['balance'])
    world.flow.deposit(ALICE, DOLLAR)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
  })

  test('keeps back more the longer nothing is known of its usage', async () => {
    await world.use(ALICE, { tokens: 600_000, startedAtMs: EVENING_MS - 20 * MINUTE_MS })
    await world.look()
    const soon = (await world.state(ALICE)).runway
    expect(soon.reserve).toBe((parseWad('6') * 380n) / 3_600n + 1n)
    clock.pass(30 * MINUTE_MS)
    await world.look()
    const { reserve, level, exposure } = (await world.state(ALICE)).runway
    expect(reserve > soon.reserve + parseWad('3') - 10n).toBe(true)
    expect(level).toBe('soft')
    expect(exposure !== undefined && soon.exposure !== undefined && exposure >= soon.exposure).toBe(
      true,
    )
    clock.pass(15 * MINUTE_MS)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['balance'])
    await world.collect([])
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
  })

  test('that does not exist, or is closed, pays nothing', async () => {
    await world.store.keys.add(newKey('laptop', { account: BOB }))
    await world.look()
    expect(await world.reasons(BOB)).toEqual(['balance'])
    await world.openVault(BOB, DOLLAR)
    await world.look()
    expect(await world.reasons(BOB)).toEqual([])
    await world.saveView(world.vaults.map((vault) => ({ ...vault, isOpen: vault.account !== BOB })))
    await world.look()
    expect((await world.store.holds.of(BOB))[0]?.text).toMatch(/vault is closed/)
    expect(await world.reasons(ALICE)).toEqual([])
  })
})

describe('what others hold', () => {
  test.each(['operator', 'owner'] as const)('by %s is never lifted', async (reason) => {
    const { holds } = world.store
    await holds.place({
      ...{ account: ALICE, reason, key: undefined },
      text: 'x',
      untilMs: undefined,
    })
    await world.look()
    world.flow.deposit(ALICE, DOLLAR)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([reason])
  })
})

describe('while Flow is silent', () => {
  test('funds last seen are set against usage that is known: a block comes, none is lifted', async () => {
    await world.look()
    world.flow.isDown = true
    await world.use(ALICE, { tokens: 996_000, startedAtMs: EVENING_MS - 3 * HOUR_MS })
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['balance'])
    expect((await world.state(ALICE)).problem).toMatch(/since 2026-09-24T20:00:00/)
    world.flow.deposit(ALICE, 100n * DOLLAR)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['balance'])
    world.flow.isDown = false
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    expect((await world.state(ALICE)).problem).toBeUndefined()
  })

  test('what was settled before and after the last reading is counted once', async () => {
    await world.use(ALICE, { tokens: 100_000, startedAtMs: EVENING_MS - 3 * HOUR_MS })
    await world.seal()
    await world.look()
    await world.settle()
    world.flow.isDown = true
    await world.use(ALICE, { tokens: 50_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    await world.look()
    const state = await world.state(ALICE)
    expect(state.spent).toBe(parseWad('1.5'))
    expect(state.runway.available).toBe(parseWad('8.5'))
  })

  test('of an account that was never seen nothing is said, and nothing is done', async () => {
    world.flow.isDown = true
    await world.look()
    expect(await world.store.runways.of([ALICE])).toEqual([])
    expect(await world.reasons(ALICE)).toEqual([])
  })

  test('a token without a price is the same', async () => {
    await world.use(ALICE, { tokens: 1_000_000, startedAtMs: EVENING_MS - 3 * HOUR_MS })
    await world.look()
    await world.store.watch.savePrices([{ token: 'T', currency: 'USD', price: undefined }])
    world.flow.deposit(ALICE, 100n * DOLLAR)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['balance'])
  })
})

describe('a budget', () => {
  const budget = {
    ...{ hard: parseWad('3'), soft: parseWad('2'), currency: 'USD', days: 30 },
    fromDay: Math.floor(EVENING_MS / DAY_MS) - 10,
  }

  test('counts what was spent in its window, settled or not, and holds until it turns', async () => {
    await world.use(
      ALICE,
      { tokens: 400_000, startedAtMs: EVENING_MS - 11 * DAY_MS },
      { tokens: 200_000, startedAtMs: EVENING_MS - 9 * DAY_MS },
    )
    await world.seal()
    await world.settle()
    await world.store.budgetTerms.saveBudget(ALICE, budget)
    await world.use(ALICE, { tokens: 50_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    await world.look()
    const before = await world.state(ALICE)
    expect(before.budget).toEqual({
      spent: parseWad('2.5'),
      remaining: parseWad('0.5'),
      level: 'soft',
    })
    expect(before.spentToday).toBe(parseWad('0.5'))
    expect(await world.reasons(ALICE)).toEqual([])
    await world.use(ALICE, { tokens: 50_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    await world.look()
    const [hold] = await world.store.holds.of(ALICE)
    expect(hold?.text).toBe(
      'the budget of 3 USD in 30 days is used up, until 2026-10-14T00:00:00.000Z',
    )
    clock.pass(20 * DAY_MS)
    await world.collect([])
    expect(await world.reasons(ALICE)).toEqual([])
    await world.look()
    expect((await world.state(ALICE)).budget?.spent).toBe(0n)
  })

  test('that is raised lets go on', async () => {
    await world.use(ALICE, { tokens: 300_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    await world.store.budgetTerms.saveBudget(ALICE, budget)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['budget'])
    await world.store.budgetTerms.saveBudget(ALICE, { ...budget, hard: parseWad('4') })
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
  })

  test('of the operator is of all accounts together, and holds all of them', async () => {
    await world.store.keys.add(newKey('laptop', { account: BOB }))
    await world.openVault(BOB, 10n * DOLLAR)
    await world.store.budgetTerms.saveBudget('operator', budget)
    await world.use(ALICE, { tokens: 200_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    await world.use(BOB, { tokens: 90_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    await world.look()
    expect(await world.reasons(BOB)).toEqual([])
    await world.use(BOB, { tokens: 10_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    await world.look()
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['budget'])
    expect(await world.reasons(BOB)).toEqual(['budget'])
    await world.store.budgetTerms.removeBudget('operator')
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
  })

  // Goal: what all accounts spend together has a day and a forecast as an account's has. Method: a look
  // on each of four days; the days have 1 dollar, of two accounts; 6 are left of the window's 10.
  test('of the operator says what is spent today, and on which day it will be used up', async () => {
    await world.store.keys.add(newKey('laptop', { account: BOB }))
    await world.openVault(BOB, 10n * DOLLAR)
    const operator = { ...budget, hard: parseWad('10'), soft: undefined }
    await world.store.budgetTerms.saveBudget('operator', operator)
    await world.look()
    for (let date = 0; date < 4; date += 1) {
      await world.use(ALICE, { tokens: 60_000, startedAtMs: clock.now() })
      await world.use(BOB, { tokens: 40_000, startedAtMs: clock.now() })
      await world.look()
      if (date < 3) clock.pass(DAY_MS)
    }
    const shown = await shownBudget('operator', { stores: world.store, clock })
    expect(shown).toMatchObject({ spent: '4', spentToday: '1', remaining: '6' })
    expect(shown?.usedUpOn).toEqual({
      expected: '2026-10-03',
      earliest: '2026-10-03',
      latest: '2026-10-03',
    })
    // A day on which nobody looked ends what is known.
    clock.pass(2 * DAY_MS)
    await world.look()
    const later = await shownBudget('operator', { stores: world.store, clock })
    expect(later).toMatchObject({ spentToday: '0', usedUpOn: null })
    const inEuro = { ...operator, currency: 'EUR' }
    await world.store.budgetTerms.saveBudget('operator', inEuro)
    const other = await shownBudget('operator', { stores: world.store, clock })
    expect(other).toMatchObject({ spentToday: null, usedUpOn: null })
  })

  test('of the operator that is changed holds on, before all accounts were looked at again', async () => {
    await world.store.keys.add(newKey('laptop', { account: BOB }))
    await world.openVault(BOB, 10n * DOLLAR)
    const orders = { store: world.store, clock, terms: SETTINGS }
    const { hard, soft, currency, days } = budget
    const ordered = { by: 'ops', reason: 'a test' }
    await setBudget(orders, 'operator', { hard, soft, currency, days }, ordered)
    await world.use(BOB, { tokens: 300_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    await world.look()
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['budget'])
    const lower = { hard: parseWad('2.9'), soft, currency, days }
    await setBudget(orders, 'operator', lower, ordered)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['budget'])
  })

  /** Two of the operator's three dollars by an account that has no key any more, and the third by Alice. */
  async function spendWithoutKey(): Promise<void> {
    const bobs = newKey('laptop', { account: BOB })
    await world.store.keys.add(bobs)
    await world.openVault(BOB, 10n * DOLLAR)
    await world.store.budgetTerms.saveBudget('operator', budget)
    await world.use(BOB, { tokens: 200_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    await world.look()
    await world.store.keys.change(bobs.id, { state: 'deleted' })
    const gone = { status: 'synced', seen: undefined, nextTryAtMs: undefined } as const
    await world.store.keys.saveSync(bobs.id, 2, gone)
    clock.pass(DAY_MS)
    await world.use(ALICE, { tokens: 100_000, startedAtMs: clock.now() - 2 * HOUR_MS })
  }

  test('of the operator counts what accounts without keys have spent, and does not show them', async () => {
    await spendWithoutKey()
    await world.look()
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['budget'])
    expect(await world.store.runways.of([BOB])).toEqual([])
  })

  // Goal: what the operator's sum holds is not let go because somebody could not be asked. Method: an
  // account without keys, of which nothing is kept, has spent two thirds; then Flow is silent.
  test('of the operator holds on while Flow is silent', async () => {
    await spendWithoutKey()
    for (let looks = 0; looks < 4; looks += 1) {
      if (looks === 2) world.flow.isDown = true
      await world.look()
    }
    expect(await world.reasons(ALICE)).toEqual(['budget'])
    const shown = await shownBudget('operator', { stores: world.store, clock })
    expect(shown?.spent).toBe('3')
  })

  test('of the operator counts a page once that could not be kept at first', async () => {
    await world.store.budgetTerms.saveBudget('operator', budget)
    await world.use(ALICE, { tokens: 200_000, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    const full = new RetryableError('store_full', 'no room')
    const store: Store = {
      ...world.store,
      transaction: (work) =>
        world.store.transaction(async (stores) => {
          await work(stores)
          throw full
        }),
    }
    await expect(world.look({ store })).rejects.toThrow(full)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    const shown = await shownBudget('operator', { stores: world.store, clock })
    expect(shown).toMatchObject({ spent: '2', spentToday: '2' })
  })

  test('in a currency that nothing is charged in is refused: it would hold nobody', async () => {
    const orders = { store: world.store, clock, terms: SETTINGS }
    const ordered = { by: 'ops', reason: 'a test' }
    for (const subject of [ALICE, 'operator'] as const) {
      for (const currency of ['usd', 'EUR']) {
        const wish = { hard: parseWad('1'), soft: undefined, currency, days: 30 }
        const set = setBudget(orders, subject, wish, ordered)
        await expect(set).rejects.toMatchObject({ code: 'bad_budget' })
      }
    }
    expect(await world.store.budgetTerms.list(undefined, 10)).toEqual([])
  })

  test('is a brake at the gateway, too, in its dollars, and lowers only', async () => {
    const key = newKey('laptop')
    await world.store.keys.change(key.id, { limits: { ...key.limits, maxBudget: null } })
    await world.store.budgetTerms.saveBudget(ALICE, { ...budget, hard: wad(parseWad('3') + 1n) })
    await world.look()
    const stored = await world.store.keys.get(key.id)
    expect(stored?.limits).toMatchObject({ maxBudget: 3_000_001n, budgetDuration: '30d' })
    await world.store.budgetTerms.saveBudget(ALICE, { ...budget, hard: parseWad('9') })
    await world.look()
    expect((await world.store.keys.get(key.id))?.limits.maxBudget).toBe(3_000_001n)
    await world.store.budgetTerms.saveBudget(ALICE, { ...budget, currency: 'EUR' })
    await world.look()
    expect((await world.store.keys.get(key.id))?.limits.maxBudget).toBe(3_000_001n)
  })

  test('starts from the records where nobody looked when its window began', async () => {
    await world.look()
    clock.pass(40 * DAY_MS)
    const today = Math.floor(clock.now() / DAY_MS) * DAY_MS
    await world.use(
      ALICE,
      { tokens: 100_000, startedAtMs: today - DAY_MS },
      { tokens: 70_000, startedAtMs: today + HOUR_MS },
    )
    await world.look()
    expect((await world.state(ALICE)).spentToday).toBe(parseWad('0.7'))
  })
})

describe('a tier', () => {
  beforeEach(() => world.store.budgetTerms.saveTier(ALICE, 'free'))
  const call = (i: number, startedAtMs = EVENING_MS - MINUTE_MS) => ({
    tokens: 10,
    startedAtMs,
    id: `${i}`,
  })

  test('holds at the last call of the hour, and lets go on when the hour turns', async () => {
    for (let i = 0; i < 9; i += 1) await world.use(ALICE, call(i, EVENING_MS))
    await world.look()
    expect((await world.state(ALICE)).quota.map(({ left }) => left)).toEqual([1n, 41n, 9_910n])
    expect(await world.reasons(ALICE)).toEqual([])
    await world.use(ALICE, call(9, EVENING_MS))
    await world.look()
    expect((await world.store.holds.of(ALICE))[0]?.text).toBe(
      '10 requests an hour (tier free) are used up, until 2026-09-24T21:00:00.000Z',
    )
    clock.pass(HOUR_MS)
    expect(await world.reasons(ALICE)).toEqual([])
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
  })

  test('counts tokens of the day, sealed or not, and no call that failed', async () => {
    await world.use(ALICE, { tokens: 9_000, startedAtMs: EVENING_MS - 5 * HOUR_MS })
    await world.seal()
    const failed = { ...world.record(ALICE, { tokens: 5_000 }), excluded: 'failure' }
    await world.collect([[ALICE, failed]])
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    await world.use(ALICE, { tokens: 1_000, startedAtMs: EVENING_MS - 4 * HOUR_MS })
    await world.look()
    expect((await world.store.holds.of(ALICE))[0]?.text).toMatch(
      /10000 tokens a day .* 2026-09-25T00/,
    )
  })

  test('that is taken away, or given another, takes its hold with it', async () => {
    await world.use(ALICE, { tokens: 10_000 })
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['quota'])
    await world.store.budgetTerms.removeTier(ALICE)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    world.settings = { ...SETTINGS, defaultTier: 'free' }
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['quota'])
  })

  test('that the settings no longer name is the one of all', async () => {
    world.settings = { ...SETTINGS, tiers: new Map([['starter', FREE_TIER]]) }
    await world.use(ALICE, { tokens: 10_000 })
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    world.settings = { ...world.settings, defaultTier: 'starter' }
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['quota'])
  })

  test('of nothing holds for good: no turn of the hour lets go on', async () => {
    const quota = { ...NO_QUOTA, requestsAnHour: 0n }
    world.settings = { ...SETTINGS, tiers: new Map([['free', { ...FREE_TIER, quota }]]) }
    await world.look()
    expect(await world.store.holds.of(ALICE)).toMatchObject([
      { text: 'no requests an hour (tier free) are allowed', untilMs: undefined },
    ])
  })

  test('lowers its keys’ limits at the gateway', async () => {
    const key = newKey('laptop')
    await world.look()
    expect((await world.store.keys.get(key.id))?.limits).toEqual({
      ...key.limits,
      rpmLimit: 10,
      tpmLimit: 2_000,
      maxBudget: microdollars(10_000_000n),
    })
  })

  test('never leaves a key with every model where the tier has some', async () => {
    const key = newKey('laptop')
    await world.store.keys.change(key.id, { limits: { ...key.limits, models: ['gpt-9'] } })
    const tiers = new Map([['free', { ...FREE_TIER, models: ['gpt-4', 'gpt-3.5'] }]])
    world.settings = { ...SETTINGS, tiers }
    await world.look()
    expect((await world.store.keys.get(key.id))?.limits.models).toEqual(['gpt-4', 'gpt-3.5'])
  })

  test('counts models with a provider’s key of one’s own apart, and lets go on who may open none', async () => {
    const byok = { ...NO_QUOTA, requestsADay: 2n }
    world.settings = { ...SETTINGS, tiers: new Map([['free', { ...FREE_TIER, byok }]]) }
    const mine = await addKey('mine', ['byok/gpt-4'])
    await openOnly('laptop', ['gpt-4'])
    const own = (id: string) => ({ ...call(0), id, model: 'byok/gpt-4' })
    await world.use(ALICE, own('a'), own('b'), ...[1, 2, 3].map((i) => call(i)))
    await world.look()
    const { quota, byokQuota } = await world.state(ALICE)
    expect([quota[1]?.used, byokQuota[0]?.used]).toEqual([3n, 2n])
    expect(await world.store.holds.of(ALICE)).toMatchObject([{ reason: 'quota', key: mine }])
    // A key of every model may open those, too.
    await openOnly('laptop', [])
    await world.look()
    expect(await world.store.holds.of(ALICE)).toMatchObject([{ reason: 'quota', key: undefined }])
  })
})

async function addKey(name: string, models: readonly string[]) {
  const key = newKey(name)
  await world.store.keys.add({ ...key, limits: { ...key.limits, models } })
  return key.id
}

async function openOnly(name: string, models: readonly string[]): Promise<void> {
  const { id } = newKey(name)
  const key = await world.store.keys.get(id)
  if (key !== undefined) await world.store.keys.change(id, { limits: { ...key.limits, models } })
}

describe('a budget for calls with a provider’s key of one’s own', () => {
  const subject = byokOf(ALICE)
  const byokBudget = {
    ...{ hard: parseWad('0.3'), soft: parseWad('0.2'), currency: 'USD', days: 30 },
    fromDay: Math.floor(EVENING_MS / DAY_MS) - 10,
  }
  const own = (tokens: number, startedAtMs = EVENING_MS - HOUR_MS) => ({
    ...{ tokens, startedAtMs },
    model: 'byok/gpt-4',
  })
  beforeEach(() => world.store.budgetTerms.saveBudget(subject, byokBudget))

  // Their platform share: a twentieth of a token, by the row that the plan has for them.
  test('counts what those calls add to the bill, by the plan, in its window and nothing else', async () => {
    const rate = { prompt: 500n, cachedPrompt: 500n, completion: 500n, request: 0n }
    const plan = { ...FLAT_PLAN, rates: new Map([...FLAT_PLAN.rates, [2, rate]]) }
    await file.remove()
    file = new StoreFile(clock)
    world = new BudgetWorld(await file.open(), clock, { plan })
    world.modelIds.set('byok/gpt-4', modelId(2))
    await world.store.keys.add(newKey('laptop'))
    await world.openVault(ALICE, 10n * DOLLAR)
    await world.store.budgetTerms.saveBudget(subject, byokBudget)
    await world.use(
      ALICE,
      own(900_000, EVENING_MS - 11 * DAY_MS),
      own(200_000, EVENING_MS - 9 * DAY_MS),
      own(200_000),
      { tokens: 70_000, startedAtMs: EVENING_MS - HOUR_MS },
    )
    for (const then of [() => world.seal(), () => world.settle()]) {
      await world.look()
      expect((await world.state(ALICE)).byokBudget).toEqual({
        ...{ spent: parseWad('0.2'), remaining: parseWad('0.1'), level: 'soft' },
        fromDay: byokBudget.fromDay,
      })
      await then()
    }
    expect((await world.store.runways.counts()).softBudgets).toBe(1)
    expect(await world.reasons(ALICE)).toEqual([])
  })

  test('holds the keys that may open such models, until its window turns or it is raised', async () => {
    const mine = await addKey('mine', ['byok/*'])
    await openOnly('laptop', ['gpt-4'])
    await world.use(ALICE, own(29_999))
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    await world.use(ALICE, own(1))
    await world.look()
    expect(await world.store.holds.of(ALICE)).toMatchObject([
      {
        ...{ reason: 'budget', key: mine, untilMs: (byokBudget.fromDay + 30) * DAY_MS },
        text:
          'the budget of 0.3 USD in 30 days for models with your own provider’s key is used up, ' +
          'until 2026-10-14T00:00:00.000Z',
      },
    ])
    await world.store.budgetTerms.saveBudget(subject, { ...byokBudget, hard: parseWad('0.4') })
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    await world.store.budgetTerms.saveBudget(subject, byokBudget)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['budget'])
    clock.pass(20 * DAY_MS)
    await world.collect([])
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    expect((await world.state(ALICE)).byokBudget?.spent).toBe(0n)
  })

  test('is apart from the account’s, whose hold is of all its keys', async () => {
    await addKey('mine', ['byok/*'])
    await openOnly('laptop', ['gpt-4'])
    const budget = { ...byokBudget, hard: parseWad('3'), soft: undefined }
    await world.store.budgetTerms.saveBudget(ALICE, budget)
    await world.use(ALICE, own(40_000))
    await world.look()
    const { budget: all, byokBudget: ofThem } = await world.state(ALICE)
    expect([all?.level, ofThem?.level]).toEqual(['ok', 'hard'])
    await world.use(ALICE, { tokens: 260_000, startedAtMs: EVENING_MS - HOUR_MS })
    await world.look()
    const holds = await world.store.holds.of(ALICE)
    expect(holds.map(({ key }) => key === undefined).sort()).toEqual([false, true])
  })

  test('finds calls of days that are over within ten minutes, and after a restart at once', async () => {
    await world.look()
    await world.use(ALICE, own(30_000, EVENING_MS - 2 * DAY_MS))
    clock.pass(9 * MINUTE_MS)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    clock.pass(MINUTE_MS)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['budget'])
    await world.store.budgetTerms.removeBudget(subject)
    await world.look()
    expect(await world.reasons(ALICE)).toEqual([])
    await world.use(ALICE, own(30_000, EVENING_MS - 3 * DAY_MS))
    await world.store.budgetTerms.saveBudget(subject, { ...byokBudget, hard: parseWad('0.6') })
    world.restart()
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['budget'])
  })

  test('of another currency than the plan’s counts nothing', async () => {
    await world.store.budgetTerms.saveBudget(subject, { ...byokBudget, currency: 'EUR' })
    await world.use(ALICE, own(90_000))
    await world.look()
    expect((await world.state(ALICE)).byokBudget).toBeUndefined()
    expect(await world.reasons(ALICE)).toEqual([])
  })
})

describe('an account on prepaid credits', () => {
  beforeEach(async () => {
    await world.store.payments.openAccount(ALICE)
    await grantCredits(
      { store: world.store, clock },
      { account: ALICE, amount: millicredits(1_000_000n), reason: 'a test' },
    )
  })

  test('is held when its credits are used up, whatever lies in the vault', async () => {
    await world.use(ALICE, { tokens: 90_000, startedAtMs: EVENING_MS - 3 * HOUR_MS })
    await world.look()
    const { from, runway } = await world.state(ALICE)
    expect(from).toBe('credits')
    expect(runway.available).toBe(parseWad('0.1'))
    expect(await world.reasons(ALICE)).toEqual([])
    await world.use(ALICE, { tokens: 5_000, startedAtMs: EVENING_MS - 3 * HOUR_MS })
    await world.look()
    expect(await world.reasons(ALICE)).toEqual(['balance'])
  })

  test('is charged once: by usage, then by Flow, then by the ledger', async () => {
    const { chargeCreditsNext } = await import('../../src/pipeline/charge-credits.js')
    await world.use(ALICE, { tokens: 40_000, startedAtMs: EVENING_MS - 3 * HOUR_MS })
    const ways = [
      async () => {},
      () => world.seal(),
      () => world.settle(false),
      () => world.settle(),
      () => chargeCreditsNext({ store: world.store, clock }),
    ]
    for (const next of ways) {
      await next()
      await world.look()
      expect((await world.state(ALICE)).runway.available).toBe(parseWad('0.6'))
    }
  })
})

// Goal: a look that dies anywhere leaves nothing half done. Method: let it die before and after each of
// its calls to the store and to Flow, one after the other; then look again as a new process does.
test('a death at any point is mended by the next look', async () => {
  await world.store.budgetTerms.saveTier(ALICE, 'free')
  await world.use(ALICE, { tokens: 996_000, startedAtMs: EVENING_MS - 3 * HOUR_MS })
  await world.look()
  await world.look() // The first one has lowered the key's limits to the tier's.
  const [state, holds] = [await world.state(ALICE), await world.store.holds.of(ALICE)]
  expect(holds.map(({ reason }) => reason).sort()).toEqual(['balance', 'quota'])
  for (let point = 0; ; point += 1) {
    for (const { reason, key } of holds) await world.store.holds.lift(ALICE, reason, key)
    await world.store.runways.prune(Number.MAX_SAFE_INTEGER)
    const plan = new CrashPlan(point)
    const watched = { store: plan.watch(world.store), settler: plan.watch(world.flow) }
    const died = await world.look(watched).then(
      () => false,
      (error: unknown) => error instanceof Crash,
    )
    world.restart()
    await world.look()
    expect(await world.state(ALICE)).toEqual(state)
    expect(await world.store.holds.of(ALICE)).toEqual(holds)
    if (died) continue
    expect(point).toBeGreaterThan(20)
    return
  }
})

describe('many accounts', () => {
  test('are looked at a page at a time, and those without keys are forgotten', async () => {
    for (let i = 100n; i < 420n; i += 1n) {
      const account = accountNumber(i)
      await world.store.keys.add(newKey('one', { account }))
      await world.openVault(account, i % 2n === 0n ? 0n : DOLLAR)
    }
    await world.look()
    const { levels } = await world.store.runways.counts()
    expect(levels).toEqual({ ok: 161, dry: 160 })
    await world.store.keys.change(newKey('one', { account: accountNumber(100n) }).id, {
      state: 'deleted',
    })
    clock.pass(MINUTE_MS)
    await world.look()
    expect((await world.store.runways.counts()).levels).toEqual({ ok: 161, dry: 159 })
  })
})
