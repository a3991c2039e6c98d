import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { modelId } from '../../src/domain/ids.js'
import { wad } from '../../src/domain/money.js'
import { addUsage, NO_USAGE, type Usage, type UsageTotal } from '../../src/domain/usage-total.js'
import {
  defaultPlan,
  defaultPlanAliases,
  defaultPlanModels,
} from '../../src/pricing/default-plan.js'
import { planModel } from '../../src/pricing/model-aliases.js'
import type { Plan, Tier } from '../../src/pricing/plan.js'
import { type Billable, billableOf, priceOf } from '../../src/pricing/price.js'
import { rowOf } from '../support/rows.js'
import { priceVectors } from '../support/vectors.js'

const ONE_TOKEN = 10_000n
const price = (plan: Plan, tenThousandths: bigint) => priceOf(plan, tenThousandths as Billable)
const { cases, plan: vectorPlan } = priceVectors

describe('the worked prices', () => {
  const tiers = vectorPlan.tiers.map(({ upTo, pricePerMillion, discountBps }) => ({
    upTo: upTo === null ? null : BigInt(upTo),
    pricePerMillion: BigInt(pricePerMillion),
    discountBps: BigInt(discountBps),
  }))
  const rates = Object.entries(vectorPlan.rates).map(
    ([id, { prompt, cachedPrompt, completion, request }]) =>
      [
        Number(id),
        {
          prompt: BigInt(prompt),
          cachedPrompt: BigInt(cachedPrompt),
          completion: BigInt(completion),
          request: BigInt(request),
        },
      ] as const,
  )
  const plan = (mode: Plan['mode']): Plan => ({
    ...defaultPlan,
    mode,
    tiers,
    rates: new Map(rates),
    minimum: wad(BigInt(vectorPlan.minimum)),
    fee: wad(BigInt(vectorPlan.fee)),
  })

  test.each(cases.map((one, i) => ({ ...one, i })))('case $i, $mode', (one) => {
    const billable = billableOf(plan(one.mode), one.rows.map(rowOf))
    expect(billable).toBe(BigInt(one.billableTenThousandths))
    expect(priceOf(plan(one.mode), billable)).toBe(BigInt(one.priceWad))
  })

  test('are of the default plan, but for the numbers of its models', () => {
    expect(tiers).toEqual(defaultPlan.tiers)
    expect([defaultPlan.mode, defaultPlan.currency]).toEqual(['graduated', vectorPlan.currency])
    const weight = (id: number) => defaultPlan.rates.get(id)?.prompt
    const byName = defaultPlanModels.map((name, i) => [name, weight(i + 1)] as const)
    expect(new Map(byName)).toEqual(
      new Map([
        ['gpt-4', 15_000n],
        ['claude-3-opus', 15_000n],
        ['gpt-3.5', 8_000n],
        ['claude-3-haiku', 8_000n],
      ]),
    )
    expect(weight(0)).toBe(10_000n)
  })
})

/** Any plan that could be published, with few tokens a tier so that bounds are crossed. */
const anyPlan: fc.Arbitrary<Plan> = fc
  .record({
    mode: fc.constantFrom('graduated' as const, 'volume' as const),
    widths: fc.array(fc.bigInt(1n, 5_000n), { maxLength: 15 }),
    prices: fc.array(fc.bigInt(0n, 2n ** 48n - 1n), { minLength: 16, maxLength: 16 }),
    discounts: fc.array(fc.bigInt(0n, 10_000n), { minLength: 16, maxLength: 16 }),
    minimum: fc.bigInt(0n, 10n ** 20n),
    fee: fc.bigInt(0n, 10n ** 20n),
    weights: fc.array(fc.bigInt(0n, 2n ** 32n - 1n), { minLength: 8, maxLength: 8 }),
  })
  .map(({ mode, widths, prices, discounts, minimum, fee, weights }) => {
    let bound = 0n
    const bounds = widths.map((width) => {
      bound += width
      return bound
    })
    const tiers = [...bounds, null].map(
      (upTo, i): Tier => ({
        upTo,
        pricePerMillion: prices[i] ?? 0n,
        discountBps: discounts[i] ?? 0n,
      }),
    )
    const rate = (first: number) => ({
      prompt: weights[first] ?? 0n,
      cachedPrompt: weights[first + 1] ?? 0n,
      completion: weights[first + 2] ?? 0n,
      request: weights[first + 3] ?? 0n,
    })
    const rates = new Map([
      [0, rate(0)],
      [1, rate(4)],
    ])
    return { ...defaultPlan, mode, tiers, minimum: wad(minimum), fee: wad(fee), rates }
  })

