import { describe, expect, test } from 'vitest'
import { type History, Profile } from '../../src/pricing/forecast.js'

// Goal: the error that a projection states is the error that it has.
// Method: play many worlds with a known rhythm and known chance, forecast the rest of a month from
// four weeks of each, and count how often the truth lies in the interval that was stated.

const WORLDS = 600
const DAYS = 28
/** By weekday, Monday first: busy weekdays, quiet weekends. */
const RHYTHM = [1_000_000, 1_200_000, 1_100_000, 1_150_000, 900_000, 200_000, 120_000]

/** Small, fast, and the same everywhere (mulberry32). */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** A day's usage by hour: nine to five, more or less, and by so much as the noise says. */
function dayOf(weekday: number, spread: number, random: () => number): bigint[] {
  const level = (RHYTHM[weekday] ?? 0) * Math.max(0, 1 + spread * normal(random))
  return Array.from({ length: 24 }, (_, hour) =>
    BigInt(Math.round(hour >= 9 && hour < 17 ? level / 8 : 0)),
  )
}

function sum(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n)
}

function covered(historyDays: number, fullDays: number, spread: number, growth = 1): number {
  let inside = 0
  for (let seed = 1; seed <= WORLDS; seed += 1) {
    const random = chance(seed * 7919)
    const firstWeekday = seed % 7
    const days = Array.from({ length: historyDays + 1 + fullDays }, (_, i) =>
      dayOf((firstWeekday + i) % 7, spread, random).map((used) =>
        BigInt(Math.round(Number(used) * growth ** i)),
      ),
    )
    const profile = Profile.of({ firstWeekday, days: days.slice(0, historyDays) })
    const weekday = (firstWeekday + historyDays) % 7
    const said = profile?.of({ weekday, fromHour: 12, fullDays })
    if (said === undefined) throw new Error('the history is long enough')
    const [today = [], ...later] = days.slice(historyDays)
    const truth = sum(today.slice(12)) + sum(later.flat())
    if (truth >= said.low && truth <= said.high) inside += 1
  }
  return inside / WORLDS
}

describe('of 100 intervals', () => {
  test.each([
    { fullDays: 2, spread: 0.3 },
    { fullDays: 9, spread: 0.3 },
    { fullDays: 20, spread: 0.3 },
    { fullDays: 20, spread: 0.05 },
  ])('about 80 hold the truth: $fullDays days, days differ by $spread', (world) => {
    const rate = covered(DAYS, world.fullDays, world.spread)
    expect(rate).toBeGreaterThan(0.74)
    expect(rate).toBeLessThan(0.9)
  })

  test('fewer do where usage grows, which a profile cannot see', () => {
    expect(covered(DAYS, 20, 0.05, 1.03)).toBeLessThan(0.2)
  })
})

describe('a profile', () => {
  const flat = (days: number): History => ({
    firstWeekday: 0,
    days: Array.from({ length: days }, () => new Array<bigint>(24).fill(10n)),
  })

  test('of days that are all alike is sure', () => {
    const said = Profile.of(flat(28))?.of({ weekday: 0, fromHour: 6, fullDays: 10 })
    const truth = 10n * (18n + 240n)
    expect(said).toEqual({ expected: truth, low: truth, high: truth })
  })

  test('knows the weekday and the hour', () => {
    const days = Array.from({ length: 14 }, (_, i) =>
      Array.from({ length: 24 }, (_, hour) => (i % 7 === 5 && hour === 20 ? 700n : 0n)),
    )
    const profile = Profile.of({ firstWeekday: 0, days })
    const until = (fullDays: number) => profile?.of({ weekday: 3, fromHour: 0, fullDays }).expected
    expect([1, 2, 8, 9].map(until)).toEqual([0n, 700n, 700n, 1_400n])
    expect(profile?.of({ weekday: 5, fromHour: 20, fullDays: 0 }).expected).toBe(700n)
    expect(profile?.of({ weekday: 5, fromHour: 21, fullDays: 0 }).expected).toBe(0n)
  })

  test('says nothing of fewer than three days, and of two weeks which weekday it was', () => {
    expect(Profile.of(flat(2))).toBeUndefined()
    expect(Profile.of(flat(3))?.method).toBe('daily')
    expect(Profile.of(flat(13))?.method).toBe('daily')
    expect(Profile.of(flat(14))?.method).toBe('weekday')
  })
})
