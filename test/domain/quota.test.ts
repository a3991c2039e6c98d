import { describe, expect, test } from 'vitest'
import { type Quota, quotaLeft, quotaWindows, usedUp } from '../../src/domain/quota.js'

const FREE: Quota = { requestsAnHour: 10n, requestsADay: 50n, tokensADay: 10_000n }
const NOON = Date.parse('2026-09-24T12:34:56Z')
const used = (requestsThisHour: bigint, requestsToday: bigint, tokensToday: bigint) => ({
  ...{ requestsThisHour, requestsToday, tokensToday },
})

describe('a quota', () => {
  test('counts in hours and days of UTC', () => {
    const { hourMs, dayMs, hourEndsMs, dayEndsMs } = quotaWindows(NOON)
    expect([hourMs, dayMs, hourEndsMs, dayEndsMs].map((ms) => new Date(ms).toISOString())).toEqual([
      '2026-09-24T12:00:00.000Z',
      '2026-09-24T00:00:00.000Z',
      '2026-09-24T13:00:00.000Z',
      '2026-09-25T00:00:00.000Z',
    ])
  })

  test.each([
    [used(9n, 49n, 9_999n), undefined],
    [used(10n, 10n, 0n), 'requests_an_hour'],
    [used(0n, 50n, 0n), 'requests_a_day'],
    [used(0n, 1n, 10_000n), 'tokens_a_day'],
    [used(0n, 1n, 12_345n), 'tokens_a_day'],
    // What is used up for longest counts.
    [used(10n, 50n, 0n), 'requests_a_day'],
  ])('with %o is used up by %s', (use, limit) => {
    expect(usedUp(quotaLeft(FREE, use, NOON))?.limit).toBe(limit)
  })

  test('of nothing is used up for good', () => {
    const none = { ...FREE, requestsAnHour: 0n }
    expect(usedUp(quotaLeft(none, used(0n, 50n, 0n), NOON))?.limit).toBe('requests_an_hour')
  })

  test('says what is left, and never less than nothing', () => {
    const left = quotaLeft(FREE, used(3n, 60n, 4_000n), NOON).map(({ left: rest }) => rest)
    expect(left).toEqual([7n, 0n, 6_000n])
  })

  test('without limits says nothing', () => {
    const none = { requestsAnHour: null, requestsADay: null, tokensADay: null }
    expect(quotaLeft(none, used(9n, 9n, 9n), NOON)).toEqual([])
  })
})
