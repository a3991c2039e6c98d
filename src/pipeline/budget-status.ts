import { formatWad } from '../domain/money.js'
import { HOLD_REASONS, type HoldReason } from '../domain/virtual-key.js'
import type { Clock } from '../ports/clock.js'
import type { AccountState } from '../ports/runways.js'
import type { Stores } from '../ports/stores.js'
import { type BudgetLevel, budgetState, budgetWindow } from '../pricing/budget.js'
import { RUNWAY_LEVELS, type RunwayLevel } from '../pricing/runway.js'

/** How keys and the accounts that pay for them stand. */
export interface BudgetStatus {
  /** Accounts with keys, by how long they last. */
  readonly levels: Readonly<Record<RunwayLevel, number>>
  /** Those that could not be looked at anew. */
  readonly stale: number
  /** Some that come to their end, and some that have. */
  readonly near: readonly NearStatus[]
  /** Accounts whose keys are held, by reason; one may have several. */
  readonly held: Readonly<Record<HoldReason, number>>
  /** Accounts whose soft limit is reached, some of them by their numbers. */
  readonly softBudgets: { readonly count: number; readonly accounts: readonly string[] }
  /** Of all accounts together. */
  readonly operator?: {
    readonly hard: string
    readonly spent: string
    readonly currency: string
    readonly level: BudgetLevel
  }
  /** How far the gateway follows. */
  readonly keys: {
    readonly pending: number
    readonly synced: number
    readonly failed: number
    readonly blocked: number
    /** Of the oldest change that the gateway does not follow. */
    readonly waitingSince?: string
    readonly failing: readonly { readonly alias: string; readonly problem: string }[]
  }
}

export interface NearStatus {
  readonly account: string
  readonly level: RunwayLevel
  readonly available: string
  readonly currency: string
  /** Absent: for ever at this pace. */
  readonly timeLeftS?: number
}

const SHOWN = 20

/** Undefined where no keys are managed. */
export async function budgetStatus(
  stores: Pick<Stores, 'runways' | 'holds' | 'keys' | 'budgetTerms'>,
  clock: Clock,
): Promise<BudgetStatus | undefined> {
  const { runways, holds, keys } = stores
  const counts = await keys.counts('all')
  const { levels, stale, softBudgets } = await runways.counts()
  const { pending, synced, failed } = counts.states
  if (pending + synced + failed === 0 && Object.keys(levels).length === 0) return undefined
  const near = [
    ...(await runways.at('soft', SHOWN)),
    ...(await runways.at('warn', SHOWN)),
    ...(await runways.at('dry', SHOWN)),
  ]
  const held = await holds.counts()
  const failing = await keys.failing('all', SHOWN)
  const operator = await operatorStatus(stores, clock)
  return {
    levels: Object.fromEntries(RUNWAY_LEVELS.map((level) => [level, levels[level] ?? 0])) as Record<
      RunwayLevel,
      number
    >,
    stale,
    near: near.map(nearStatus),
    held: Object.fromEntries(HOLD_REASONS.map((reason) => [reason, held[reason] ?? 0])) as Record<
      HoldReason,
      number
    >,
    softBudgets: {
      count: softBudgets,
      accounts: (await runways.atSoftBudget(SHOWN)).map(({ account }) => `${account}`),
    },
    ...(operator === undefined ? {} : { operator }),
    keys: {
      ...{ pending, synced, failed, blocked: counts.blocked },
      ...(counts.waitingSinceMs === undefined
        ? {}
        : { waitingSince: new Date(counts.waitingSinceMs).toISOString() }),
      failing: failing.map(({ alias, id, problem = '' }) => ({ alias: alias || id, problem })),
    },
  }
}

async function operatorStatus(
  { budgetTerms }: Pick<Stores, 'budgetTerms'>,
  clock: Clock,
): Promise<BudgetStatus['operator'] | undefined> {
  const budget = await budgetTerms.budget('operator')
  if (budget === undefined) return undefined
  const spent = await budgetTerms.operatorSpent(budgetWindow(budget, clock.now()).fromDay)
  return {
    hard: formatWad(budget.hard),
    spent: formatWad(spent),
    currency: budget.currency,
    level: budgetState(budget, spent).level,
  }
}

function nearStatus({ account, runway, currency }: AccountState): NearStatus {
  const { level, available, timeLeftMs } = runway
  return {
    ...{ account: `${account}`, level, available: formatWad(available), currency },
    ...(timeLeftMs === undefined ? {} : { timeLeftS: Math.floor(timeLeftMs / 1_000) }),
  }
}
