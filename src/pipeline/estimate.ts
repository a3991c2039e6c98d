import { ROWS_MAX } from '../domain/entry.js'
import { type AccountNumber, OTHER_MODEL } from '../domain/ids.js'
import type { Wad } from '../domain/money.js'
import {
  addUsage,
  type EntryKey,
  NO_USAGE,
  type Usage,
  type UsageTotal,
} from '../domain/usage-total.js'
import type { Vault } from '../ports/settler.js'
import type { Stores } from '../ports/stores.js'
import type { Plan } from '../pricing/plan.js'
import { dueOf } from '../pricing/price.js'
import { planOf } from './plan-of.js'

/** What a period's totals cost, under which plan. Undefined while Flow's plans are not known. */
export interface Estimate {
  readonly planId: string
  readonly currency: string
  readonly price: Wad
}

/** For commands that show money. The contract prices; this explains. */
export class Estimates {
  readonly #vaults: ReadonlyMap<bigint, Vault>
  readonly #plans: ReadonlyMap<string, Plan>

  private constructor(vaults: readonly Vault[], plans: ReadonlyMap<string, Plan>) {
    this.#vaults = new Map(vaults.map((vault) => [vault.account, vault]))
    this.#plans = plans
  }

  /** @param accounts those that will be asked for; all there are unless given */
  static async read(
    { books }: Pick<Stores, 'books'>,
    accounts?: readonly AccountNumber[],
  ): Promise<Estimates> {
    return new Estimates(await books.vaults(accounts), await books.plans())
  }

  of({ accountNumber, periodStart }: EntryKey, rows: readonly UsageTotal[]): Estimate | undefined {
    const vault = this.#vaults.get(accountNumber)
    const plan = planOf(vault, periodStart, this.#plans)
    const chosen = vault?.plans.filter((one) => one.fromPeriodStart <= periodStart).at(-1)
    if (plan === undefined || chosen === undefined) return undefined
    return { planId: chosen.planId, currency: plan.currency, price: dueOf(plan, rows) }
  }

  vault(account: bigint): Vault | undefined {
    return this.#vaults.get(account)
  }
}

/** Rows with some usage more or, with sign -1, less; models without a row of their own in row 0. */
export function changeRows(
  rows: readonly UsageTotal[],
  changes: readonly UsageTotal[],
  sign: 1n | -1n,
): UsageTotal[] {
  const byModel = new Map<number, UsageTotal>(rows.map((row) => [row.modelId, row]))
  for (const change of changes) {
    const hasRow = byModel.has(change.modelId) || byModel.size < ROWS_MAX - 1
    const modelId = hasRow ? change.modelId : OTHER_MODEL
    const before = byModel.get(modelId) ?? { modelId, ...NO_USAGE }
    const after = sign === 1n ? addUsage(before, change) : subtract(before, change)
    byModel.set(modelId, { modelId, ...after })
  }
  return [...byModel.values()].filter(isUsed).sort((a, b) => a.modelId - b.modelId)
}

export function tokensOf(rows: readonly Usage[]): bigint {
  return rows.reduce((sum, row) => sum + row.promptTokens + row.completionTokens, 0n)
}

function subtract(a: Usage, b: Usage): Usage {
  return {
    promptTokens: a.promptTokens - b.promptTokens,
    cachedPromptTokens: a.cachedPromptTokens - b.cachedPromptTokens,
    completionTokens: a.completionTokens - b.completionTokens,
    requests: a.requests - b.requests,
  }
}

function isUsed({ promptTokens, completionTokens, requests }: Usage): boolean {
  return promptTokens > 0n || completionTokens > 0n || requests > 0n
}
