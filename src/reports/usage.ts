import { setImmediate as breathe } from 'node:timers/promises'
import type { ModelId } from '../domain/ids.js'
import { type Wad, wad } from '../domain/money.js'
import { periodAt } from '../domain/period.js'
import { addUsage, NO_USAGE, type Usage, type UsageTotal } from '../domain/usage-total.js'
import { planOf } from '../pipeline/plan-of.js'
import type { ReportSpan, UsageCell } from '../ports/report-facts.js'
import type { Vault } from '../ports/settler.js'
import type { Stores } from '../ports/stores.js'
import type { Plan } from '../pricing/plan.js'
import { billableOf, priceOf } from '../pricing/price.js'
import type { ReportQuestion } from './report.js'

export type ReportStores = Pick<
  Stores,
  'reportFacts' | 'books' | 'watch' | 'batches' | 'outbox' | 'totals'
>

/** More slices than a span can have: 2,500 records each. */
const SLICES_MAX = 1_000_000

/** Reads a span from end to end, letting the process breathe between the slices. */
export async function readUsage(
  { reportFacts }: Pick<ReportStores, 'reportFacts'>,
  question: Pick<ReportQuestion, 'account' | 'payerField'>,
  span: ReportSpan,
  signal: AbortSignal,
  take: (cell: UsageCell) => void,
): Promise<void> {
  let fromMs = span.fromMs
  for (let slice = 0; fromMs < span.untilMs; slice += 1) {
    if (slice >= SLICES_MAX) throw new Error('the span never ends')
    signal.throwIfAborted()
    const read = await reportFacts.usage(
      { fromMs, untilMs: span.untilMs },
      question.payerField,
      question.account,
    )
    for (const cell of read.cells) take(cell)
    fromMs = read.untilMs
    await breathe()
  }
}

/** Vaults and their plans, as Flow was last seen to have them. */
export class Terms {
  readonly vaults: ReadonlyMap<bigint, Vault>
  readonly models: readonly string[]
  readonly #plans: ReadonlyMap<string, Plan>

  private constructor(
    vaults: readonly Vault[],
    plans: ReadonlyMap<string, Plan>,
    models: readonly string[],
  ) {
    this.vaults = new Map(vaults.map((vault) => [vault.account, vault]))
    this.#plans = plans
    this.models = models
  }

  static async read(
    { books }: Pick<ReportStores, 'books'>,
    { account }: Pick<ReportQuestion, 'account'>,
  ): Promise<Terms> {
    const vaults = await books.vaults(account === undefined ? undefined : [account])
    return new Terms(vaults, await books.plans(), await books.models())
  }

  plan(account: bigint, periodStart: number): Plan | undefined {
    return planOf(this.vaults.get(account), periodStart, this.#plans)
  }

  planId(account: bigint, periodStart: number): string | undefined {
    const plans = this.vaults.get(account)?.plans ?? []
    return plans.filter((one) => one.fromPeriodStart <= periodStart).at(-1)?.planId
  }

  /** The plan's name of a model; of the one that has none, `other`. */
  modelName(id: number): string {
    return id === 0 ? 'other' : (this.models[id - 1] ?? `model ${id}`)
  }

  /** Where the earliest period that an instant lies in has begun, ms. */
  periodsSince(atMs: number): number {
    const starts = [...this.vaults.values()].map(({ periodKind }) => periodAt(atMs, periodKind))
    return starts.reduce((first, { startsAt }) => Math.min(first, startsAt * 1_000), atMs)
  }
}

/** Usage by model. */
export class ModelRows {
  readonly #rows = new Map<ModelId, Usage>()

  add(cell: UsageTotal): void {
    this.#rows.set(cell.modelId, addUsage(this.#rows.get(cell.modelId) ?? NO_USAGE, cell))
  }

  rows(): UsageTotal[] {
    return [...this.#rows].map(([modelId, usage]) => ({ modelId, ...usage }))
  }
}

export function tokensOf({ promptTokens, completionTokens }: Usage): bigint {
  return promptTokens + completionTokens
}

/** What usage costs in all; nothing costs nothing. */
export function costOf(plan: Plan, rows: readonly UsageTotal[]): Wad {
  return rows.length === 0 ? wad(0n) : priceOf(plan, billableOf(plan, rows))
}

/** What a period's bill rose by from one amount of usage to a larger one. */
export function rise(plan: Plan, before: readonly UsageTotal[], after: readonly UsageTotal[]): Wad {
  return wad(costOf(plan, after) - costOf(plan, before))
}

export function iso(ms: number): string {
  return new Date(ms).toISOString()
}

export function day(seconds: number): string {
  return iso(seconds * 1_000).slice(0, 10)
}
