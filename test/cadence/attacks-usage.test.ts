import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { array, string, uint } from '../../devnet/flow/cadence-json.js'
import { DEFAULT_PLAN } from '../../devnet/flow/plan.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import type { Hex } from '../../src/domain/bytes.js'
import { settleArgs } from './batches.js'
import {
  type Customer,
  expectConservation,
  FLOW,
  FLOW_WAD,
  Settlement,
  TOKEN_WAD,
} from './settlement.js'
import { u64 } from './world.js'

// Goal: no usage is charged twice, at another price than the published one, or to another period,
// whoever brings it, in whatever order.
// Method: each test is named after a hole that contracts of this kind have had, and tries it.
const DAY = 86_400
const DAILY = { ...DEFAULT_PLAN, period: 'day' as const }

let settlement: Settlement
let bob: Customer
beforeAll(async () => {
  settlement = await Settlement.start()
  bob = await settlement.open('50.0')
})
afterAll(async () => {
  await expectConservation(settlement)
  await settlement.stop()
})

const priceOf = async (plan: bigint, ...tokens: bigint[]): Promise<bigint[]> => {
  const billables = array(tokens.map((count) => uint('UInt', count * 10_000n)))
  return (await settlement.world.run('price_billable', [u64(plan), billables])) as bigint[]
}

const today = async (): Promise<number> =>
  Math.floor((await settlement.world.client.clock()).blockMs / 86_400_000) * DAY

describe('the price', () => {
  test('averages the multipliers of models instead of weighing each by its tokens', async () => {
    const rows = [
      { modelId: 1, promptTokens: 100 }, // 1.5
      { modelId: 2, promptTokens: 900 }, // 0.8
      { modelId: 3, promptTokens: 10 }, // 1.5
    ]
    const [settled] = await settlement.bring(settlement.entry(bob, rows))
    expect(settled).toMatchObject({ charge: (150n + 720n + 15n) * TOKEN_WAD })
  })

  test('jumps or falls at the bound of a tier', async () => {
    const graduated = settlement.provider.planId
    const volume = await settlement.publish({ ...DEFAULT_PLAN, mode: 'volume' })
    for (const bound of [100_000n, 1_000_000n, 10_000_000n]) {
      const [below = 0n, at = 0n, above = 0n] = await priceOf(
        graduated,
        bound - 1n,
        bound,
        bound + 1n,
      )
      expect(at - below).toBeLessThanOrEqual(TOKEN_WAD)
      expect(above - at).toBeGreaterThan(0n)
      expect(above - at).toBeLessThan(at - below)
      const [flatAt = 0n, flatAbove = 0n] = await priceOf(volume, bound, bound + 1n)
      expect(flatAbove).toBeGreaterThanOrEqual(flatAt)
    }
  })

  test('overflows at the most tokens that an entry can state, and stops all others', async () => {
    const most = 2n ** 64n - 1n
    const full = Array.from({ length: 32 }, (_, i) => ({
      ...{ modelId: i, promptTokens: most, cachedPromptTokens: most, completionTokens: most },
    }))
    const whale = await settlement.open('1.0')
    const other = await settlement.open('1.0')
    const results = await settlement.bring(
      settlement.entry(whale, full),
      settlement.entry(other, { promptTokens: 10 }),
    )
    expect(results.map(({ result }) => result)).toEqual(['applied', 'applied'])
    expect(results[0]?.owed).toBeGreaterThan(0n)
    expect(results[0]?.balance).toBe(0n)
    expect(results[1]).toMatchObject({ charge: 10n * TOKEN_WAD })
  })
})

