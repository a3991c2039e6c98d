import type { Plan } from './plan.js'
import type { Billable } from './price.js'

const ONE_TOKEN = 10_000n

/** How far a period has come on its plan's tiers. Billable tokens, whole ones, rounded down. */
export interface TierProgress {
  readonly tokens: bigint
  /** Of `tiers`: the one that the next token falls into. */
  readonly current: number
  readonly tiers: Plan['tiers']
  /** Until the next tier; undefined in the last one. */
  readonly toNext: bigint | undefined
}

export function tierProgress({ tiers }: Pick<Plan, 'tiers'>, billable: Billable): TierProgress {
  const tokens = billable / ONE_TOKEN
  const found = tiers.findIndex(({ upTo }) => upTo === null || billable < upTo * ONE_TOKEN)
  const current = found < 0 ? tiers.length - 1 : found
  const upTo = tiers[current]?.upTo ?? null
  return { tokens, current, tiers, toNext: upTo === null ? undefined : upTo - tokens }
}
