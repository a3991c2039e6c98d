import { wad } from '../../../src/domain/money.js'
import { PERIOD_KINDS } from '../../../src/domain/period.js'
import { defaultPlan, defaultPlanModels } from '../../../src/pricing/default-plan.js'
import type { Plan } from '../../../src/pricing/plan.js'

const CENT = 10n ** 16n

/** Three plans for each length of a period; no two cost the same. */
export const PLANS: ReadonlyMap<string, Plan> = new Map(
  PERIOD_KINDS.flatMap((periodKind) => [
    [`${periodKind}-1`, { ...defaultPlan, periodKind }],
    [`${periodKind}-2`, { ...defaultPlan, periodKind, fee: wad(7n * CENT) }],
    [
      `${periodKind}-3`,
      { ...defaultPlan, periodKind, mode: 'volume', minimum: wad(90n * CENT) } satisfies Plan,
    ],
  ]),
)

/** `llama-3` is not among them: it is priced as any other model. */
export const MODELS_HELD: readonly string[] = defaultPlanModels
