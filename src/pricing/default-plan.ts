import { wad } from '../domain/money.js'
import type { Plan, Rate } from './plan.js'

/** Names of the default plan's models in the provider's table; their ids are 1, 2, 3, 4. */
export const defaultPlanModels = ['gpt-4', 'gpt-3.5', 'claude-3-opus', 'claude-3-haiku'] as const

/** Every version of a family counts as the family (design, section 4). */
export const defaultPlanAliases: Readonly<Record<string, string>> = Object.fromEntries(
  defaultPlanModels.map((family) => [`${family}*`, family]),
)

/**
 * Starter to 100k tokens at $0.02 per 1k; Growth to 1M at $0.015, 10 % off; Scale to 10M at $0.01,
 * 20 % off; Enterprise above at $0.008, 30 % off. Large models weigh 1.5, small ones 0.8.
 */
export const defaultPlan: Plan = {
  currency: 'USD',
  mode: 'graduated',
  periodKind: 'month',
  tiers: [
    { upTo: 100_000n, pricePerMillion: 20_000_000n, discountBps: 0n },
    { upTo: 1_000_000n, pricePerMillion: 15_000_000n, discountBps: 1_000n },
    { upTo: 10_000_000n, pricePerMillion: 10_000_000n, discountBps: 2_000n },
    { upTo: null, pricePerMillion: 8_000_000n, discountBps: 3_000n },
  ],
  minimum: wad(0n),
  fee: wad(0n),
  rates: new Map([
    [0, flatRate(10_000n)],
    [1, flatRate(15_000n)],
    [2, flatRate(8_000n)],
    [3, flatRate(15_000n)],
    [4, flatRate(8_000n)],
  ]),
}

/** All tokens weigh the same, requests nothing. */
function flatRate(weight: bigint): Rate {
  return { prompt: weight, cachedPrompt: weight, completion: weight, request: 0n }
}
