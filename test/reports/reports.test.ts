import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import { parseWad, type Ufix64Units, wad } from '../../src/domain/money.js'
import type { UsageTotal } from '../../src/domain/usage-total.js'
import { Estimates } from '../../src/pipeline/estimate.js'
import { withWaiting } from '../../src/pipeline/totals.js'
import type { Store } from '../../src/ports/stores.js'
import { priceAtFirstTier } from '../../src/pricing/compare.js'
import { defaultPlan } from '../../src/pricing/default-plan.js'
import { type Billable, billableOf, priceOf } from '../../src/pricing/price.js'
import { makeReport } from '../../src/reports/index.js'
import { questionOf, type Report, type Row } from '../../src/reports/report.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { World } from '../support/world.js'

// Goal: reports say what the bill will say, to the last wad, and what they were not told they leave open.
// Method: the real steps over a real store; then compare with the pricing function and by hand.

const { signal } = new AbortController()
const SEVEN = accountNumber(7n)
const HOUR_MS = 3_600_000

describe('over a store', () => {
  const world = new World()
  let store: Store
  const startMs = world.clock.now()
  beforeAll(async () => {
    for (const account of [7n, 42n]) world.flow.openVault(account, SEPTEMBER_S)
    const records = Array.from({ length: 60 }, (_, i) =>
      usageRecord(`call ${i}`, {
        user: i % 3 === 0 ? 'vault_7' : 'vault_42',
        model: i % 2 === 0 ? 'gpt-4' : 'claude-3-haiku',
        startedAtMs: startMs - 3_300_000 + i * 30_000,
        endedAtMs: startMs - 3_299_100 + i * 30_000,
        promptTokens: 3_000n + BigInt(i),
        completionTokens: 1_000n,
      }),
    )
    world.use(...records)
    const daemon = await world.boot()
    await daemon.runRounds(40)
    // Some are sealed, the others wait: both are in the reports.
    world.use(
      usageRecord('late', {
        user: 'vault_7',
        startedAtMs: world.clock.now() - 60_000,
        endedAtMs: world.clock.now() - 59_100,
        promptTokens: 9_999n,
      }),
    )
    await daemon.run('collect', 'attribute')
    store = daemon.store
  })
  afterAll(() => world.file.remove())

  const report = async (kind: string, asked: object = {}): Promise<Report> => {
    const question = questionOf(kind, asked, startMs + 2 * HOUR_MS, 'user')
    if (typeof question === 'string') throw new Error(question)
    return makeReport({ stores: store, clock: world.clock }, question, signal)
  }
  const sumOf = (rows: readonly Row[], name: string) =>
    rows.reduce((sum, row) => sum + BigInt(row[name] as bigint), 0n)

  test('every row has every column, and no other', async () => {
    for (const kind of ['peak-hours', 'models', 'users', 'vaults', 'cheaper', 'tiers']) {
      const { columns, rows } = await report(kind)
      expect(rows.length, kind).toBeGreaterThan(0)
      for (const row of rows) expect(Object.keys(row)).toEqual(columns.map(({ name }) => name))
    }
  })

  test('hours, models, users and vaults count the same calls, once each', async () => {
    for (const kind of ['peak-hours', 'models', 'users', 'vaults']) {
      expect(sumOf((await report(kind)).rows, 'requests'), kind).toBe(61n)
    }
  })

  test('what users cost adds up to what their vault costs, to the last wad', async () => {
    const users = (await report('users')).rows
    const vaults = (await report('vaults')).rows
    for (const { account, cost } of vaults) {
      const own = users.filter((user) => user.account === account)
      expect(own.reduce((sum, user) => sum + parseWad(`${user.cost}`), 0n)).toBe(
        parseWad(`${cost}`),
      )
    }
  })

  test('the cost of a whole period is its price, waiting usage included', async () => {
    const { rows } = await report('vaults', { account: SEVEN })
    const [row] = rows
    const key = { accountNumber: SEVEN, periodStart: Date.parse(`${row?.period}`) / 1_000 }
    const estimate = (await Estimates.read(store)).of(key, await withWaiting(key, store))
    expect(rows).toHaveLength(1)
    expect(parseWad(`${row?.cost}`)).toBe(estimate?.price)
  })

  test('spans side by side add up to the whole', async () => {
    const middle = new Date(startMs - 2_400_000).toISOString()
    const whole = (await report('vaults', { account: SEVEN })).rows[0]
    const first = (await report('vaults', { account: SEVEN, to: middle })).rows[0]
    const second = (await report('vaults', { account: SEVEN, from: middle })).rows[0]
    expect(parseWad(`${first?.cost}`) + parseWad(`${second?.cost}`)).toBe(
      parseWad(`${whole?.cost}`),
    )
  })

  test('one account sees itself alone', async () => {
    for (const kind of ['models', 'users', 'vaults', 'cheaper', 'tiers']) {
      const { rows } = await report(kind, { account: SEVEN })
      expect(new Set(rows.map(({ account }) => account)), kind).toEqual(new Set(['7']))
    }
  })

  test('a cheaper model is priced over the whole period', async () => {
    const { rows } = await report('cheaper', { account: SEVEN })
    const gpt = rows.find(({ model }) => model === 'gpt-4')
    const key = { accountNumber: SEVEN, periodStart: Date.parse(`${gpt?.period}`) / 1_000 }
    const used = await withWaiting(key, store)
    const moved = used.map(
      (one): UsageTotal => (one.modelId === 1 ? { ...one, modelId: 4 as never } : one),
    )
    const instead = priceOf(defaultPlan, billableOf(defaultPlan, moved))
    expect(parseWad(`${gpt?.price_instead}`)).toBe(instead)
    expect(parseWad(`${gpt?.price}`)).toBe(priceOf(defaultPlan, billableOf(defaultPlan, used)))
    expect(rows.every(({ saving }) => parseWad(`${saving}`) > 0n)).toBe(true)
  })

  test('tiers: the discount is against the first tier’s terms', async () => {
    const [row] = (await report('tiers', { account: accountNumber(42n) })).rows
    const key = {
      accountNumber: accountNumber(42n),
      periodStart: Date.parse(`${row?.period}`) / 1_000,
    }
    const billable = billableOf(defaultPlan, await withWaiting(key, store))
    const saved = priceAtFirstTier(defaultPlan, billable) - priceOf(defaultPlan, billable)
    expect(row?.tier).toBe(2)
    expect(saved).toBeGreaterThan(0n)
    expect(parseWad(`${row?.discount_earned}`)).toBe(saved)
    expect(row?.reached).toMatch(/^1 \d{4}-\S+Z, 2 \d{4}-\S+Z$/)
  })

  test('health: transactions by lane, and how long batches took', async () => {
    const { rows } = await report('health', { to: new Date(world.clock.now()).toISOString() })
    const of = (name: string, measure: string) =>
      rows.find((row) => row.name === name && row.measure === measure)?.value
    expect(of('sealed to settled', 'took, number')).toBeGreaterThan(0)
    expect(of('requested to proven (a round)', 'took, half below')).toBeGreaterThan(0)
    expect(of('LiteLLM', 'from start to end, half below')).toBe(900)
    expect(rows.find(({ measure }) => measure === 'success')?.value).toBe('100.00')
  })

  test('projection says nothing of less than three days', async () => {
    const { rows } = await report('projection', { account: SEVEN })
    expect(rows).toHaveLength(1)
    expect(rows[0]).toMatchObject({ method: 'none', projected: null, exhausted_on: null })
  })
})

