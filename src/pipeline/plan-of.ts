import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { Vault } from '../ports/settler.js'
import type { Stores } from '../ports/stores.js'
import type { Plan } from '../pricing/plan.js'
import { type Billable, billableOf } from '../pricing/price.js'

/** The plan of a vault's period; undefined while it was not read from Flow. */
export function planOf(
  vault: Vault | undefined,
  periodStart: number,
  plans: ReadonlyMap<string, Plan>,
): Plan | undefined {
  const chosen = vault?.plans.filter((one) => one.fromPeriodStart <= periodStart).at(-1)
  return chosen === undefined ? undefined : plans.get(chosen.planId)
}

/** 1e-4 tokens that the rows are under the plan of their period. */
export async function billableUnder(
  key: EntryKey,
  rows: readonly UsageTotal[],
  { books }: Pick<Stores, 'books'>,
): Promise<Billable | undefined> {
  const [vault] = await books.vaults([key.accountNumber])
  const plan = planOf(vault, key.periodStart, await books.plans())
  return plan === undefined ? undefined : billableOf(plan, rows)
}
