import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { DEFAULT_MODELS, DEFAULT_PLAN } from '../../devnet/flow/plan.js'
import { assert } from '../../src/domain/errors.js'
import { modelId } from '../../src/domain/ids.js'
import { formatWad, wad } from '../../src/domain/money.js'
import { defaultPlan, defaultPlanModels } from '../../src/pricing/default-plan.js'
import type { PlanDraft } from '../../src/pricing/plan.js'
import { diffPlans } from '../../src/pricing/plan-diff.js'
import { draftOf, tableWith, termsOf, unregisteredModels } from '../../src/pricing/plan-draft.js'
import { planHash } from '../../src/pricing/plan-hash.js'
import { billableOf, priceOf } from '../../src/pricing/price.js'
import { parsePlanFile } from '../../src/settlers/flow/plan-file.js'

const folder = resolve(import.meta.dirname, '../../plans')

function shipped(name: string): ReadonlyMap<string, PlanDraft> {
  const parsed = parsePlanFile(JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')))
  assert(parsed.ok, parsed.ok ? '' : parsed.problems.join())
  return parsed.plans
}

function only(plans: ReadonlyMap<string, PlanDraft>, name = ''): PlanDraft {
  const draft = plans.get(name)
  assert(draft !== undefined, `no plan ${name}`)
  return draft
}

/** Dollars of so many tokens of a model, in a period of their own. */
function cost(draft: PlanDraft, name: string, prompt: bigint, cached: bigint, completion: bigint) {
  const table = tableWith([], draft.namedRates.keys())
  const terms = termsOf(draft, table)
  const usage = { promptTokens: prompt, cachedPromptTokens: cached, completionTokens: completion }
  const row = { modelId: modelId(table.indexOf(name) + 1), ...usage, requests: 1n }
  return formatWad(priceOf(terms, billableOf(terms, [row])))
}

const plain = {
  format: 'flowmeter.plan.v1',
  currency: 'USD',
  period: 'month',
  tiers: [{ pricePerMillion: '1' }],
  otherModels: '1',
}

function problemsOf(change: object): readonly string[] {
  const parsed = parsePlanFile({ ...plain, ...change })
  return parsed.ok ? [] : parsed.problems
}

describe('the default plan', () => {
  const draft = only(shipped('default'))
  const { noticeS, ...terms } = termsOf(draft, tableWith([], draft.namedRates.keys()))

  test('is the daemon’s, model by model', () => {
    expect([...draft.namedRates.keys()]).toEqual([...defaultPlanModels])
    expect(terms).toEqual(defaultPlan)
    expect(noticeS).toBe(86_400)
  })

  test('is the local network’s', () => {
    expect([...draft.namedRates.keys()]).toEqual([...DEFAULT_MODELS])
    expect(terms.tiers.map((tier) => ({ ...tier, discountBps: Number(tier.discountBps) }))).toEqual(
      DEFAULT_PLAN.tiers,
    )
    const weights = Object.values(DEFAULT_PLAN.rates).map(({ prompt }) => BigInt(prompt))
    expect([...terms.rates.values()].map(({ prompt }) => prompt)).toEqual(weights)
  })

  test('has one hash, which a change of anything changes', () => {
    const full = { ...terms, noticeS }
    const hash = planHash(full)
    const [tier] = full.tiers
    assert(tier !== undefined)
    for (const other of [
      { ...full, currency: 'FLOW' },
      { ...full, mode: 'volume' as const },
      { ...full, periodKind: 'week' as const },
      { ...full, minimum: wad(1n) },
      { ...full, fee: wad(1n) },
      { ...full, noticeS: 0 },
      { ...full, tiers: full.tiers.slice(1) },
      { ...full, tiers: [{ ...tier, discountBps: 1n }, ...full.tiers.slice(1)] },
      { ...full, rates: new Map([...full.rates, [5, defaultPlan.rates.get(1) as never]]) },
    ]) {
      expect(planHash(other)).not.toBe(hash)
    }
    // In whatever order the rates were put in.
    expect(planHash({ ...full, rates: new Map([...full.rates].reverse()) })).toBe(hash)
  })
})

describe('cost plus', () => {
  const plans = shipped('cost-plus')

  test('is a plan for each markup and power level', () => {
    const markups = ['free', 'starter', 'professional', 'enterprise']
    const levels = ['eco', 'balanced', 'precision']
    expect([...plans.keys()]).toEqual(markups.flatMap((a) => levels.map((b) => `${a}/${b}`)))
  })

  // A million tokens of each class of gpt-4o cost $2.50, $1.25 cached and $10 at the vendor.
  test.each([
    ['free/precision', '0'],
    ['starter/eco', '0.55'],
    ['starter/balanced', '1.375'],
    ['starter/precision', '5.5'],
    ['professional/precision', '8.25'],
    ['enterprise/eco', '1.1'],
    ['enterprise/precision', '11'],
  ])('%s asks model price x markup x power level: %s', (name, dollars) => {
    const million = 1_000_000n
    expect(cost(only(plans, name), 'gpt-4o', 2n * million, million, million)).toBe(
      // 2.5 + 1.25 + 10 = 13.75 at the vendor
      dollars,
    )
  })

  test('an unknown model is the dearest', () => {
    const plan = only(plans, 'starter/precision')
    for (const rate of plan.namedRates.values()) {
      expect(plan.defaultRate.prompt).toBeGreaterThanOrEqual(rate.prompt)
      expect(plan.defaultRate.cachedPrompt).toBeGreaterThanOrEqual(rate.cachedPrompt)
      expect(plan.defaultRate.completion).toBeGreaterThanOrEqual(rate.completion)
    }
  })
})

test('with a key of their own customers pay a twentieth, and nothing else differs', () => {
  const [byok, usual] = [only(shipped('byok')), only(shipped('default'))]
  expect(diffPlans(usual, byok)).toEqual([{ part: 'model byok', before: '', after: '0.05' }])
  expect(cost(byok, 'byok', 40_000n, 0n, 20_000n)).toBe('0.06')
  expect(cost(byok, 'gpt-4', 40_000n, 0n, 20_000n)).toBe('1.8')
})

describe('what a file may say', () => {
  const end = (upTo: string) => ({ upTo, pricePerMillion: '1' })
  const last = { pricePerMillion: '1' }
  const named = (model: string, rate: unknown = '1') => ({ model, rate })

  test.each<[string, object]>([
    [
      '16 tiers',
      { tiers: [...Array(15).keys()].map((i) => end(`${i + 1}`)).concat(last as never) },
    ],
    ['the last bound there is', { tiers: [end('18446744073709551614'), last] }],
    ['the highest price', { tiers: [{ pricePerMillion: '281474976.710655' }] }],
    ['the highest weight', { otherModels: '429496.7295' }],
    ['the highest amounts', { minimum: '5192296858534827.628530496329220095' }],
    ['all of it as discount', { tiers: [{ pricePerMillion: '1', discountBps: 10_000 }] }],
    ['a notice of 7 days', { noticeSeconds: 604_800 }],
    ['16 characters of currency', { currency: 'SIXTEEN-LETTERS!' }],
    ['weights by class', { otherModels: { prompt: '1', completion: '2', request: '3' } }],
    ['a long model name', { models: [named('m'.repeat(256))] }],
  ])('%s', (_, change) => expect(problemsOf(change)).toEqual([]))

  test.each<[string, object, string]>([
    ['no format', { format: undefined }, 'expected "format"'],
    ['a word of its own', { price: '1' }, 'price'],
    ['no tier', { tiers: [] }, 'tiers: a plan has 1 to 16 tiers'],
    ['17 tiers', { tiers: Array(17).fill(last) }, 'tiers: a plan has 1 to 16 tiers'],
    ['a last tier with an end', { tiers: [end('5')] }, 'tiers.0.upTo: the last tier has no end'],
    ['an open tier', { tiers: [last, last] }, 'tiers.0.upTo: only the last tier has no end'],
    ['tiers that fall', { tiers: [end('5'), end('5'), last] }, 'tiers.1.upTo: a tier ends above'],
    ['a tier without tokens', { tiers: [end('0'), last] }, 'tiers.0.upTo: a tier ends at a token'],
    ['a bound of 2^64 - 1', { tiers: [end('18446744073709551615'), last] }, '2^64 - 2'],
    ['a price of 2^48', { tiers: [{ pricePerMillion: '281474976.710656' }] }, '2^48'],
    ['a price with 7 places', { tiers: [{ pricePerMillion: '0.0000001' }] }, '6 places'],
    ['a price as number', { tiers: [{ pricePerMillion: 20 }] }, 'decimal text in quotes'],
    ['a discount of 10001', { tiers: [{ ...last, discountBps: 10_001 }] }, 'at most 10000'],
    ['a weight of 2^32', { otherModels: '429496.7296' }, 'otherModels'],
    ['a negative weight', { otherModels: '-1' }, 'otherModels'],
    ['no default rate', { otherModels: undefined }, 'otherModels'],
    ['a minimum of 2^112', { minimum: '5192296858534827.628530496329220096' }, 'minimum: an'],
    ['a fee of 19 places', { fee: '0.0000000000000000001' }, 'fee: expected decimal text'],
    ['a notice above 7 days', { noticeSeconds: 604_801 }, 'noticeSeconds: a notice'],
    ['a mode of its own', { mode: 'flat' }, 'mode: expected graduated or volume'],
    ['a period of its own', { period: 'year' }, 'period: expected day, week or month'],
    ['no currency', { currency: '' }, 'currency: expected 1 to 16'],
    ['a long currency', { currency: 'SEVENTEEN-LETTERS' }, 'currency: expected 1 to 16'],
    ['a model twice', { models: [named('a'), named('a')] }, 'models: a model is named twice'],
    ['a model without name', { models: [named('')] }, 'models.0.model: a model name has 1'],
    ['a longer name', { models: [named('m'.repeat(257))] }, 'models.0.model: a model name has 1'],
    ['a name in parts', { models: [named('e\u0301')] }, 'models.0.model: a model name is written'],
  ])('not %s', (_, change, why) => {
    expect(problemsOf(change).join('\n')).toContain(why)
  })

  test('every problem is told at once', () => {
    expect(problemsOf({ currency: '', period: 'year', tiers: [] })).toHaveLength(3)
  })
})

describe('models and ids', () => {
  const draft = only(shipped('default'))

  test('ids are those of the provider’s own table', () => {
    const table = ['claude-3-haiku', 'other', 'gpt-4', 'gpt-3.5', 'claude-3-opus']
    expect(unregisteredModels(draft, table)).toEqual([])
    const terms = termsOf(draft, table)
    expect([...terms.rates].map(([id, { prompt }]) => [id, prompt])).toEqual([
      [0, 10_000n],
      [1, 8_000n],
      [3, 15_000n],
      [4, 8_000n],
      [5, 15_000n],
    ])
    expect(diffPlans(draft, draftOf(terms, table))).toEqual([])
  })

  test('what the table has not is named, and a bug where it is not registered first', () => {
    expect(unregisteredModels(draft, ['gpt-4'])).toEqual(defaultPlanModels.slice(1))
    expect(() => termsOf(draft, ['gpt-4'])).toThrow('gpt-3.5 is not in the provider')
    expect(tableWith(['x', 'gpt-4'], ['gpt-3.5', 'gpt-4'])).toEqual(['x', 'gpt-4', 'gpt-3.5'])
  })
})
