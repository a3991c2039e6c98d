import type { AccountNumber } from '../domain/ids.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { AccountState } from '../ports/runways.js'
import type { Spending } from '../ports/spending.js'
import { type Budget, budgetState, budgetWindow, DAY_MS } from '../pricing/budget.js'
import type { PageFacts } from './account-facts.js'
import type { Look } from './account-state.js'
import { priced } from './usage-price.js'

type Usage = readonly (EntryKey & UsageTotal)[]

/** Rows of days that are over may still come, or be decided about, so they are read again. */
const READ_AGAIN_MS = 600_000

/**
 * What accounts used on days that are over. A window may have a year of calls, and a look comes every
 * few seconds: those of today alone are read each time.
 */
export class EarlierUse {
  readonly #known = new Map<AccountNumber, { span: string; readAtMs: number; use: Usage }>()

  async of(
    account: AccountNumber,
    days: { readonly from: number; readonly until: number },
    nowMs: number,
    read: () => Promise<Usage>,
  ): Promise<Usage> {
    const span = `${days.from}-${days.until}`
    const known = this.#known.get(account)
    if (known?.span === span && nowMs - known.readAtMs < READ_AGAIN_MS) return known.use
    const use = await read()
    this.#known.set(account, { span, readAtMs: nowMs, use })
    return use
  }
}

/**
 * What an account's calls with its own provider's key have cost in the running window of their budget:
 * what they add to its bill, by the plans of their periods.
 */
export async function byokSpend(
  account: AccountNumber,
  budget: Budget,
  page: PageFacts,
  { stores, settings, nowMs, earlier }: Look,
): Promise<NonNullable<AccountState['byokBudget']>> {
  const { fromDay } = budgetWindow(budget, nowMs)
  const today = Math.floor(nowMs / DAY_MS)
  const read = (from: number, until: number) =>
    byokUse(stores.spending, account, { from, until }, settings.byokModels)
  const days = { from: fromDay, until: today }
  const before = await earlier.of(account, days, nowMs, () => read(fromDay, today))
  const use = [...before, ...(await read(today, today + 1))]
  return { fromDay, ...budgetState(budget, await priced(use, page, true)) }
}

function byokUse(
  spending: Spending,
  account: AccountNumber,
  { from, until }: { readonly from: number; readonly until: number },
  byokModels: readonly string[],
): Promise<Usage> {
  const span = { sinceMs: from * DAY_MS, untilMs: until * DAY_MS }
  return spending.byokUse(account, span, byokModels)
}
