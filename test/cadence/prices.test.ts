import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { array, type Plain, string, uint } from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { type Plan as DevnetPlan, planArguments } from '../../devnet/flow/plan.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import { type Hex, join, keccak, toHex, u8, u16, u32, u64, utf8 } from '../../src/domain/bytes.js'
import type { ModelId } from '../../src/domain/ids.js'
import { PERIOD_KINDS, periodAt } from '../../src/domain/period.js'
import type { UsageTotal } from '../../src/domain/usage-total.js'
import type { Plan } from '../../src/pricing/plan.js'
import { type Billable, billableOf, priceOf } from '../../src/pricing/price.js'
import { startWorld, u64 as u64Value, type World } from './world.js'

interface Vectors {
  readonly plan: {
    readonly tiers: readonly { upTo: string | null; pricePerMillion: string; discountBps: number }[]
    readonly rates: DevnetPlan['rates']
  }
  readonly cases: readonly {
    readonly mode: 'graduated' | 'volume'
    readonly rows: readonly {
      readonly modelId: number
      readonly promptTokens: string
      readonly cachedPromptTokens: string
      readonly completionTokens: string
      readonly requests: string
    }[]
    readonly billableTenThousandths: string
    readonly priceWad: string
  }[]
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/prices.json', import.meta.url), 'utf8'),
) as Vectors

/** More than the 32 whose rates the contract packs into one integer. */
const MODELS = 40

let world: World
let provider: FlowAccount
beforeAll(async () => {
  world = await startWorld()
  provider = await world.client.createAccount({ fundFlow: '10.0' })
  await world.send('provider/set_up_provider', [], provider)
  const names = Array.from({ length: MODELS }, (_, i) => string(`model-${i + 1}`))
  await world.send('provider/register_models', [array(names)], provider)
})
afterAll(() => world?.stop())

describe('the worked prices', () => {
  test.each(['graduated', 'volume'] as const)('%s', async (mode) => {
    const { tiers, rates } = vectors.plan
    const plan = await publish({
      ...FREE,
      mode,
      tiers: tiers.map(({ upTo, pricePerMillion, discountBps }) => ({
        upTo: upTo === null ? null : BigInt(upTo),
        pricePerMillion: BigInt(pricePerMillion),
        discountBps,
      })),
      rates,
    })
    for (const one of vectors.cases.filter((item) => item.mode === mode)) {
      const rows = one.rows.map((row) => ({
        modelId: row.modelId as ModelId,
        promptTokens: BigInt(row.promptTokens),
        cachedPromptTokens: BigInt(row.cachedPromptTokens),
        completionTokens: BigInt(row.completionTokens),
        requests: BigInt(row.requests),
      }))
      expect(await quote(plan, rows)).toEqual({
        billable: BigInt(one.billableTenThousandths),
        price: BigInt(one.priceWad),
      })
    }
  })
})

// Goal: the contract charges what the daemon explains, whatever the plan.
// Method: generate plans, publish them, and compare totals around every bound and far from it.
describe('the same price in TypeScript and Cadence', () => {
  const PLANS = 28
  const TOTALS = 400
  const plans = fc.sample(planArbitrary(), { numRuns: PLANS, seed: 1 })

  test.each(plans.map((plan, i) => ({ i, plan })))('plan $i', async ({ i, plan }) => {
    const id = await publish(plan)
    const mirror = mirrorOf(plan)
    const edges = mirror.tiers.flatMap(({ upTo }) =>
      upTo === null ? [] : [-10_000n, -1n, 0n, 1n, 10_000n].map((by) => upTo * 10_000n + by),
    )
    const anywhere = fc.sample(totalArbitrary(), { numRuns: TOTALS, seed: i })
    const billables = [0n, 1n, ...edges, ...anywhere]
    const args = [u64Value(id), array(billables.map((billable) => uint('UInt', billable)))]
    const prices = (await world.run('price_billable', args)) as bigint[]
    expect(prices).toEqual(billables.map((billable) => priceOf(mirror, billable as Billable)))

    for (const rows of fc.sample(rowsArbitrary(), { numRuns: 5, seed: i })) {
      const billable = billableOf(mirror, rows)
      expect(await quote(id, rows)).toEqual({ billable, price: priceOf(mirror, billable) })
    }
  })
})

