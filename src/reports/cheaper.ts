import { formatWad } from '../domain/money.js'
import { percent } from '../domain/share.js'
import { substitutionsOf } from '../pricing/compare.js'
import type { Plan } from '../pricing/plan.js'
import { type RunningPeriod, rowsOfEach, runningPeriods } from './periods.js'
import { columnsOf, type Findings, type ReportQuestion, ROWS_MAX, type Row } from './report.js'
import { costOf, day, type ReportStores, type Terms, tokensOf } from './usage.js'

/** For one model: the cheapest are enough to think about. */
const ALTERNATIVES_MAX = 3

const COLUMNS = columnsOf({
  account: 'the vault',
  period: 'the day on which the billing period begins that the end of the span lies in',
  plan: 'its plan in this period',
  model: 'that was used, by its name in the plan; other: all models without one',
  requests: 'calls of it in this period so far',
  tokens: 'prompt and completion tokens of these',
  cheaper_model: 'that could have been used instead, by its name in the plan',
  price: 'of the whole period so far, in the currency named; exact',
  price_instead: 'of the same tokens, those of the one model on the other',
  saving: 'the difference of these two',
  saving_percent: 'of the price',
  currency: 'of the plan',
})

const NOTES = [
  'Assumes the same number of tokens on the other model, by the vault’s own published plan, tiers, minimum and fee included.',
  'Only models are compared that the plan names with a price. Whether another model is good enough for the work, or can do it at all (an embedding model cannot chat), is not looked at.',
  'Each row stands by itself: what is saved by changing several models at once is not their sum.',
]

/** What the same work would have cost on a cheaper model. */
export async function cheaperModels(
  stores: ReportStores,
  terms: Terms,
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<Findings> {
  const periods = await runningPeriods(stores, terms, question, signal)
  const rows = await rowsOfEach(periods, (period, plan) => rowsOf(period, plan, terms))
  return {
    columns: COLUMNS,
    rows: rows.slice(0, ROWS_MAX),
    notes: NOTES,
    isCut: rows.length > ROWS_MAX,
  }
}

function rowsOf({ account, periodStart, rows }: RunningPeriod, plan: Plan, terms: Terms): Row[] {
  const used = rows.rows()
  const price = costOf(plan, used)
  const named = new Set([...plan.rates.keys()].filter((id) => id !== 0))
  return used.flatMap((row) =>
    substitutionsOf(plan, used, row, named)
      .slice(0, ALTERNATIVES_MAX)
      .map(({ modelId, price: instead, saving }) => ({
        account: account.toString(),
        period: day(periodStart),
        plan: terms.planId(account, periodStart) ?? null,
        model: terms.modelName(row.modelId),
        requests: row.requests,
        tokens: tokensOf(row),
        cheaper_model: terms.modelName(modelId),
        price: formatWad(price),
        price_instead: formatWad(instead),
        saving: formatWad(saving),
        saving_percent: percent(saving, price) ?? null,
        currency: plan.currency,
      })),
  )
}
