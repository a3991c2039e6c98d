import { setImmediate as breathe } from 'node:timers/promises'
import { periodAt } from '../domain/period.js'
import type { ReportSpan, UsageCell } from '../ports/report-facts.js'
import type { Plan } from '../pricing/plan.js'
import type { ReportQuestion, Row } from './report.js'
import { ModelRows, type ReportStores, readUsage, type Terms } from './usage.js'

/** A (vault, period) that the end of the span lies in, with its usage up to there. */
export interface RunningPeriod {
  readonly account: bigint
  readonly periodStart: number
  readonly endsUntilMs: number
  readonly plan: Plan | undefined
  readonly rows: ModelRows
  /** In the order of time: hours since 1970. */
  readonly cells: UsageCell[]
}

/** Of every vault that was used in its running period. */
export async function runningPeriods(
  stores: ReportStores,
  terms: Terms,
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<RunningPeriod[]> {
  const { untilMs } = question
  const span: ReportSpan = { fromMs: terms.periodsSince(untilMs - 1), untilMs }
  const found = new Map<bigint, RunningPeriod>()
  await readUsage(stores, question, span, signal, (cell) => {
    const running = found.get(cell.account) ?? begin(terms, cell.account, untilMs)
    if (running === undefined || cell.periodStart !== running.periodStart) return
    found.set(cell.account, running)
    running.rows.add(cell)
    running.cells.push(cell)
  })
  return [...found.values()].sort((a, b) => (a.account < b.account ? -1 : 1))
}

/** Rows of each whose plan is known, letting the process breathe between two. */
export async function rowsOfEach(
  periods: readonly RunningPeriod[],
  rowsOf: (period: RunningPeriod, plan: Plan) => readonly Row[],
): Promise<Row[]> {
  const rows: Row[] = []
  for (const period of periods) {
    if (period.plan === undefined) continue
    rows.push(...rowsOf(period, period.plan))
    await breathe()
  }
  return rows
}

function begin(terms: Terms, account: bigint, untilMs: number): RunningPeriod | undefined {
  const vault = terms.vaults.get(account)
  if (vault === undefined) return undefined
  const { startsAt, endsUntil } = periodAt(untilMs - 1, vault.periodKind)
  return {
    account,
    periodStart: startsAt,
    endsUntilMs: endsUntil * 1_000,
    plan: terms.plan(account, startsAt),
    rows: new ModelRows(),
    cells: [],
  }
}
