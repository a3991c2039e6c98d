import { percent } from '../domain/share.js'
import { columnsOf, type Findings, type ReportQuestion, type Row } from './report.js'
import { type ReportStores, readUsage, tokensOf } from './usage.js'

const HOURS_A_DAY = 24
const HOURS_A_WEEK = 168
const HOUR_MS = 3_600_000
/** 1970-01-01 was a Thursday. */
const EPOCH_WEEKDAY = 3
const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as const

const COLUMNS = columnsOf({
  weekday: 'day of the week, UTC',
  hour: 'hour of the day, UTC: 9 is 09:00 to 10:00',
  requests: 'calls that started in it, over the whole span',
  tokens: 'prompt and completion tokens of these',
  requests_an_hour: 'calls on average in each such hour of the span',
  share_percent: 'of all calls of the span',
  rank: '1: most calls; equal ones in the order of the week',
})

/** All 168 hours of the week, quiet ones too. */
export async function peakHours(
  stores: ReportStores,
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<Findings> {
  const slots = Array.from({ length: HOURS_A_WEEK }, () => ({ requests: 0n, tokens: 0n }))
  await readUsage(stores, question, question, signal, (cell) => {
    const slot = slots[slotOf(cell.hour)]
    if (slot === undefined) return
    slot.requests += cell.requests
    slot.tokens += tokensOf(cell)
  })
  const all = slots.reduce((sum, { requests }) => sum + requests, 0n)
  const order = slots
    .map((slot, index) => ({ ...slot, index }))
    .sort((a, b) =>
      a.requests === b.requests ? a.index - b.index : a.requests < b.requests ? 1 : -1,
    )
  const ranks = new Map(order.map(({ index }, rank) => [index, rank + 1]))
  const rows = slots.map(({ requests, tokens }, slot): Row => {
    const ms = msIn(question, slot)
    return {
      weekday: DAYS[Math.floor(slot / HOURS_A_DAY)] ?? '',
      hour: slot % HOURS_A_DAY,
      requests,
      tokens,
      requests_an_hour: ms === 0 ? null : hundredths(requests * BigInt(HOUR_MS), BigInt(ms)),
      share_percent: percent(requests, all) ?? null,
      rank: ranks.get(slot) ?? 0,
    }
  })
  const notes = ['An hour of which the span holds a part counts with that part.']
  return { columns: COLUMNS, rows, notes }
}

/** 0 is Monday, 00:00 to 01:00. @param hour since 1970 */
export function slotOf(hour: number): number {
  return (hour + EPOCH_WEEKDAY * HOURS_A_DAY) % HOURS_A_WEEK
}

/** How much of the span lies in one hour of the week. */
function msIn({ fromMs, untilMs }: ReportQuestion, slot: number): number {
  const before = (atMs: number) => {
    const sinceMonday = atMs + EPOCH_WEEKDAY * HOURS_A_DAY * HOUR_MS
    const weekMs = HOURS_A_WEEK * HOUR_MS
    const rest = (sinceMonday % weekMs) - slot * HOUR_MS
    return Math.floor(sinceMonday / weekMs) * HOUR_MS + Math.max(0, Math.min(HOUR_MS, rest))
  }
  return before(untilMs) - before(fromMs)
}

/** A quotient with two places, rounded down. */
function hundredths(part: bigint, whole: bigint): string {
  const value = (part * 100n) / whole
  return `${value / 100n}.${(value % 100n).toString().padStart(2, '0')}`
}