describe('projection', () => {
  const world = new World()
  const account = SEVEN
  // Noon of the 29th of a month that has 30 days.
  const now = Date.parse('2026-09-29T12:00:00Z')
  afterAll(() => world.file.remove())

  test('a vault that uses the same every day: exact price, exact day of exhaustion', async () => {
    world.flow.openVault(7n, 0)
    const daemon = await world.boot()
    const { store } = daemon
    await daemon.run('reconcile')
    const records = Array.from({ length: 33 * 24 }, (_, hour) =>
      usageRecord(`call ${hour}`, {
        user: 'vault_7',
        model: 'llama',
        startedAtMs: now - (hour + 1) * HOUR_MS,
        promptTokens: 1_000n,
        cachedPromptTokens: 0n,
        completionTokens: 0n,
      }),
    )
    await store.records.saveSlice(
      'main',
      { records, rejects: [], range: { fromMs: 0, untilMs: now } } as never,
      now,
    )
    await daemon.run('attribute')
    await store.watch.savePrices([{ token: 'T', currency: 'USD', price: 10n ** 18n }])
    const zero = { charged: wad(0n), paid: wad(0n), owed: wad(0n), writtenOff: wad(0n) }
    // 684,000 tokens of September so far, 24,000 a day: the 30th and 12 hours of the 29th to come.
    const soFar = priceOf(defaultPlan, 6_840_000_000n as Billable)
    const atEnd = priceOf(defaultPlan, 7_200_000_000n as Billable)
    const twoOfOctober = priceOf(defaultPlan, 480_000_000n as Billable)
    const balance = ((atEnd + twoOfOctober) / 10n ** 10n) as Ufix64Units
    await store.books.saveBalances([{ account, balance, ...zero }])
    const question = questionOf('projection', { account }, now, 'user')
    if (typeof question === 'string') throw new Error(question)
    const { rows } = await makeReport({ stores: store, clock: world.clock }, question, signal)
    expect(rows).toHaveLength(1)
    const [row] = rows
    expect(parseWad(`${row?.price_so_far}`)).toBe(soFar)
    for (const name of ['projected', 'projected_low', 'projected_high']) {
      expect(parseWad(`${row?.[name]}`), name).toBe(atEnd)
    }
    expect(row).toMatchObject({
      method: 'weekday',
      days_seen: 28,
      last_week_off_percent: '0.00',
      last_week_inside: 'yes',
      // The end of October 2 leaves nothing over; the 3rd cannot be paid.
      exhausted_on: '2026-10-03',
      exhausted_earliest: '2026-10-03',
      exhausted_latest: '2026-10-03',
    })
  })
})
