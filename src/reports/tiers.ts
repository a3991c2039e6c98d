import { formatWad, wad } from '../domain/money.js'
import { percent } from '../domain/share.js'
import type { UsageCell } from '../ports/report-facts.js'
import { priceAtFirstTier, standingOf } from '../pricing/compare.js'
import type { Plan } from '../pricing/plan.js'
import { billableOf } from '../pricing/price.js'
import { type RunningPeriod, rowsOfEach, runningPeriods } from './periods.js'
import { columnsOf, type Findings, type ReportQuestion, ROWS_MAX, type Row } from './report.js'
import { costOf, day, iso, type ReportStores, type Terms } from './usage.js'

const HOUR_MS = 3_600_000
const ONE_TOKEN = 10_000n
/** Of 1e-6 of the currency times 1e-4, which is what a tier's price times its discount is in. */
const UNIT_TO_WAD = 10n ** 8n
const FULL_BPS = 10_000n

const COLUMNS = columnsOf({
  account: 'the vault',
  period: 'the day on which the billing period begins that the end of the span lies in',
  plan: 'its plan in this period',
  mode: 'graduated: each part at its tier’s price; volume: all at that of the tier reached',
  tier: 'that was reached, from 1',
  tiers: 'of the plan',
  billable_tokens: 'tokens weighted by the plan, rounded down',
  next_tier_in: 'billable tokens until the next tier begins',
  progress_percent: 'of the way through this tier',
  price_a_million: 'of a billable token in this tier, less its discount',
  reached: 'tier and the hour in which it was reached, UTC',
  price: 'of the period so far, in the currency named; exact',
  price_at_first_tier: 'of the same usage if all of it had the first tier’s terms',
  discount_earned: 'the difference of these two; negative where a later tier is dearer',
  currency: 'of the plan',
})

/** How far each vault has come in its plan, and what that has saved. */
export async function tierProgression(
  stores: ReportStores,
  terms: Terms,
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<Findings> {
  const periods = await runningPeriods(stores, terms, question, signal)
  const rows = await rowsOfEach(periods, (period, plan) => [rowOf(period, plan, terms)])
  return {
    columns: COLUMNS,
    rows: rows.slice(0, ROWS_MAX),
    notes: [],
    isCut: rows.length > ROWS_MAX,
  }
}

function rowOf(
  { account, periodStart, rows, cells }: RunningPeriod,
  plan: Plan,
  terms: Terms,
): Row {
  const billable = billableOf(plan, rows.rows())
  const price = costOf(plan, rows.rows())
  const first = priceAtFirstTier(plan, billable)
  const { tier, tiers, left, upTo, terms: own } = standingOf(plan, billable)
  const start = plan.tiers[tier - 2]?.upTo ?? 0n
  const within = billable - start * ONE_TOKEN
  const unit = own.pricePerMillion * (FULL_BPS - own.discountBps) * UNIT_TO_WAD
  return {
    account: account.toString(),
    period: day(periodStart),
    plan: terms.planId(account, periodStart) ?? null,
    mode: plan.mode,
    tier,
    tiers,
    billable_tokens: billable / ONE_TOKEN,
    // Rounded up: so many, and not one less, are left.
    next_tier_in: left === undefined ? null : (left + ONE_TOKEN - 1n) / ONE_TOKEN,
    progress_percent:
      upTo === undefined ? null : (percent(within, (upTo - start) * ONE_TOKEN) ?? null),
    price_a_million: formatWad(wad(unit)),
    reached: reachedText(plan, cells),
    price: formatWad(price),
    price_at_first_tier: formatWad(first),
    discount_earned: formatWad(wad(first - price)),
    currency: plan.currency,
  }
}

/** `1 2026-11-01T08:00Z, 2 2026-11-04T15:00Z` */
function reachedText(plan: Plan, cells: readonly UsageCell[]): string {
  const reached = new Map<number, number>()
  let billable = 0n
  for (const cell of cells.toSorted((a, b) => a.hour - b.hour)) {
    billable += billableOf(plan, [cell])
    const { tier } = standingOf(plan, billable)
    for (let one = reached.size + 1; one <= tier; one += 1) reached.set(one, cell.hour)
  }
  return [...reached]
    .map(([tier, hour]) => `${tier} ${iso(hour * HOUR_MS).slice(0, 16)}Z`)
    .join(', ')
}
