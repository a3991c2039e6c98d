import { DEFAULT_MODELS, DEFAULT_PLAN } from './flow/plan.js'

/** Usage of one user and model, in tokens. */
export interface ModelUsage {
  readonly model: string
  readonly promptTokens: bigint
  readonly completionTokens: bigint
}

/**
 * The bill of a month under the default plan, from nothing but LiteLLM's rows: the check that the
 * contract and the daemon are held to. Graduated; large models weigh 1.5, small ones 0.8.
 *
 * @returns wad of USD, rounded down once
 */
export function expectedCharge(usage: readonly ModelUsage[]): bigint {
  const weighed = usage.reduce(
    (sum, { model, promptTokens, completionTokens }) =>
      sum + weightOf(model) * (promptTokens + completionTokens),
    0n,
  )
  let exact = 0n
  let below = 0n
  for (const tier of DEFAULT_PLAN.tiers) {
    const bound = tier.upTo === null ? weighed : tier.upTo * 10_000n
    const top = weighed < bound ? weighed : bound
    exact += (top - below) * tier.pricePerMillion * BigInt(10_000 - tier.discountBps)
    below = top
  }
  return exact / 100n
}

/** In 1e-4. A version of a family (`gpt-4o-mini`) counts as the family (`gpt-4`). */
function weightOf(model: string): bigint {
  const family = DEFAULT_MODELS.findIndex((name) => model.startsWith(name))
  return BigInt(DEFAULT_PLAN.rates[family + 1]?.prompt ?? 10_000)
}
