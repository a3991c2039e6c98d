import { assert } from '../domain/errors.js'

/** How usage to come is guessed. `weekday`: each day as its weekday; `daily`: all days alike. */
export type ForecastMethod = 'weekday' | 'daily'

/** In the unit of the history. The truth lies between low and high in about 80 of 100 cases. */
export interface Forecast {
  readonly expected: bigint
  readonly low: bigint
  readonly high: bigint
}

/** Days with all their hours, oldest first, without a gap. */
export interface History {
  /** 0 is Monday. */
  readonly firstWeekday: number
  /** 24 each. */
  readonly days: readonly (readonly bigint[])[]
}

/** Whole days to come after what is left of a day that has begun. */
export interface Horizon {
  /** 0 is Monday. */
  readonly weekday: number
  /** The first hour that is not over, 0 to 24. */
  readonly fromHour: number
  readonly fullDays: number
}

const HOURS = 24
const WEEK = 7
/** Below it a weekday was seen once, and nothing can be said of its differences. */
const WEEKDAY_DAYS_MIN = 14
export const HISTORY_DAYS_MIN = 3
const PPM = 1_000_000n

/**
 * 90 % quantiles of Student's t in 1e-3 by degrees of freedom, from 1: a tenth of the cases lies
 * above, a tenth below.
 */
const T_90 = [
  ...[3078, 1886, 1638, 1533, 1476, 1440, 1415, 1397, 1383, 1372],
  ...[1363, 1356, 1350, 1345, 1341, 1337, 1333, 1330, 1328, 1325],
  ...[1323, 1321, 1319, 1318, 1316, 1315, 1314, 1313, 1311, 1310],
]
const T_90_LAST = 1282

/**
 * Forecasts sums from a profile: the mean of each hour of the week (or of the day, where the history
 * is shorter than two weeks). The interval is that of a sum of days which differ from the mean of
 * their weekday independently and alike, with the profile's own error in it; Student's t for the few
 * days seen. All in integers, so it says the same on every machine.
 *
 * What it cannot see: growth, holidays, a customer who leaves. Then the truth is outside more often.
 */
export class Profile {
  readonly method: ForecastMethod
  /** By group, which is a weekday or all days: how many were seen. */
  readonly #seen: readonly bigint[]
  /** By group and hour, summed over the days seen. */
  readonly #sums: readonly (readonly bigint[])[]
  /** Of one day about its group's mean. */
  readonly #variance: bigint
  readonly #t: bigint

  /** Undefined when the history has too few days to say anything. */
  static of(history: History): Profile | undefined {
    return history.days.length < HISTORY_DAYS_MIN ? undefined : new Profile(history)
  }

  private constructor({ firstWeekday, days }: History) {
    const isWeekly = days.length >= WEEKDAY_DAYS_MIN
    this.method = isWeekly ? 'weekday' : 'daily'
    const groups = isWeekly ? WEEK : 1
    const groupOf = (index: number) => (isWeekly ? (firstWeekday + index) % WEEK : 0)
    const seen = new Array<bigint>(groups).fill(0n)
    const sums = Array.from({ length: groups }, () => new Array<bigint>(HOURS).fill(0n))
    for (const [index, hours] of days.entries()) {
      assert(hours.length === HOURS, 'a day has 24 hours')
      const group = groupOf(index)
      seen[group] = (seen[group] ?? 0n) + 1n
      const sum = sums[group] ?? []
      for (const [hour, used] of hours.entries()) sum[hour] = (sum[hour] ?? 0n) + used
    }
    const freedom = days.length - groups
    const squares = days.reduce((sum, hours, index) => {
      const group = groupOf(index)
      const count = seen[group] ?? 1n
      // Of the day times the number of days, so that the mean is exact.
      const residual = total(hours) * count - total(sums[group] ?? [])
      return sum + (residual * residual) / (count * count)
    }, 0n)
    this.#seen = seen
    this.#sums = sums
    this.#variance = squares / BigInt(freedom)
    this.#t = BigInt(T_90[freedom - 1] ?? T_90_LAST)
  }

  of({ weekday, fromHour, fullDays }: Horizon): Forecast {
    assert(fromHour >= 0 && fromHour <= HOURS && fullDays >= 0, 'time to come')
    const hours = new Array<bigint>(this.#seen.length).fill(0n)
    let expectedPpm = 0n
    const add = (group: number, sum: bigint, days: bigint, covered: bigint) => {
      expectedPpm += (sum * days * PPM) / (this.#seen[group] ?? 1n)
      hours[group] = (hours[group] ?? 0n) + covered * days
    }
    const today = this.#group(weekday)
    add(today, total((this.#sums[today] ?? []).slice(fromHour)), 1n, BigInt(HOURS - fromHour))
    for (let step = 1; step <= WEEK; step += 1) {
      const days = BigInt(Math.floor((fullDays - step + WEEK) / WEEK))
      const group = this.#group(weekday + step)
      if (days > 0n) add(group, total(this.#sums[group] ?? []), days, BigInt(HOURS))
    }
    const expected = expectedPpm / PPM
    const wide = (this.#t * sqrt((this.#variance * this.#factorPpm(hours)) / PPM)) / 1_000n
    const low = expected > wide ? expected - wide : 0n
    return { expected, low, high: expected + wide }
  }

  #group(weekday: number): number {
    return this.method === 'weekday' ? weekday % WEEK : 0
  }

  /** How many times the variance of one day, in 1e-6: of the days to come, and of their means. */
  #factorPpm(hours: readonly bigint[]): bigint {
    const day = BigInt(HOURS)
    return hours.reduce((sum, covered, group) => {
      const own = (covered * PPM) / day
      const ofMean = (covered * covered * PPM) / (day * day * (this.#seen[group] ?? 1n))
      return sum + own + ofMean
    }, 0n)
  }
}

function total(values: readonly bigint[]): bigint {
  return values.reduce((sum, value) => sum + value, 0n)
}

/** The largest integer whose square is not above. Newton's method, which halves its error. */
function sqrt(value: bigint): bigint {
  if (value < 2n) return value
  let root = 1n << BigInt(Math.ceil(value.toString(2).length / 2))
  for (;;) {
    const next = (root + value / root) / 2n
    if (next >= root) return root
    root = next
  }
}
