import { describe, expect, test } from 'vitest'
import { parseWad } from '../../src/domain/money.js'
import { budgetState, budgetWindow, usedUpOn } from '../../src/pricing/budget.js'

const DAY_MS = 86_400_000
const day = (date: string) => Date.parse(`${date}T00:00:00Z`) / DAY_MS
const at = (text: string) => Date.parse(text)

describe('the window of a budget', () => {
  const budget = { days: 30, fromDay: day('2026-09-10') }

  test.each([
    ['2026-09-10T00:00:00Z', '2026-09-10'],
    ['2026-10-09T23:59:59.999Z', '2026-09-10'],
    ['2026-10-10T00:00:00Z', '2026-10-10'],
    ['2027-09-20T12:00:00Z', '2027-09-05'],
    // A clock that was set back is no reason to have no window.
    ['2026-09-09T23:00:00Z', '2026-08-11'],
  ])('at %s begins on %s', (now, first) => {
    const { fromDay, untilDay } = budgetWindow(budget, at(now))
    expect(new Date(fromDay * DAY_MS).toISOString().slice(0, 10)).toBe(first)
    expect(untilDay - fromDay).toBe(30)
  })
})

describe('a budget', () => {
  const budget = { hard: parseWad('1000'), soft: parseWad('800') }

  test.each([
    ['0', 'ok', '1000'],
    ['799.999999999999999999', 'ok', '200.000000000000000001'],
    ['800', 'soft', '200'],
    ['999.999999999999999999', 'soft', '0.000000000000000001'],
    ['1000', 'hard', '0'],
    ['1300', 'hard', '0'],
  ])('of which %s is spent is at %s, with %s to go', (spent, level, remaining) => {
    expect(budgetState(budget, parseWad(spent))).toEqual({
      spent: parseWad(spent),
      level,
      remaining: parseWad(remaining),
    })
  })

  test('without a soft limit has none', () => {
    expect(budgetState({ ...budget, soft: undefined }, parseWad('999')).level).toBe('ok')
  })
})

describe('the day on which a budget is used up', () => {
  const window = budgetWindow({ days: 30, fromDay: day('2026-09-01') }, at('2026-09-11T00:00:00Z'))
  const steady = { firstDay: day('2026-09-01'), days: new Array(10).fill(parseWad('50')) }

  test('is where steady days lead', () => {
    const spent = parseWad('500')
    const found = usedUpOn(
      { hard: parseWad('700'), spent },
      window,
      steady,
      at('2026-09-11T00:00:00Z'),
    )
    expect(found).toEqual({ expected: '2026-09-14', earliest: '2026-09-14', latest: '2026-09-14' })
  })

  test('is later where the window ends before, and unknown while too few days were seen', () => {
    const now = at('2026-09-11T00:00:00Z')
    const facts = { hard: parseWad('1501'), spent: parseWad('500') }
    expect(usedUpOn(facts, window, steady, now)?.expected).toBe('later')
    const few = { ...steady, days: steady.days.slice(0, 2) }
    expect(usedUpOn(facts, window, few, now)).toBeUndefined()
  })

  test('is not said more exactly than the days allow', () => {
    const days = ['10', '90', '30', '70', '50', '20', '80', '40', '60', '50'].map(parseWad)
    const found = usedUpOn(
      ...([{ hard: parseWad('900'), spent: parseWad('500') }, window] as const),
      ...([{ ...steady, days }, at('2026-09-11T06:00:00Z')] as const),
    )
    expect(found?.expected).toBe('2026-09-19')
    expect((found?.earliest ?? '') < '2026-09-19').toBe(true)
    expect((found?.latest ?? '') > '2026-09-19').toBe(true)
  })
})
