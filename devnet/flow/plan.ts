import { array, type CadenceValue, optional, string, uint } from './cadence-json.js'

/** Weights of one model, in 1e-4 tokens. */
export interface PlanRate {
  readonly prompt: number
  readonly cachedPrompt: number
  readonly completion: number
  readonly request: number
}

export interface PlanTier {
  /** The last billable token of the tier; null in the last tier. */
  readonly upTo: bigint | null
  /** In 1e-6 of the currency, for a million billable tokens. */
  readonly pricePerMillion: bigint
  readonly discountBps: number
}

export interface Plan {
  readonly currency: string
  readonly mode: 'graduated' | 'volume'
  readonly period: 'day' | 'week' | 'month'
  /** For a period, in wad of the currency, as is `fee`. */
  readonly minimum: bigint
  readonly fee: bigint
  readonly noticeSeconds: number
  /** Ascending. */
  readonly tiers: readonly PlanTier[]
  /** By model id; id 0 is any other model, and must be there. */
  readonly rates: Readonly<Record<number, PlanRate>>
}

/** The models of the default plan that have a weight of their own, in the order of their ids. */
export const DEFAULT_MODELS = ['gpt-4', 'gpt-3.5', 'claude-3-opus', 'claude-3-haiku'] as const

const weight = (tenThousandths: number): PlanRate => ({
  prompt: tenThousandths,
  cachedPrompt: tenThousandths,
  completion: tenThousandths,
  request: 0,
})

/** Starter to 100k tokens at $0.02 per 1k, Growth to 1M at $0.015 less 10 %, Scale to 10M at $0.01
 * less 20 %, Enterprise above at $0.008 less 30 %. */
export const DEFAULT_PLAN: Plan = {
  currency: 'USD',
  mode: 'graduated',
  period: 'month',
  minimum: 0n,
  fee: 0n,
  noticeSeconds: 86_400,
  tiers: [
    { upTo: 100_000n, pricePerMillion: 20_000_000n, discountBps: 0 },
    { upTo: 1_000_000n, pricePerMillion: 15_000_000n, discountBps: 1_000 },
    { upTo: 10_000_000n, pricePerMillion: 10_000_000n, discountBps: 2_000 },
    { upTo: null, pricePerMillion: 8_000_000n, discountBps: 3_000 },
  ],
  rates: {
    0: weight(10_000),
    1: weight(15_000),
    2: weight(8_000),
    3: weight(15_000),
    4: weight(8_000),
  },
}

/** The arguments of `provider/publish_plan`. */
export function planArguments(plan: Plan): CadenceValue[] {
  const { tiers } = plan
  const rates = Object.entries(plan.rates).map(([model, rate]) => ({ model, ...rate }))
  const column = (type: string, values: readonly (bigint | number | string)[]): CadenceValue =>
    array(values.map((value) => ({ type, value: String(value) })))
  return [
    string(plan.currency),
    string(plan.mode),
    string(plan.period),
    uint('UInt128', plan.minimum),
    uint('UInt128', plan.fee),
    uint('UInt32', plan.noticeSeconds),
    array(tiers.map(({ upTo }) => optional(upTo === null ? null : uint('UInt64', upTo)))),
    column(
      'UInt64',
      tiers.map(({ pricePerMillion }) => pricePerMillion),
    ),
    column(
      'UInt16',
      tiers.map(({ discountBps }) => discountBps),
    ),
    column(
      'UInt16',
      rates.map(({ model }) => model),
    ),
    column(
      'UInt32',
      rates.map(({ prompt }) => prompt),
    ),
    column(
      'UInt32',
      rates.map(({ cachedPrompt }) => cachedPrompt),
    ),
    column(
      'UInt32',
      rates.map(({ completion }) => completion),
    ),
    column(
      'UInt32',
      rates.map(({ request }) => request),
    ),
  ]
}
