import { assert } from '../domain/errors.js'
import type { Brand } from '../domain/ids.js'
import { type Wad, wad } from '../domain/money.js'
import type { UsageTotal } from '../domain/usage-total.js'
import type { Plan, Rate, Tier } from './plan.js'

/** Tokens times weight, in 1e-4 tokens. */
export type Billable = Brand<bigint, 'Billable'>

const ONE_TOKEN = 10_000n
const FULL_BPS = 10_000n
/** 1e-4 tokens x 1e-6 currency / 1e6 tokens x 1e-4 discount is 1e-20, and a wad is 1e-18. */
const EXACT_PER_WAD = 100n

/** What a period's totals weigh under a plan, summed over the models. Exact. */
export function billableOf(plan: Plan, rows: readonly UsageTotal[]): Billable {
  return rows.reduce((sum, row) => sum + weigh(row, rateOf(plan, row.modelId)), 0n) as Billable
}

/** What a period costs in all: without usage nothing, whatever minimum and fee are. */
export function dueOf(plan: Plan, rows: readonly UsageTotal[]): Wad {
  return rows.some(hasUsage) ? priceOf(plan, billableOf(plan, rows)) : wad(0n)
}

/**
 * What a period with usage costs in all; the usage may weigh nothing. Exact until its one division,
 * which rounds down.
 */
export function priceOf(plan: Plan, billable: Billable): Wad {
  const exact = plan.mode === 'volume' ? volume(plan, billable) : graduated(plan, billable)
  return (max(exact / EXACT_PER_WAD, plan.minimum) + plan.fee) as Wad
}

/** Part of the prompt tokens are the cached ones. */
function hasUsage({ promptTokens, completionTokens, requests }: UsageTotal): boolean {
  return promptTokens > 0n || completionTokens > 0n || requests > 0n
}

function weigh(row: UsageTotal, rate: Rate): bigint {
  const uncached = row.promptTokens - row.cachedPromptTokens
  assert(uncached >= 0n, 'cached tokens are part of the prompt')
  return (
    uncached * rate.prompt +
    row.cachedPromptTokens * rate.cachedPrompt +
    row.completionTokens * rate.completion +
    row.requests * rate.request
  )
}

function rateOf(plan: Plan, modelId: number): Rate {
  const rate = plan.rates.get(modelId) ?? plan.rates.get(0)
  assert(rate !== undefined, 'a plan has a rate for model 0')
  return rate
}

/** Each part at its own tier's price, in 1e-20 of the currency. */
function graduated({ tiers }: Plan, billable: Billable): bigint {
  let priced = 0n
  let exact = 0n
  for (const tier of tiers) {
    const end = tier.upTo === null ? billable : min(billable, tier.upTo * ONE_TOKEN)
    exact += (end - priced) * unit(tier)
    priced = end
  }
  assert(priced === billable, 'the last tier has no upper bound')
  return exact
}

/**
 * All of it at the price of the tier that was reached, but never less than what was due at a bound
 * that was crossed: more usage must not cost less.
 */
function volume({ tiers }: Plan, billable: Billable): bigint {
  let due = 0n
  for (const tier of tiers) {
    const bound = tier.upTo === null ? undefined : tier.upTo * ONE_TOKEN
    if (bound === undefined || billable <= bound) return max(due, billable * unit(tier))
    due = max(due, bound * unit(tier))
  }
  throw new Error('the last tier has no upper bound')
}

function unit({ pricePerMillion, discountBps }: Tier): bigint {
  return pricePerMillion * (FULL_BPS - discountBps)
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