describe('plans', () => {
  test.each<[string, Partial<DevnetPlan>, string]>([
    ['no tier', { tiers: [] }, 'A plan has 1 to 16 tiers, not 0'],
    ['a last tier with an end', { tiers: [tier(5n)] }, 'The last tier must have no end'],
    ['tiers that fall', { tiers: [tier(5n), tier(5n), tier(null)] }, 'Tier 2 does not end above'],
    ['an open tier before the last', { tiers: [tier(null), tier(null)] }, 'Only the last tier'],
    [
      '17 tiers',
      { tiers: [...Array(16).keys(), null].map((i) => tier(i === null ? null : BigInt(i + 1))) },
      '1 to 16 tiers',
    ],
    ['a tier without tokens', { tiers: [tier(0n), tier(null)] }, 'A tier cannot end at 0'],
    ['a price of 2^48', { tiers: [tier(null, 2n ** 48n)] }, 'is not below 2^48'],
    [
      'a discount above 10000',
      { tiers: [{ ...tier(null), discountBps: 10_001 }] },
      'is above 10000',
    ],
    ['no default rate', { rates: { 1: rate(1) } }, 'The first rate must be that of model 0'],
    ['a rate of no model', { rates: { 0: rate(1), 41: rate(1) } }, 'Model 41 is not in the table'],
    ['a notice above a week', { noticeSeconds: 604_801 }, 'is above 7 days'],
    ['a mode of its own', { mode: 'flat' as 'volume' }, 'flat is none of graduated, volume'],
    ['a period of its own', { period: 'year' as 'day' }, 'year is none of day, week, month'],
    ['a minimum of 2^112', { minimum: 2n ** 112n }, 'is not below 2^112'],
  ])('%s is refused', async (_, change, why) => {
    const args = planArguments({ ...FREE, ...change })
    expect(await world.refused('provider/publish_plan', args, provider)).toMatch(why)
  })

  test('the hash is that of the canonical form', async () => {
    const plan = await publish({
      ...FREE,
      currency: 'EUR',
      mode: 'volume',
      period: 'week',
      minimum: 5n,
      fee: 7n,
      noticeSeconds: 3_600,
      tiers: [{ upTo: 9n, pricePerMillion: 4n, discountBps: 2 }, tier(null)],
      rates: { 0: rate(10_000), 3: { prompt: 1, cachedPrompt: 2, completion: 3, request: 4 } },
    })
    const text = (value: string): Hex => toHex(utf8(value))
    const [u128, none] = [(value: number) => join(u64(0), u64(value)), u64(2n ** 64n - 1n)]
    const canonical = [
      ...[text('flowmeter.plan.v1'), u8(0), u8(3), text('EUR'), u8(1), u8(1)],
      ...[u128(5), u128(7), u32(3_600)],
      ...[u8(2), u64(9), u64(4), u16(2), none, u64(1), u16(0)],
      ...[u16(2), u16(0), u32(10_000), u32(0), u32(0), u32(0)],
      ...[u16(3), u32(1), u32(2), u32(3), u32(4)],
    ]
    expect(await world.run('get_plan', [u64Value(plan)])).toMatchObject({
      id: plan,
      provider: 1n,
      hash: BigInt(keccak(...canonical)),
      currency: 'EUR',
      mode: 'volume',
      period: 'week',
      minimum: 5n,
      fee: 7n,
      notice: 3_600n,
      tiers: [
        { upTo: 9n, pricePerMillion: 4n, discountBps: 2n },
        { upTo: null, pricePerMillion: 1n, discountBps: 0n },
      ],
      rates: [
        { modelId: 0n, prompt: 10_000n },
        { modelId: 3n, prompt: 1n, cachedPrompt: 2n, completion: 3n, request: 4n },
      ],
    })
  })

  test('a model keeps its id, and a name is registered once', async () => {
    const names = array(['model-2', 'one-more', 'one-more'].map(string))
    const result = await world.send('provider/register_models', [names], provider)
    expect(eventsNamed(result, 'PricePlans.ModelsRegistered')).toEqual([
      { provider: 1n, firstId: BigInt(MODELS) + 1n, names: ['one-more'] },
    ])
    expect(await world.run('get_models', [u64Value(1)])).toEqual([
      ...Array.from({ length: MODELS }, (_, i) => `model-${i + 1}`),
      'one-more',
    ])
  })
})

describe('periods', () => {
  test.each(PERIOD_KINDS)('start of the %s, as the daemon has it', async (kind) => {
    const anywhere = fc.sample(fc.integer({ min: 1_600_000_000, max: 4_294_967_295 }), {
      numRuns: 1_500,
      seed: 3,
    })
    // Both sides of the ends of days around leap days and centuries.
    const days = [
      '2000-02-29',
      '2000-03-01',
      '2024-02-29',
      '2027-01-01',
      '2100-02-28',
      '2100-03-01',
    ]
    const edges = days.flatMap((day) => [-1, 0, 1].map((by) => Date.parse(day) / 1000 + by))
    const instants = [...edges, ...anywhere]
    const args = [string(kind), array(instants.map(u64Value))]
    const starts = (await world.run('get_period_start', args)) as bigint[]
    expect(starts).toEqual(instants.map((at) => BigInt(periodAt(at * 1000, kind).startsAt)))
  })
})

