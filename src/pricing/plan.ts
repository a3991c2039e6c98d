import type { Wad } from '../domain/money.js'
import type { PeriodKind } from '../domain/period.js'

/** Weights in 1e-4 (10000 is 1.0), each below 2^32. */
export interface Rate {
  readonly prompt: bigint
  readonly cachedPrompt: bigint
  readonly completion: bigint
  readonly request: bigint
}

export interface Tier {
  /** Billable tokens, inclusive; null for the last tier alone. */
  readonly upTo: bigint | null
  /** 1e-6 of the currency for 1e6 billable tokens, below 2^48. */
  readonly pricePerMillion: bigint
  /** 0 to 10000. */
  readonly discountBps: bigint
}

/** The terms of a plan. Immutable once published. */
export interface Plan {
  readonly currency: string
  readonly mode: 'graduated' | 'volume'
  readonly periodKind: PeriodKind
  readonly tiers: readonly Tier[]
  /** At least this is due for a period with usage. */
  readonly minimum: Wad
  /** Due with the period's first entry. */
  readonly fee: Wad
  /** By model id; id 0, the rate of all other models, is mandatory. */
  readonly rates: ReadonlyMap<number, Rate>
}

/** A plan as it is published: with what it says besides prices. */
export interface PlanTerms extends Plan {
  /** How long a withdrawal waits, in seconds; at most 7 days. */
  readonly noticeS: number
}

/** A plan as it is written: its models by name, for ids are each provider's own. */
export interface PlanDraft extends Omit<PlanTerms, 'rates'> {
  /** Of all models that are not named. */
  readonly defaultRate: Rate
  /** In the order in which a provider's table would take them. */
  readonly namedRates: ReadonlyMap<string, Rate>
}
