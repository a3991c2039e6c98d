import type { AccountNumber } from '../domain/ids.js'
import { PAYER_FIELDS, type PayerField } from '../domain/usage-record.js'

export const REPORT_KINDS = [
  ...(['peak-hours', 'models', 'users', 'vaults', 'cheaper', 'tiers'] as const),
  ...(['projection', 'health'] as const),
] as const
export type ReportKind = (typeof REPORT_KINDS)[number]

/** Null: not known, or not to be said of nothing. Amounts are decimal text in the currency named. */
export type Cell = string | bigint | number | null

export interface Column {
  /** `snake_case`. */
  readonly name: string
  /** What it is, with its unit. */
  readonly means: string
}

export type Row = Readonly<Record<string, Cell>>

export interface Report {
  readonly kind: ReportKind
  /** ISO 8601, UTC, like every instant here. */
  readonly at: string
  readonly from: string
  /** Exclusive. */
  readonly until: string
  readonly account?: string
  /** In the order in which they are shown. */
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
  /** There are more: name an account, or a shorter span. */
  readonly isCut: boolean
  /** What the numbers rest on. */
  readonly notes: readonly string[]
}

/** What is asked. Spans are `[fromMs, untilMs)`. */
export interface ReportQuestion {
  readonly kind: ReportKind
  readonly account?: AccountNumber
  readonly fromMs: number
  readonly untilMs: number
  /** Which field of a record says whose usage it is. */
  readonly payerField: PayerField
}

/** What one kind makes of it; the rest is the same for all. */
export type Findings = Pick<Report, 'columns' | 'rows' | 'notes'> & { readonly isCut?: boolean }

export const ROWS_MAX = 5_000
const DAY_MS = 86_400_000
const SPAN_MS = 28 * DAY_MS
const SPAN_MS_MAX = 400 * DAY_MS

/** As people ask, in words or in a query string. */
export interface AskedReport {
  readonly account?: AccountNumber
  readonly from?: string
  readonly to?: string
  readonly by?: string
}

/**
 * Makes a question of it: the last 28 days unless told.
 *
 * @returns what is wrong, in words that help, instead of a question
 */
export function questionOf(
  kind: string,
  { account, from, to, by }: AskedReport,
  nowMs: number,
  payerField: PayerField,
): ReportQuestion | string {
  const known = REPORT_KINDS.find((one) => one === kind)
  if (known === undefined) return `there is no report "${kind}": ask for ${REPORT_KINDS.join(', ')}`
  const field = by === undefined ? payerField : PAYER_FIELDS.find((one) => one === by)
  if (field === undefined) return `by: expected one of ${PAYER_FIELDS.join(', ')}`
  const untilMs = to === undefined ? nowMs : instantOf(to)
  if (untilMs === undefined) return 'to: expected a UTC date or instant, such as 2026-11-01'
  const fromMs = from === undefined ? Math.max(0, untilMs - SPAN_MS) : instantOf(from)
  if (fromMs === undefined) return 'from: expected a UTC date or instant, such as 2026-11-01'
  if (fromMs >= untilMs) return 'from: expected before to'
  if (untilMs - fromMs > SPAN_MS_MAX) return 'from: expected at most 400 days before to'
  const rest = { fromMs, untilMs, payerField: field }
  return { kind: known, ...rest, ...(account === undefined ? {} : { account }) }
}

function instantOf(text: string): number | undefined {
  const isInstant = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?Z)?$/.test(text)
  const ms = isInstant ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) || ms < 0 ? undefined : ms
}

/** Columns by what they mean, in order. */
export function columnsOf(means: Readonly<Record<string, string>>): Column[] {
  return Object.entries(means).map(([name, meaning]) => ({ name, means: meaning }))
}