const FREE: DevnetPlan = {
  currency: 'USD',
  mode: 'graduated',
  period: 'month',
  minimum: 0n,
  fee: 0n,
  noticeSeconds: 0,
  tiers: [tier(null)],
  rates: { 0: rate(10_000) },
}

function tier(upTo: bigint | null, pricePerMillion = 1n): DevnetPlan['tiers'][number] {
  return { upTo, pricePerMillion, discountBps: 0 }
}

function rate(prompt: number): DevnetPlan['rates'][number] {
  return { prompt, cachedPrompt: 0, completion: 0, request: 0 }
}

async function publish(plan: DevnetPlan): Promise<bigint> {
  const result = await world.send('provider/publish_plan', planArguments(plan), provider)
  return eventsNamed(result, 'PricePlans.PlanPublished')[0]?.plan as bigint
}

async function quote(plan: bigint, rows: readonly UsageTotal[]): Promise<Plain> {
  const column = (type: string, value: (row: UsageTotal) => bigint | number) =>
    array(rows.map((row) => uint(type, value(row))))
  return world.run('quote_price', [
    u64Value(plan),
    column('UInt16', (row) => row.modelId),
    column('UInt64', (row) => row.promptTokens),
    column('UInt64', (row) => row.cachedPromptTokens),
    column('UInt64', (row) => row.completionTokens),
    column('UInt32', (row) => row.requests),
  ])
}

function mirrorOf(plan: DevnetPlan): Plan {
  return {
    currency: plan.currency,
    mode: plan.mode,
    periodKind: plan.period,
    minimum: plan.minimum as Plan['minimum'],
    fee: plan.fee as Plan['fee'],
    tiers: plan.tiers.map((one) => ({ ...one, discountBps: BigInt(one.discountBps) })),
    rates: new Map(
      Object.entries(plan.rates).map(([model, one]) => [
        Number(model),
        {
          prompt: BigInt(one.prompt),
          cachedPrompt: BigInt(one.cachedPrompt),
          completion: BigInt(one.completion),
          request: BigInt(one.request),
        },
      ]),
    ),
  }
}

/** Any number of bits is as likely as any other: so small and large ones both come up. */
function bits(most: number): fc.Arbitrary<bigint> {
  return fc.integer({ min: 0, max: most }).chain((count) => fc.bigInt(0n, 2n ** BigInt(count) - 1n))
}

function totalArbitrary(): fc.Arbitrary<bigint> {
  return bits(103)
}

function planArbitrary(): fc.Arbitrary<DevnetPlan> {
  const price = fc.record({
    pricePerMillion: bits(48),
    discountBps: fc.integer({ min: 0, max: 10_000 }),
  })
  const weight = fc.integer({ min: 0, max: 2 ** 32 - 1 })
  const weights = fc.record({
    prompt: weight,
    cachedPrompt: weight,
    completion: weight,
    request: weight,
  })
  return fc
    .record({
      mode: fc.constantFrom('graduated' as const, 'volume' as const),
      minimum: bits(112),
      fee: bits(112),
      bounds: fc.uniqueArray(fc.bigInt(1n, 2n ** 64n - 2n), { maxLength: 15 }),
      prices: fc.array(price, { minLength: 16, maxLength: 16 }),
      rates: fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: MODELS }), weights), {
        maxLength: 12,
        selector: ([model]) => model,
      }),
      byDefault: weights,
    })
    .map(({ mode, minimum, fee, bounds, prices, rates, byDefault }) => ({
      ...FREE,
      mode,
      minimum,
      fee,
      tiers: [...bounds.sort((a, b) => (a < b ? -1 : 1)), null].map((upTo, i) => ({
        upTo,
        pricePerMillion: prices[i]?.pricePerMillion ?? 0n,
        discountBps: prices[i]?.discountBps ?? 0,
      })),
      rates: { 0: byDefault, ...Object.fromEntries(rates) },
    }))
}

function rowsArbitrary(): fc.Arbitrary<UsageTotal[]> {
  const row = fc
    .record({
      modelId: fc.integer({ min: 0, max: MODELS + 5 }),
      promptTokens: bits(64),
      cached: bits(64),
      completionTokens: bits(64),
      requests: bits(32),
    })
    .map(({ cached, modelId, ...row }) => ({
      ...row,
      modelId: modelId as ModelId,
      cachedPromptTokens: cached % (row.promptTokens + 1n),
    }))
  return fc
    .uniqueArray(row, { minLength: 1, maxLength: 12, selector: ({ modelId }) => modelId })
    .map((rows) => rows.sort((a, b) => a.modelId - b.modelId))
}
