import { BUDGET_MAX, type KeyLimits, limitsText, microdollars } from '../domain/key-limits.js'
import type { Wad } from '../domain/money.js'
import type { Tier } from '../domain/quota.js'
import type { Stores } from '../ports/stores.js'
import type { Budget } from '../pricing/budget.js'
import type { AccountFacts } from './account-facts.js'
import { tierOf } from './account-state.js'
import type { BudgetSettings } from './budget-settings.js'

/**
 * Lowers what the gateway lets an account's keys do to what its tier and its budget allow. Nothing is
 * raised here: a key may have less, and who changes a tier or a budget says what keys get.
 */
export async function lowerToTerms(
  facts: Pick<AccountFacts, 'keys' | 'tier' | 'budget'>,
  settings: BudgetSettings,
  { keys }: Pick<Stores, 'keys'>,
): Promise<void> {
  const tier = tierOf(facts, settings)
  for (const { id, state, limits } of facts.keys) {
    if (state !== 'wanted') continue
    const lowered = lowerTo(limits, tier, facts.budget)
    if (limitsText(lowered) !== limitsText(limits)) await keys.change(id, { limits: lowered })
  }
}

/** Pure: limits that are within a tier and a budget, and otherwise as they were. */
export function lowerTo(
  limits: KeyLimits,
  tier: Tier | undefined,
  budget: Budget | undefined,
): KeyLimits {
  const most = budget === undefined ? null : dollarsOf(budget)
  const isAbove = most !== null && (limits.maxBudget === null || limits.maxBudget > most)
  return {
    maxBudget: isAbove ? most : limits.maxBudget,
    budgetDuration: isAbove ? `${budget?.days}d` : limits.budgetDuration,
    rpmLimit: lower(limits.rpmLimit, tier?.rpmLimit ?? null),
    tpmLimit: lower(limits.tpmLimit, tier?.tpmLimit ?? null),
    models: modelsWithin(limits.models, tier?.models ?? []),
  }
}

/** What a key gets of a tier and a budget that were just given to its account. */
export function limitsUnder(
  limits: KeyLimits,
  tier: Tier | undefined,
  budget: Budget | undefined,
): KeyLimits {
  const most = budget === undefined ? null : dollarsOf(budget)
  return {
    maxBudget: most ?? limits.maxBudget,
    budgetDuration: most === null ? limits.budgetDuration : `${budget?.days}d`,
    rpmLimit: tier === undefined ? limits.rpmLimit : (tier.rpmLimit ?? limits.rpmLimit),
    tpmLimit: tier === undefined ? limits.tpmLimit : (tier.tpmLimit ?? limits.tpmLimit),
    models: tier === undefined || tier.models.length === 0 ? limits.models : tier.models,
  }
}

/**
 * The gateway counts in dollars, by prices of its own: a brake beside ours, which must not be the
 * first to act, so it is rounded up. Null for a budget in another currency, which no rate here changes.
 */
function dollarsOf({ hard, currency }: Budget): KeyLimits['maxBudget'] {
  if (currency.toUpperCase() !== 'USD') return null
  const micros = (hard + WAD_PER_MICRODOLLAR - 1n) / WAD_PER_MICRODOLLAR
  return micros > BUDGET_MAX ? BUDGET_MAX : microdollars(micros)
}

const WAD_PER_MICRODOLLAR = (10n ** 12n) as Wad

function lower(limit: number | null, most: number | null): number | null {
  if (limit === null || most === null) return limit ?? most
  return Math.min(limit, most)
}

/** None named is every model, so what is left of none of them is the tier's. */
function modelsWithin(models: readonly string[], allowed: readonly string[]): readonly string[] {
  if (allowed.length === 0) return models
  const left = models.filter((model) => allowed.includes(model))
  return left.length === 0 ? allowed : left
}
