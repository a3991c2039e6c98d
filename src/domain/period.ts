import { assert } from './errors.js'

/** The length of a billing period. Weeks begin on Monday; all of it is UTC. */
export const PERIOD_KINDS = ['day', 'week', 'month'] as const
export type PeriodKind = (typeof PERIOD_KINDS)[number]

/** `[startsAt, endsUntil)` in whole seconds since 1970, UTC. */
export interface Period {
  readonly startsAt: number
  readonly endsUntil: number
}

const DAY_S = 86_400
const WEEK_S = 7 * DAY_S
/** 1970-01-01 was a Thursday: the Monday of its week lies three days before. */
const FIRST_MONDAY_S = -3 * DAY_S

/** The period that an instant falls into. */
export function periodAt(atMs: number, kind: PeriodKind): Period {
  assert(Number.isSafeInteger(atMs) && atMs >= 0, `not an instant: ${atMs}`)
  const at = Math.floor(atMs / 1000)
  switch (kind) {
    case 'day':
      return fixedPeriod(at, DAY_S, 0)
    case 'week':
      return fixedPeriod(at, WEEK_S, FIRST_MONDAY_S)
    case 'month':
      return monthAt(atMs)
  }
}

function fixedPeriod(at: number, lengthS: number, originS: number): Period {
  const startsAt = Math.max(0, at - ((at - originS) % lengthS))
  return { startsAt, endsUntil: at - ((at - originS) % lengthS) + lengthS }
}

function monthAt(atMs: number): Period {
  const date = new Date(atMs)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  return {
    startsAt: Date.UTC(year, month, 1) / 1000,
    endsUntil: Date.UTC(year, month + 1, 1) / 1000,
  }
}
