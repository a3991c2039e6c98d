import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { array, uint } from '../../devnet/flow/cadence-json.js'
import { entryBytes } from '../../src/domain/entry.js'
import { modelId } from '../../src/domain/ids.js'
import { wad } from '../../src/domain/money.js'
import type { UsageTotal } from '../../src/domain/usage-total.js'
import type { PlanTerms, Rate, Tier } from '../../src/pricing/plan.js'
import { planHash } from '../../src/pricing/plan-hash.js'
import { type Billable, billableOf, dueOf } from '../../src/pricing/price.js'
import { startWorld, type World } from '../cadence/world.js'
import { anyRows, anyTerms, entryOf, fullRows, termsArguments, U32_MAX, U64_MAX } from './plans.js'

// Goal: the price that the daemon explains is the price that the contract takes, to the last wad.
// Method: generate plans and entries from a seed, add those at every edge, and let the contract
// weigh, price and hash the same on the emulator, many in one script.

const PLANS = 100
const ENTRIES = 100
const VECTORS_MIN = 10_000
const SEED = 6

/** Models by which any total can be stated exactly: tokens of the one weigh 1e-4, of the other 1. */
const FINE = 5
const COARSE = 64
const flat = (weight: bigint): Rate => ({
  prompt: weight,
  cachedPrompt: weight,
  completion: weight,
  request: weight,
})
const scales = [
  [FINE, flat(1n)],
  [COARSE, flat(10_000n)],
] as const

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.stop())

test('weight, price and hash are the same in TypeScript and Cadence', async () => {
  let vectors = 0
  const seen = {
    ...{ graduated: 0, volume: 0, atBound: 0, atBoundOfVolume: 0, crossedBound: 0 },
    ...{ full: 0, minimum: 0, free: 0, sixteenTiers: 0, heaviest: 0, mostTokens: 0, mostDue: 0 },
  }
  const plans = fc.sample(anyTerms, { numRuns: PLANS, seed: SEED })
  for (const [i, plan] of plans.entries()) {
    const terms = { ...plan, rates: new Map([...plan.rates, ...scales]) }
    const edges = boundRows(terms)
    const anywhere = fc.sample(anyRows, { numRuns: ENTRIES, seed: SEED + i })
    const usages = [...edges, fullRows, ...unused, ...anywhere]
    const ours = usages.map((rows) => {
      const billable = billableOf(terms, rows)
      return { billable, price: dueOf(terms, rows) }
    })
    const entries = usages.map((rows) => uint('UInt', BigInt(entryBytes(entryOf(rows)))))
    const args = [...termsArguments(terms), array(entries)]
    expect(await world.run('price_entries', args)).toEqual({
      hash: BigInt(planHash(terms)),
      billables: ours.map(({ billable }) => billable),
      prices: ours.map(({ price }) => price),
    })
    vectors += usages.length
    seen[terms.mode] += usages.length
    seen.atBound += edges.length
    if (terms.mode === 'volume') seen.atBoundOfVolume += edges.length
    if (terms.mode === 'volume') seen.crossedBound += ours.filter(isHeldUp(terms)).length
    if (terms.tiers.length === 16) seen.sixteenTiers += usages.length
    if ([...terms.rates.values()].some(({ prompt }) => prompt === U32_MAX)) {
      seen.heaviest += usages.length
    }
    if ([terms.minimum, terms.fee].includes(wad(2n ** 112n - 1n))) seen.mostDue += usages.length
    seen.mostTokens += usages.filter((rows) =>
      rows.some(({ promptTokens }) => promptTokens === U64_MAX),
    ).length
    seen.full += usages.filter(({ length }) => length === fullRows.length).length
    seen.minimum += ours.filter(({ price }) => price === terms.minimum + terms.fee).length
    seen.free += ours.filter(({ billable }) => billable === 0n).length
  }
  expect(vectors).toBeGreaterThanOrEqual(VECTORS_MIN)
  // No kind of case is missing by an accident of the seed.
  for (const [kind, count] of Object.entries(seen)) expect(count, kind).toBeGreaterThan(100)
})

/** Volume: what was due at a bound that was crossed is more than the tier reached would ask. */
function isHeldUp(
  terms: PlanTerms,
): (one: { readonly billable: Billable; readonly price: bigint }) => boolean {
  const unit = ({ pricePerMillion, discountBps }: Tier): bigint =>
    pricePerMillion * (10_000n - discountBps)
  return ({ billable, price }) => {
    const reached = terms.tiers.find(({ upTo }) => upTo === null || billable <= upTo * 10_000n)
    if (reached === undefined) throw new Error('the last tier has no bound')
    const alone = (billable * unit(reached)) / 100n
    return price > (alone > terms.minimum ? alone : terms.minimum) + terms.fee
  }
}

/** A bound of a tier, and just beside it: in 1e-4 tokens, and in tokens. */
function boundRows({ tiers }: PlanTerms): UsageTotal[][] {
  const bounds = tiers.flatMap(({ upTo }) => upTo ?? [])
  return bounds.flatMap((bound) =>
    [-10_000n, -1n, 0n, 1n, 10_000n].map((by) => rowsWeighing(bound * 10_000n + by)),
  )
}

/** No usage at all: neither minimum nor fee. A request alone is usage, whatever it weighs. */
const unused = [[row(0, 0n)], [row(0, 0n), row(FINE, 0n)], [{ ...row(FINE, 0n), requests: 1n }]]

function rowsWeighing(weight: bigint): UsageTotal[] {
  return [row(FINE, weight % 10_000n), row(COARSE, weight / 10_000n)]
}

function row(id: number, promptTokens: bigint): UsageTotal {
  const nothing = { cachedPromptTokens: 0n, completionTokens: 0n, requests: 0n }
  return { modelId: modelId(id), promptTokens, ...nothing }
}
