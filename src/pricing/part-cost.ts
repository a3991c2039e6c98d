import { type Wad, wad } from '../domain/money.js'
import type { UsageTotal } from '../domain/usage-total.js'
import type { Plan } from './plan.js'
import { type Billable, billableOf, priceOf } from './price.js'

/**
 * What the newest part of a period's usage adds to its bill. The first usage of a period owes minimum
 * and fee as well; `isPaceOnly` leaves those out, which say nothing of how fast more is used.
 */
export function partCost(
  plan: Plan,
  all: readonly UsageTotal[],
  part: readonly UsageTotal[],
  isPaceOnly = false,
): Wad {
  const [whole, newest] = [billableOf(plan, all), billableOf(plan, part)]
  // A model without a row of its own may weigh less in the whole.
  const before = (whole > newest ? whole - newest : 0n) as Billable
  const isFirst = requestsOf(part) >= requestsOf(all)
  const base = isFirst && !isPaceOnly ? 0n : priceOf(plan, before)
  return wad(requestsOf(part) === 0n ? 0n : priceOf(plan, whole as Billable) - base)
}

function requestsOf(rows: readonly UsageTotal[]): bigint {
  return rows.reduce((sum, { requests }) => sum + requests, 0n)
}