/** Around bounds as often as anywhere else. */
const anyBillable = fc.oneof(
  fc.bigInt(0n, 80_000n * ONE_TOKEN),
  fc.bigInt(0n, 20n).map((tokens) => tokens * ONE_TOKEN),
  fc.bigInt(0n, 2n ** 100n),
)

describe('whatever the plan', () => {
  // Goal: the bill depends on what was used, not on how its arrival was cut into batches.
  // Method: charge `price(new total) - charged so far` part by part, and compare with one charge.
  test('any split of the usage costs the same, and no charge is negative', () => {
    const parts = fc.array(anyBillable, { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(anyPlan, parts, (plan, split) => {
        let total = 0n
        let charged = 0n
        for (const part of split) {
          total += part
          const charge = price(plan, total) - charged
          expect(charge).toBeGreaterThanOrEqual(0n)
          charged += charge
        }
        expect(charged).toBe(price(plan, total))
      }),
      { numRuns: 500 },
    )
  })

  test('more usage never costs less, and one unit more at a bound never does either', () => {
    fc.assert(
      fc.property(anyPlan, anyBillable, anyBillable, (plan, a, b) => {
        const [less, more] = a < b ? [a, b] : [b, a]
        expect(price(plan, more)).toBeGreaterThanOrEqual(price(plan, less))
        for (const { upTo } of plan.tiers) {
          const bound = (upTo ?? 0n) * ONE_TOKEN
          expect(price(plan, bound + 1n)).toBeGreaterThanOrEqual(price(plan, bound))
        }
      }),
      { numRuns: 500 },
    )
  })

  test('the minimum is due at least, the fee on top of everything', () => {
    fc.assert(
      fc.property(anyPlan, anyBillable, (plan, billable) => {
        const bare = price({ ...plan, minimum: wad(0n), fee: wad(0n) }, billable)
        const isMinimumDue = bare < plan.minimum
        expect(price(plan, billable) - plan.fee).toBe(isMinimumDue ? plan.minimum : bare)
        expect(price(plan, 0n)).toBe(plan.minimum + plan.fee)
      }),
    )
  })

  // Goal: graduated prices mean what they say. Method: pay every 1e-4 token by itself.
  test('graduated is each unit at the price of its own tier, rounded once', () => {
    const small = fc.bigInt(0n, 30_000n)
    fc.assert(
      fc.property(anyPlan, small, (plan, billable) => {
        const graduated: Plan = { ...plan, mode: 'graduated', minimum: wad(0n), fee: wad(0n) }
        let exact = 0n
        for (let unit = 1n; unit <= billable; unit += 1n) {
          const tier = plan.tiers.find(({ upTo }) => upTo === null || unit <= upTo * ONE_TOKEN)
          if (tier === undefined) throw new Error('a last tier has no bound')
          exact += tier.pricePerMillion * (10_000n - tier.discountBps)
        }
        expect(price(graduated, billable)).toBe(exact / 100n)
      }),
      { numRuns: 60 },
    )
  })

  test('volume is all at the reached tier, and never below what a crossed bound cost', () => {
    const plan: Plan = { ...defaultPlan, mode: 'volume' }
    const cheaper = price(plan, 100_001n * ONE_TOKEN)
    expect(cheaper).toBe(price(plan, 100_000n * ONE_TOKEN))
    expect(price(plan, 200_000n * ONE_TOKEN)).toBe(2_700_000_000_000_000_000n)
  })

  test('a plan without an end is a bug, and so is one without model 0', () => {
    const [first] = defaultPlan.tiers
    const endless = { ...defaultPlan, tiers: first === undefined ? [] : [first] }
    expect(() => price(endless, 100_001n * ONE_TOKEN)).toThrow('no upper bound')
    expect(() => price({ ...endless, mode: 'volume' }, 100_001n * ONE_TOKEN)).toThrow('upper bound')
    const row = { modelId: modelId(9), ...NO_USAGE }
    expect(() => billableOf({ ...defaultPlan, rates: new Map() }, [row])).toThrow('model 0')
  })
})

describe('billable tokens', () => {
  const anyUsage: fc.Arbitrary<Usage> = fc
    .tuple(fc.bigInt(0n, 2n ** 40n), fc.bigInt(0n, 2n ** 40n), fc.bigInt(0n, 2n ** 40n))
    .map(([cached, rest, completion]) => ({
      promptTokens: cached + rest,
      cachedPromptTokens: cached,
      completionTokens: completion,
      requests: 1n,
    }))
  const anyRecord = fc.record({ model: fc.integer({ min: 0, max: 3 }), usage: anyUsage })

  test('do not depend on the order of records, nor on how they were added up', () => {
    fc.assert(
      fc.property(
        anyPlan,
        fc.array(anyRecord),
        fc.infiniteStream(fc.nat()),
        (plan, records, dice) => {
          const shuffled = records
            .map((record) => ({ record, place: dice.next().value ?? 0 }))
            .sort((a, b) => a.place - b.place)
            .map(({ record }) => record)
          const oneByOne = records.reduce(
            (sum, record) => sum + billableOf(plan, totalsOf([record])),
            0n,
          )
          expect(billableOf(plan, totalsOf(shuffled))).toBe(billableOf(plan, totalsOf(records)))
          expect(oneByOne).toBe(billableOf(plan, totalsOf(records)))
        },
      ),
    )
  })

  test('weigh cached prompt tokens apart, and never twice', () => {
    const rate = { prompt: 10n, cachedPrompt: 1n, completion: 100n, request: 1_000n }
    const plan = { ...defaultPlan, rates: new Map([[0, rate]]) }
    const used = { promptTokens: 7n, cachedPromptTokens: 3n, completionTokens: 2n, requests: 5n }
    const row = { modelId: modelId(0), ...used }
    expect(billableOf(plan, [row])).toBe(4n * 10n + 3n * 1n + 2n * 100n + 5n * 1_000n)
    expect(() => billableOf(plan, [{ ...row, cachedPromptTokens: 8n }])).toThrow(
      'part of the prompt',
    )
  })

  function totalsOf(records: readonly { model: number; usage: Usage }[]): UsageTotal[] {
    const sums = new Map<number, Usage>()
    for (const { model, usage } of records) {
      sums.set(model, addUsage(sums.get(model) ?? NO_USAGE, usage))
    }
    return [...sums].map(([model, usage]) => ({ modelId: modelId(model), ...usage }))
  }
})

describe('model aliases', () => {
  const aliases = {
    'gpt-4*': 'large',
    'gpt-4o-mini*': 'small',
    'gpt-4o-mini-special': 'odd',
    '*': 'any',
  }

  test.each([
    ['gpt-4', 'large'],
    ['gpt-4-turbo', 'large'],
    ['gpt-4o-mini-2024', 'small'],
    ['gpt-4o-mini-special', 'odd'],
    ['gpt-4o-mini-special-2', 'small'],
    ['claude-3', 'any'],
    ['', 'any'],
  ])('%s is billed as %s', (model, name) => {
    expect(planModel(aliases, model)).toBe(name)
  })

  test('without an alias a model keeps its own name', () => {
    const few = { 'gpt-4*': 'gpt-4' }
    expect(['claude', 'gpt-', 'GPT-4', 'xgpt-4'].map((model) => planModel(few, model))).toEqual([
      ...['claude', 'gpt-', 'GPT-4', 'xgpt-4'],
    ])
  })

  test('names that every object has are models like any other', () => {
    const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty']
    expect(names.map((name) => planModel({}, name))).toEqual(names)
  })

  test('an alias is tried once: what it gives is not looked up again', () => {
    expect(planModel({ a: 'b', b: 'c' }, 'a')).toBe('b')
  })

  test('the default plan puts every version of a family under it', () => {
    const versions = ['gpt-4o', 'claude-3-opus-20240229', 'gpt-3.5-turbo', 'claude-3-haiku@x']
    const families = ['gpt-4', 'claude-3-opus', 'gpt-3.5', 'claude-3-haiku']
    expect(versions.map((model) => planModel(defaultPlanAliases, model))).toEqual(families)
    expect([...defaultPlanModels].sort()).toEqual([...families].sort())
    expect(planModel(defaultPlanAliases, 'mistral-large')).toBe('mistral-large')
  })
})