describe('old usage', () => {
  test('is charged again when its batch is replayed', async () => {
    const batch = await settlement.accept([settlement.entry(bob, { promptTokens: 2_000 })])
    await settlement.settle([{ batch }])
    const { charged, balance } = await bob.balances()
    for (let again = 0; again < 2; again += 1) {
      expect(await settlement.settled({ batch }, { batch })).toMatchObject([
        { result: 'stale', charge: 0n, paid: 0n },
        { result: 'stale', charge: 0n, paid: 0n },
      ])
    }
    expect(await bob.balances()).toMatchObject({ charged, balance })
  })

  test('is blocked for all by one guard: each vault and period has its own count', async () => {
    const [first, second] = [await settlement.open('1.0'), await settlement.open('1.0')]
    const entries = [first, second].map((one) => settlement.entry(one, { promptTokens: 10 }))
    const both = await settlement.accept(entries)
    const later = await settlement.accept([settlement.entry(first, { promptTokens: 20 })])
    const results = await settlement.settled({ batch: later }, { batch: both })
    expect(results.map(({ result }) => result)).toEqual(['applied', 'stale', 'applied'])
    // Two batches that one voting round proves do not shut each other out either.
    const pair = [11, 12].map((total) =>
      settlement.seal([settlement.entry(second, { promptTokens: total })]),
    )
    for (const batch of pair) {
      await settlement.world.send('anybody/accept_batch', settlement.acceptArgs(batch))
      expect(await settlement.settled({ batch })).toMatchObject([{ result: 'applied' }])
    }
  })

  test('is priced with the plan that was chosen after it', async () => {
    const flat = (pricePerMillion: bigint) => ({
      ...{ ...DAILY, tiers: [{ upTo: null, pricePerMillion, discountBps: 0 }] },
    })
    const dear = await settlement.publish(flat(30_000_000n))
    const cheap = await settlement.publish(flat(1n))
    const daily = await settlement.open('5.0', dear)
    const day = await today()
    await daily.send('choose_plan', u64(cheap))
    await settlement.moveClock(DAY)
    expect(await settlement.use(daily, 1_000, day)).toMatchObject({ charge: 3n * 10n ** 16n })
    expect(await settlement.use(daily, 1_000, day + DAY)).toMatchObject({ charge: 10n ** 9n })
  })

  test('that was corrected comes back with an old batch', async () => {
    const vault = await settlement.open('5.0')
    const wrong = await settlement.accept([settlement.entry(vault, { promptTokens: 5_000 })])
    const worse = await settlement.accept([settlement.entry(vault, { promptTokens: 6_000 })])
    await settlement.settle([{ batch: wrong }])
    const args = [
      ...[u64(vault.number), uint('UInt32', settlement.month), uint('UInt128', 100n * 10_000n)],
      ...[u64(worse.header.seq), string('counted twice')],
    ]
    const { world, provider } = settlement
    await world.send('provider/correct_usage', args, provider.account)
    const results = await settlement.settled({ batch: wrong }, { batch: worse })
    expect(results.map(({ result }) => result)).toEqual(['stale', 'stale'])
    expect(await vault.balances()).toMatchObject({ charged: 100n * TOKEN_WAD })
  })
})

test('periods are invented, to start below the tiers or to go round the cap', async () => {
  const vault = await settlement.open('5.0', await settlement.publish(DAILY))
  const day = await today()
  for (const start of [day + 1, day - DAY, day + DAY, day + 43_200, 0]) {
    expect(await settlement.use(vault, 1_000, start)).toMatchObject({
      result: 'badPeriod',
      charge: 0n,
    })
  }
  expect(await vault.balances()).toMatchObject({ charged: 0n })
})

test('a customer leaves before what they used is settled', async () => {
  const vault = await settlement.open('5.0')
  await vault.send('leave_vault')
  // The notice is longer than the way of a batch: what was used is charged while it runs.
  expect(await settlement.use(vault, 10_000)).toMatchObject({ paid: 10_000n * TOKEN_WAD })
  expect(await vault.refused('request_withdrawal', { type: 'UFix64', value: '5.0' })).toMatch(
    'is above the free',
  )
  await settlement.moveClock(DAY + 60)
  await settlement.world.send('anybody/end_vault', vault.ids)
  // What comes after is not forgotten: it is a loss that the books name.
  expect(await settlement.use(vault, 11_000)).toMatchObject({ result: 'writtenOff' })
  expect(await vault.balances()).toMatchObject({
    paid: 10_000n * TOKEN_WAD,
    writtenOff: 1_000n * TOKEN_WAD,
    balance: 5n * FLOW + FLOW / 100n - (10_000n * TOKEN_WAD * FLOW) / FLOW_WAD,
  })
})

test('history is unbounded: a period keeps one record, and old ones can be given up', async () => {
  const daily = await settlement.open('5.0', await settlement.publish(DAILY))
  const day = await today()
  await settlement.use(daily, 10, day)
  await settlement.moveClock(DAY)
  await settlement.use(daily, 10, day + DAY)
  const kept = await settlement.accept([settlement.entry(daily, { promptTokens: 999 }, day)])
  await settlement.moveClock(401 * DAY)
  await settlement.setPrice(FLOW_WAD)
  const prune = [u64(1), array([u64(daily.number)])]
  const pruned = await settlement.world.send('anybody/prune_vaults', prune)
  expect(eventsNamed(pruned, 'SubscriptionVaults.FloorRaised')).toMatchObject([{ records: 2n }])
  // A period that was given up is not opened again, not even by a batch that was proven before.
  expect(await settlement.settled({ batch: kept })).toMatchObject([
    { result: 'tooOld', charge: 0n },
  ])
})

// The last one: it gives the provider another meter.
test('the old meter goes on after it was changed', async () => {
  const { world, provider } = settlement
  const late = await settlement.accept([settlement.entry(bob, { promptTokens: 9_000 })])
  const sealed = settlement.seal([settlement.entry(bob, { promptTokens: 9_500 })])
  const args = settlement.acceptArgs(sealed)
  const meter = `0x${'a1'.repeat(20)}` as Hex
  await world.send('provider/set_meter', [string(meter)], provider.account)
  expect(await world.refused('anybody/settle_runs', settleArgs(1n, [{ batch: late }]))).toMatch(
    'miss the root of batch',
  )
  expect(await world.refused('anybody/accept_batch', args)).toMatch(/active from|does not prove/)
  await settlement.moveClock(3_601)
  expect(await world.refused('anybody/accept_batch', args)).toMatch('does not prove batch')
  expect(await world.refused('anybody/settle_runs', settleArgs(1n, [{ batch: late }]))).toMatch(
    'miss the root of batch',
  )
})
