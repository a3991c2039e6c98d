import { type PeriodKind, periodAt } from '../domain/period.js'
import type { Forecast } from '../pricing/forecast.js'
import type { Plan } from '../pricing/plan.js'
import { type Billable, priceOf } from '../pricing/price.js'

const DAY_MS = 86_400_000
const DAYS_MAX = 366

export interface ExhaustionParts {
  readonly untilMs: number
  /** What the balance is worth, in wad. */
  readonly funds: bigint
  /** Owed already, less what is charged for the running period: its price comes on top. */
  readonly due: bigint
  /** 1e-4 tokens of the running period so far. */
  readonly billable: bigint
  readonly periodEndsMs: number
  readonly periodKind: PeriodKind
  readonly planAt: (periodStart: number) => Plan | undefined
  /** Of the usage from now to the beginning of a day, in 1e-4 tokens. */
  readonly forecast: (untilMs: number) => Forecast
}

/** Days as `2026-11-30`, or `later`. */
export interface Exhaustion {
  readonly expected: string
  readonly earliest: string
  readonly latest: string
}

/** The first day at whose end more will have been due than there is. */
export function exhaustionOf(parts: ExhaustionParts): Exhaustion {
  return {
    expected: firstDay(parts, 'expected'),
    earliest: firstDay(parts, 'high'),
    latest: firstDay(parts, 'low'),
  }
}

/** What is due never falls from day to day, so halving finds the day. */
function firstDay(parts: ExhaustionParts, which: keyof Forecast): string {
  const today = Math.floor(parts.untilMs / DAY_MS)
  let [low, high] = [0, DAYS_MAX]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (dueAt(parts, (today + middle + 1) * DAY_MS, which) > parts.funds) high = middle
    else low = middle + 1
  }
  return low >= DAYS_MAX ? 'later' : new Date((today + low) * DAY_MS).toISOString().slice(0, 10)
}

function dueAt(parts: ExhaustionParts, atMs: number, which: keyof Forecast): bigint {
  const { billable, periodEndsMs, periodKind, planAt, forecast, untilMs } = parts
  const whole = forecast(atMs)
  // The whole horizon is high or low together, so each period is by the same ratio.
  const scaled = (usage: bigint) =>
    whole.expected === 0n ? 0n : (usage * whole[which]) / whole.expected
  let due = parts.due
  let before = 0n
  let endsMs = periodEndsMs
  let startS = periodAt(untilMs - 1, periodKind).startsAt
  for (let period = 0; period <= DAYS_MAX; period += 1) {
    const until = forecast(Math.min(endsMs, atMs)).expected
    const used = scaled(until - before) + (period === 0 ? billable : 0n)
    const plan = planAt(startS)
    if (plan !== undefined && used > 0n) due += priceOf(plan, used as Billable)
    if (endsMs >= atMs) return due
    before = until
    startS = endsMs / 1_000
    endsMs = periodAt(endsMs, periodKind).endsUntil * 1_000
  }
  return due
}
