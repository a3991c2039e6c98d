import { type Wad, wad } from '../domain/money.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import { partCost } from '../pricing/part-cost.js'
import type { Plan } from '../pricing/plan.js'
import type { PageFacts } from './account-facts.js'
import { nameOf } from './restate.js'

/** What usage costs as the newest part of its periods. */
export async function priced(
  used: readonly (EntryKey & UsageTotal)[],
  page: PageFacts,
  isPaceOnly: boolean,
): Promise<Wad> {
  const byPeriod = new Map<string, { key: EntryKey; plan: Plan; part: UsageTotal[] }>()
  for (const row of used) {
    const plan = page.plan(row.accountNumber, row.periodStart)
    if (plan === undefined) continue
    const found = byPeriod.get(nameOf(row)) ?? { key: row, plan, part: [] }
    found.part.push(row)
    byPeriod.set(nameOf(row), found)
  }
  let sum = 0n
  for (const { key, plan, part } of byPeriod.values()) {
    sum += partCost(plan, await page.rows(key), part, isPaceOnly)
  }
  return wad(sum)
}
