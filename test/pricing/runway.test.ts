import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { modelId } from '../../src/domain/ids.js'
import { parseWad, type Wad, wad } from '../../src/domain/money.js'
import { partCost } from '../../src/pricing/part-cost.js'
import { type Billable, billableOf, dueOf, priceOf } from '../../src/pricing/price.js'
import { burnPerHour, type RunwayRules, runwayOf } from '../../src/pricing/runway.js'
import { worstCost, worstUsage } from '../../src/pricing/worst-usage.js'
import { anyRows, anyTerms } from './plans.js'

const HOUR_MS = 3_600_000
const RULES: RunwayRules = {
  reserveMin: parseWad('0.5'),
  warnMs: 24 * HOUR_MS,
  softMs: 2 * HOUR_MS,
}
const burn = (amount: string, windowMs = HOUR_MS) => ({ cost: parseWad(amount), windowMs })

function runway(funds: string, changes: Partial<Parameters<typeof runwayOf>[0]> = {}) {
  const facts = {
    ...{ funds: parseWad(funds), unsettled: wad(0n), burns: [burn('1')] },
    ...{ delayMs: HOUR_MS, worst: parseWad('3') },
  }
  return runwayOf({ ...facts, ...changes }, RULES)
}

describe('a runway', () => {
  test('is what is left after unsettled usage and reserve, at the pace measured', () => {
    expect(runway('31', { unsettled: parseWad('5') })).toEqual({
      available: parseWad('26'),
      reserve: parseWad('1'),
      burn: burn('1'),
      timeLeftMs: 25 * HOUR_MS,
      level: 'ok',
      exposure: 0n,
    })
  })

  test.each([
    ['25', 'ok'],
    ['24.999999', 'warn'],
    ['3', 'warn'],
    ['2.999999', 'soft'],
    ['1.000000000000000001', 'soft'],
    ['1', 'dry'],
    ['0', 'dry'],
  ])('of %s is %s', (funds, level) => {
    expect(runway(funds).level).toBe(level)
  })

  test('of a quiet account has no end, and a reserve all the same', () => {
    const quiet = { burns: [burn('0')] }
    expect(runway('0.6', quiet)).toMatchObject({ timeLeftMs: undefined, level: 'ok' })
    expect(runway('0.5', quiet)).toMatchObject({ reserve: RULES.reserveMin, level: 'dry' })
  })

  test('goes by the fastest of several stretches of time', () => {
    const { burn: fastest, reserve } = runway('9', { burns: [burn('1'), burn('0.2', 300_000)] })
    expect(fastest).toEqual(burn('0.2', 300_000))
    expect(burnPerHour(fastest)).toBe(parseWad('2.4'))
    expect(reserve).toBe(parseWad('2.4'))
  })

  test('rounds the reserve up, by less than a wad', () => {
    const burns = [{ cost: wad(10n ** 18n + 1n), windowMs: HOUR_MS }]
    const { reserve } = runway('9', { burns, delayMs: HOUR_MS / 2 })
    expect(reserve).toBe(5n * 10n ** 17n + 1n)
  })

  test('says what may never be paid: the worst case beyond what is there', () => {
    expect(runway('2').exposure).toBe(parseWad('1'))
    expect(runway('3').exposure).toBe(0n)
    expect(runway('0', { unsettled: parseWad('4') }).exposure).toBe(parseWad('7'))
    expect(runway('9', { worst: undefined }).exposure).toBeUndefined()
  })
})

describe('the worst usage', () => {
  const gateway = { proxies: 2n, callTokens: 1_000n, callsAtOnce: 3n }

  test('is every minute of the window and one more at its limit, on every proxy', () => {
    // A minute: 500 tokens, then the three calls in hand end. And three are in hand at the beginning.
    const worst = worstUsage([{ rpmLimit: 10, tpmLimit: 500 }], gateway, 120_000)
    expect(worst).toEqual({
      tokens: 2n * (3n * (500n + 3_000n) + 3_000n),
      requests: 2n * (3n * 10n + 3n),
    })
  })

  test('of few large calls is bounded by their number', () => {
    const worst = worstUsage([{ rpmLimit: 2, tpmLimit: null }], gateway, 60_000)
    expect(worst?.tokens).toBe(2n * (2n * 2_000n + 3_000n))
  })

  test('of all keys is the sum; of none, nothing; of one without limits, unbounded', () => {
    const key = { rpmLimit: 10, tpmLimit: 500 }
    const [one, two] = [worstUsage([key], gateway, 1), worstUsage([key, key], gateway, 1)]
    expect(two?.tokens).toBe(2n * (one?.tokens ?? 0n))
    expect(worstUsage([], gateway, HOUR_MS)).toEqual({ tokens: 0n, requests: 0n })
    expect(worstUsage([key, { rpmLimit: null, tpmLimit: null }], gateway, 1)).toBeUndefined()
  })

  test('of a key that may do nothing is what it has in hand', () => {
    const idle = { tokens: 6_000n, requests: 6n }
    expect(worstUsage([{ rpmLimit: 0, tpmLimit: 0 }], gateway, HOUR_MS)).toEqual(idle)
  })

  // Goal: whatever is used within the worst case costs at most what was said of it.
  test('costs at least as much as any usage within it', () => {
    const tokens = fc.bigInt(0n, 10n ** 9n)
    fc.assert(
      fc.property(
        anyTerms,
        anyRows,
        fc.record({ prompt: tokens, cached: tokens, completion: tokens, requests: tokens }),
        fc.nat(40),
        (plan, rows, { prompt, cached, completion, requests }, id) => {
          const more = {
            modelId: modelId(id),
            promptTokens: prompt + cached,
            cachedPromptTokens: cached,
            completionTokens: completion,
            requests,
          }
          const worst = { tokens: prompt + cached + completion, requests }
          const real = dueOf(plan, [...rows, more]) - dueOf(plan, rows)
          expect(worstCost(plan, rows, worst) >= real).toBe(true)
        },
      ),
    )
  })
})

describe('the cost of the newest part', () => {
  // Goal: what was spent before and the newest part are the whole bill, to the wad.
  test('and of what was before are the whole', () => {
    fc.assert(
      fc.property(anyTerms, anyRows, anyRows, (plan, before, part) => {
        const all = [...before, ...part]
        fc.pre(part.some(({ requests }) => requests > 0n))
        fc.pre(before.every((row) => row.requests > 0n))
        expect(dueOf(plan, before) + partCost(plan, all, part)).toBe(dueOf(plan, all))
      }),
    )
  })

  test('says nothing of minimum and fee where it is about the pace', () => {
    fc.assert(
      fc.property(anyTerms, anyRows, (plan, rows) => {
        fc.pre(rows.some(({ requests }) => requests > 0n))
        const first: Wad = priceOf(plan, 0n as Billable)
        const whole = priceOf(plan, billableOf(plan, rows))
        expect(partCost(plan, rows, rows, true)).toBe(whole - first)
      }),
    )
  })
})
