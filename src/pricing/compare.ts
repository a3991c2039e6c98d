import { assert } from '../domain/errors.js'
import { type Wad, wad } from '../domain/money.js'
import type { UsageTotal } from '../domain/usage-total.js'
import type { Plan, Rate, Tier } from './plan.js'
import { type Billable, billableOf, priceOf } from './price.js'

const ONE_TOKEN = 10_000n

/** Where usage stands among the tiers of its plan. */
export interface TierStanding {
  /** From 1. */
  readonly tier: number
  readonly tiers: number
  /** Billable tokens, inclusive; undefined in the last tier. */
  readonly upTo: bigint | undefined
  /** 1e-4 billable tokens until the next tier begins; undefined in the last. */
  readonly left: bigint | undefined
  readonly terms: Tier
}

export function standingOf({ tiers }: Plan, billable: bigint): TierStanding {
  const index = tiers.findIndex(({ upTo }) => upTo === null || billable <= upTo * ONE_TOKEN)
  const terms = tiers[index]
  assert(terms !== undefined, 'the last tier has no upper bound')
  const upTo = terms.upTo ?? undefined
  const left = upTo === undefined ? undefined : upTo * ONE_TOKEN - billable
  return { tier: index + 1, tiers: tiers.length, upTo, left, terms }
}

/** What it would cost if all of it had the terms of the first tier; minimum and fee as in the plan. */
export function priceAtFirstTier(plan: Plan, billable: Billable): Wad {
  const [first] = plan.tiers
  assert(first !== undefined, 'a plan has a tier')
  return priceOf({ ...plan, tiers: [{ ...first, upTo: null }] }, billable)
}

/** What the whole would cost if one model's part had been done by another model of the plan. */
export interface Substitution {
  readonly modelId: number
  readonly price: Wad
  readonly saving: Wad
}

/**
 * The same tokens on every other named model of the plan, cheapest first; those that save nothing
 * are left out. Priced by the plan's own function over the whole period, so that a saving is what
 * the bill would really be lower by: less usage in dear tiers, a minimum that is due all the same.
 */
export function substitutionsOf(
  plan: Plan,
  rows: readonly UsageTotal[],
  used: UsageTotal,
  candidates: ReadonlySet<number>,
): Substitution[] {
  const whole = billableOf(plan, rows)
  const own = billableOf(plan, [used])
  const now = priceOf(plan, whole)
  const found: Substitution[] = []
  for (const modelId of candidates) {
    const rate = plan.rates.get(modelId)
    if (rate === undefined || modelId === used.modelId || isFree(rate)) continue
    const other = billableOf(plan, [{ ...used, modelId: modelId as UsageTotal['modelId'] }])
    const price = priceOf(plan, (whole - own + other) as Billable)
    if (price < now) found.push({ modelId, price, saving: wad(now - price) })
  }
  return found.sort((a, b) =>
    a.price === b.price ? a.modelId - b.modelId : a.price < b.price ? -1 : 1,
  )
}

/** A model that weighs nothing is one that customers pay elsewhere: no cheaper one. */
function isFree({ prompt, cachedPrompt, completion, request }: Rate): boolean {
  return prompt === 0n && cachedPrompt === 0n && completion === 0n && request === 0n
}
