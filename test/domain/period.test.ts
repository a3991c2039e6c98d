import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PERIOD_KINDS, periodAt } from '../../src/domain/period.js'

const DAY_S = 86_400
const at = (iso: string): number => Date.parse(iso)
const seconds = (iso: string): number => Date.parse(iso) / 1000

/** kind, instant, start of its period, end of its period. */
const CASES = [
  ['day', '2026-09-24T00:00:00.000Z', '2026-09-24T00:00:00Z', '2026-09-25T00:00:00Z'],
  ['day', '2026-09-24T23:59:59.999Z', '2026-09-24T00:00:00Z', '2026-09-25T00:00:00Z'],
  ['day', '1970-01-01T00:00:00.000Z', '1970-01-01T00:00:00Z', '1970-01-02T00:00:00Z'],
  ['day', '2024-02-29T12:00:00.000Z', '2024-02-29T00:00:00Z', '2024-03-01T00:00:00Z'],
  // Mondays begin weeks; 2026-09-21 is one.
  ['week', '2026-09-21T00:00:00.000Z', '2026-09-21T00:00:00Z', '2026-09-28T00:00:00Z'],
  ['week', '2026-09-27T23:59:59.999Z', '2026-09-21T00:00:00Z', '2026-09-28T00:00:00Z'],
  ['week', '2026-09-28T00:00:00.000Z', '2026-09-28T00:00:00Z', '2026-10-05T00:00:00Z'],
  // The week across the change of the year, and the one across a leap day.
  ['week', '2025-01-01T00:00:00.000Z', '2024-12-30T00:00:00Z', '2025-01-06T00:00:00Z'],
  ['week', '2024-02-29T08:00:00.000Z', '2024-02-26T00:00:00Z', '2024-03-04T00:00:00Z'],
  // The first week began before 1970, which no u32 can say: it is cut, and ends on its Sunday.
  ['week', '1970-01-01T00:00:00.000Z', '1970-01-01T00:00:00Z', '1970-01-05T00:00:00Z'],
  ['week', '1970-01-04T23:59:59.999Z', '1970-01-01T00:00:00Z', '1970-01-05T00:00:00Z'],
  ['week', '1970-01-05T00:00:00.000Z', '1970-01-05T00:00:00Z', '1970-01-12T00:00:00Z'],
  ['month', '2026-09-30T23:59:59.999Z', '2026-09-01T00:00:00Z', '2026-10-01T00:00:00Z'],
  ['month', '2026-12-31T23:59:59.999Z', '2026-12-01T00:00:00Z', '2027-01-01T00:00:00Z'],
  ['month', '2024-02-29T23:59:59.999Z', '2024-02-01T00:00:00Z', '2024-03-01T00:00:00Z'],
  ['month', '2023-02-28T23:59:59.999Z', '2023-02-01T00:00:00Z', '2023-03-01T00:00:00Z'],
  // 2100 is no leap year, 2000 was one.
  ['month', '2100-02-28T23:59:59.999Z', '2100-02-01T00:00:00Z', '2100-03-01T00:00:00Z'],
  ['month', '2000-02-29T23:59:59.999Z', '2000-02-01T00:00:00Z', '2000-03-01T00:00:00Z'],
  // Clocks change in Berlin on 2026-03-29 and in New York on 2026-03-08: nothing does here.
  ['day', '2026-03-29T01:30:00.000Z', '2026-03-29T00:00:00Z', '2026-03-30T00:00:00Z'],
  ['day', '2026-03-08T07:30:00.000Z', '2026-03-08T00:00:00Z', '2026-03-09T00:00:00Z'],
  ['month', '2026-03-29T01:30:00.000Z', '2026-03-01T00:00:00Z', '2026-04-01T00:00:00Z'],
] as const

test.each(CASES)('%s of %s', (kind, instant, startsAt, endsUntil) => {
  expect(periodAt(at(instant), kind)).toEqual({
    startsAt: seconds(startsAt),
    endsUntil: seconds(endsUntil),
  })
})

test('only instants since 1970 have a period', () => {
  for (const ms of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => periodAt(ms, 'day')).toThrow('not an instant')
  }
})

describe.each(PERIOD_KINDS)('every %s', (kind) => {
  const instant = fc.integer({ min: 0, max: (2 ** 32 - 1) * 1000 })

  test('holds its instant, and is the period of its first and its last millisecond', () => {
    fc.assert(
      fc.property(instant, (ms) => {
        const period = periodAt(ms, kind)
        expect(period.startsAt * 1000).toBeLessThanOrEqual(ms)
        expect(period.endsUntil * 1000).toBeGreaterThan(ms)
        expect(periodAt(period.startsAt * 1000, kind)).toEqual(period)
        expect(periodAt(period.endsUntil * 1000 - 1, kind)).toEqual(period)
      }),
    )
  })

  test('is followed by the next without a gap, and is as long as such periods are', () => {
    fc.assert(
      fc.property(instant, (ms) => {
        const { startsAt, endsUntil } = periodAt(ms, kind)
        expect(periodAt(endsUntil * 1000, kind).startsAt).toBe(endsUntil)
        const days = (endsUntil - startsAt) / DAY_S
        const lengths = { day: [1], week: [4, 7], month: [28, 29, 30, 31] }
        expect(lengths[kind]).toContain(days)
      }),
    )
  })

  // Goal: the machine's time zone and its summer time change nothing. Method: V8 reads TZ anew
  // when it is set; the control shows that it did.
  test('is the same in every time zone', () => {
    const before = process.env.TZ
    const instants = Array.from(
      { length: 400 },
      (_, i) => at('2026-01-01T00:00:00Z') + i * 79_000_000,
    )
    const expected = instants.map((ms) => periodAt(ms, kind))
    try {
      for (const zone of ['America/New_York', 'Pacific/Kiritimati', 'Europe/Berlin']) {
        process.env.TZ = zone
        expect(new Date(at('2026-07-01T00:00:00Z')).getTimezoneOffset()).not.toBe(0)
        expect(instants.map((ms) => periodAt(ms, kind))).toEqual(expected)
      }
    } finally {
      if (before === undefined) delete process.env.TZ
      else process.env.TZ = before
    }
  })
})
