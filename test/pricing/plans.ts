import fc from 'fast-check'
import { array, type CadenceValue, optional, string, uint } from '../../devnet/flow/cadence-json.js'
import { ZERO_HASH } from '../../src/domain/bytes.js'
import { type Entry, ROWS_MAX } from '../../src/domain/entry.js'
import { accountNumber, modelId } from '../../src/domain/ids.js'
import { wad } from '../../src/domain/money.js'
import { PERIOD_KINDS } from '../../src/domain/period.js'
import type { UsageTotal } from '../../src/domain/usage-total.js'
import type { PlanTerms, Rate, Tier } from '../../src/pricing/plan.js'

export const U64_MAX = 2n ** 64n - 1n
export const U32_MAX = 2n ** 32n - 1n

/** Any number of bits is as likely as any other, and the ends are likelier than all of them. */
function bits(most: number): fc.Arbitrary<bigint> {
  const max = 2n ** BigInt(most) - 1n
  const anySize = fc
    .integer({ min: 0, max: most })
    .chain((count) => fc.bigInt(0n, 2n ** BigInt(count) - 1n))
  return fc.oneof({ arbitrary: anySize, weight: 8 }, fc.constantFrom(0n, 1n, max - 1n, max))
}

const anyWeight = bits(32)
const anyRate: fc.Arbitrary<Rate> = fc
  .oneof(
    { arbitrary: fc.tuple(anyWeight, anyWeight, anyWeight, anyWeight), weight: 6 },
    { arbitrary: anyWeight.map((all) => [all, all, all, 0n] as const), weight: 2 },
    fc.constantFrom([0n, 0n, 0n, 0n] as const, [U32_MAX, U32_MAX, U32_MAX, U32_MAX] as const),
  )
  .map(([prompt, cachedPrompt, completion, request]) => ({
    prompt,
    cachedPrompt,
    completion,
    request,
  }))

/** Of an entry's rows, around the 32 that the contract packs closely, and anywhere. */
const anyModelId = fc.oneof(
  { arbitrary: fc.integer({ min: 0, max: 40 }), weight: 6 },
  fc.integer({ min: 0, max: 65_535 }),
  fc.constantFrom(0, 1, 31, 32, 33, 65_535),
)

const anyBound = fc.oneof(
  bits(64).filter((bound) => bound > 0n && bound < U64_MAX),
  fc.bigInt(1n, 1_000n),
)

/** Any plan that the contract takes. Small bounds are as likely as large ones. */
export const anyTerms: fc.Arbitrary<PlanTerms> = fc
  .record({
    currency: fc.constantFrom('USD', 'FLOW', 'E', 'SIXTEEN-LETTERS!'),
    mode: fc.constantFrom('graduated' as const, 'volume' as const),
    periodKind: fc.constantFrom(...PERIOD_KINDS),
    minimum: bits(112).map(wad),
    fee: bits(112).map(wad),
    noticeS: fc.integer({ min: 0, max: 604_800 }),
    bounds: fc.oneof(
      { arbitrary: fc.uniqueArray(anyBound, { maxLength: 15, size: 'max' }), weight: 3 },
      fc.uniqueArray(anyBound, { minLength: 15, maxLength: 15 }), // Sixteen tiers.
    ),
    prices: fc.array(bits(48), { minLength: 16, maxLength: 16 }),
    discounts: fc.array(fc.oneof(fc.bigInt(0n, 10_000n), fc.constantFrom(0n, 9_999n, 10_000n)), {
      minLength: 16,
      maxLength: 16,
    }),
    defaultRate: anyRate,
    rates: fc.uniqueArray(fc.tuple(anyModelId, anyRate), {
      maxLength: 40,
      size: 'max',
      selector: ([id]) => id,
    }),
  })
  .map(({ bounds, prices, discounts, defaultRate, rates, ...terms }) => ({
    ...terms,
    tiers: [...bounds.sort((a, b) => (a < b ? -1 : 1)), null].map(
      (upTo, i): Tier => ({
        upTo,
        pricePerMillion: prices[i] ?? 0n,
        discountBps: discounts[i] ?? 0n,
      }),
    ),
    rates: new Map([[0, defaultRate] as const, ...rates.filter(([id]) => id !== 0)]),
  }))

const anyRow: fc.Arbitrary<UsageTotal> = fc
  .record({
    id: anyModelId,
    promptTokens: bits(64),
    cached: bits(64),
    completionTokens: bits(64),
    requests: bits(32),
  })
  .map(({ id, promptTokens, cached, completionTokens, requests }) => ({
    modelId: modelId(id),
    promptTokens,
    cachedPromptTokens: cached > promptTokens ? cached % (promptTokens + 1n) : cached,
    completionTokens,
    requests,
  }))

/** The rows of one entry: few, many, all that fit. */
export const anyRows: fc.Arbitrary<UsageTotal[]> = fc
  .constantFrom(1, 3, 6, ROWS_MAX)
  .chain((maxLength) =>
    fc.uniqueArray(anyRow, {
      minLength: maxLength === ROWS_MAX ? ROWS_MAX : 1,
      maxLength,
      selector: (row) => row.modelId,
    }),
  )
  .map((rows) => rows.sort((a, b) => a.modelId - b.modelId))

/** The most that an entry can say. */
export const fullRows: readonly UsageTotal[] = Array.from({ length: ROWS_MAX }, (_, id) => ({
  modelId: modelId(id),
  promptTokens: U64_MAX,
  cachedPromptTokens: 0n,
  completionTokens: U64_MAX,
  requests: U32_MAX,
}))

export function entryOf(rows: readonly UsageTotal[]): Entry {
  const account = accountNumber(7n)
  return { accountNumber: account, periodStart: 1_790_812_800, recordsRoot: ZERO_HASH, rows }
}

/** The arguments of `provider/publish_plan`, said again for the tests. */
export function termsArguments(terms: PlanTerms): CadenceValue[] {
  const rates = [...terms.rates].toSorted(([a], [b]) => a - b)
  const column = <T>(items: readonly T[], type: string, value: (item: T) => bigint | number) =>
    array(items.map((item) => uint(type, value(item))))
  return [
    ...[terms.currency, terms.mode, terms.periodKind].map(string),
    uint('UInt128', terms.minimum),
    uint('UInt128', terms.fee),
    uint('UInt32', terms.noticeS),
    array(terms.tiers.map(({ upTo }) => optional(upTo === null ? null : uint('UInt64', upTo)))),
    column(terms.tiers, 'UInt64', ({ pricePerMillion }) => pricePerMillion),
    column(terms.tiers, 'UInt16', ({ discountBps }) => discountBps),
    column(rates, 'UInt16', ([id]) => id),
    column(rates, 'UInt32', ([, { prompt }]) => prompt),
    column(rates, 'UInt32', ([, { cachedPrompt }]) => cachedPrompt),
    column(rates, 'UInt32', ([, { completion }]) => completion),
    column(rates, 'UInt32', ([, { request }]) => request),
  ]
}
