import { type Wad, wad } from '../domain/money.js'
import { allot } from '../domain/share.js'
import { type Forecast, Profile } from './forecast.js'

/** What an account, or all of them together, may spend in a number of days. */
export interface Budget {
  /** From it on keys are blocked until the window turns. */
  readonly hard: Wad
  /** From it on somebody is told. */
  readonly soft: Wad | undefined
  /** Of the plans that it counts. */
  readonly currency: string
  /** Whole days of UTC. */
  readonly days: number
  /** The first day of its first window, since 1970. */
  readonly fromDay: number
}

/** `[fromDay, untilDay)`, days since 1970. */
export interface BudgetWindow {
  readonly fromDay: number
  readonly untilDay: number
}

export type BudgetLevel = 'ok' | 'soft' | 'hard'

export interface BudgetState {
  readonly spent: Wad
  /** Of the hard limit; never below 0. */
  readonly remaining: Wad
  readonly level: BudgetLevel
}

export const DAY_MS = 86_400_000
const HOURS = 24
/** 1970-01-01 was a Thursday; 0 is Monday. */
const EPOCH_WEEKDAY = 3
const FORECAST_DAYS_MAX = 366

/** The window that an instant is in: they follow each other from the budget's first day on. */
export function budgetWindow(
  { days, fromDay }: Pick<Budget, 'days' | 'fromDay'>,
  atMs: number,
): BudgetWindow {
  const today = Math.floor(atMs / DAY_MS)
  const start = fromDay + Math.floor((today - fromDay) / days) * days
  return { fromDay: start, untilDay: start + days }
}

export function budgetState(
  { hard, soft }: Pick<Budget, 'hard' | 'soft'>,
  spent: Wad,
): BudgetState {
  const isSoft = soft !== undefined && spent >= soft
  return {
    spent,
    remaining: wad(hard > spent ? hard - spent : 0n),
    level: spent >= hard ? 'hard' : isSoft ? 'soft' : 'ok',
  }
}

/** What was spent on whole days, oldest first, without a gap. */
export interface SpentDays {
  readonly firstDay: number
  readonly days: readonly Wad[]
}

/**
 * The day at whose end the hard limit will be used up, with what was spent so far in the window, by
 * the same forecast as reports have. `later`: not in this window; undefined while fewer than three
 * whole days were seen.
 */
export function usedUpOn(
  { hard, spent }: { readonly hard: Wad; readonly spent: Wad },
  window: BudgetWindow,
  { firstDay, days }: SpentDays,
  atMs: number,
): { readonly expected: string; readonly earliest: string; readonly latest: string } | undefined {
  // Of a day only the sum is known: its hours are taken alike.
  const history = days.map((spentOfDay) => allot(spentOfDay, EVEN_HOURS))
  const profile = Profile.of({ firstWeekday: weekdayOf(firstDay), days: history })
  if (profile === undefined) return undefined
  const today = Math.floor(atMs / DAY_MS)
  const fromHour = Math.ceil((atMs - today * DAY_MS) / (DAY_MS / HOURS))
  const until = Math.min(window.untilDay, today + FORECAST_DAYS_MAX)
  const firstAbove = (which: keyof Forecast): string => {
    for (let date = today; date < until; date += 1) {
      const rest = profile.of({ weekday: weekdayOf(today), fromHour, fullDays: date - today })
      if (spent + rest[which] >= hard) return new Date(date * DAY_MS).toISOString().slice(0, 10)
    }
    return 'later'
  }
  return {
    expected: firstAbove('expected'),
    earliest: firstAbove('high'),
    latest: firstAbove('low'),
  }
}

const EVEN_HOURS = new Array<bigint>(HOURS).fill(1n)

function weekdayOf(date: number): number {
  return (((date + EPOCH_WEEKDAY) % 7) + 7) % 7
}
