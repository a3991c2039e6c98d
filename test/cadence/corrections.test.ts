import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  array,
  bool,
  type CadenceValue,
  string,
  ufix64,
  uint,
} from '../../devnet/flow/cadence-json.js'
import { DEFAULT_PLAN } from '../../devnet/flow/plan.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import type { Entry } from '../../src/domain/entry.js'
import {
  type Customer,
  expectConservation,
  FLOW,
  FLOW_WAD,
  Settlement,
  TOKEN_WAD,
  WAD,
} from './settlement.js'
import { u64 } from './world.js'

// Goal: a correction takes back exactly what a total was too high, and nothing brings it again.

let settlement: Settlement
beforeAll(async () => {
  settlement = await Settlement.start()
})
afterAll(async () => {
  await expectConservation(settlement)
  await settlement.stop()
})

/** Tokens are counted in 1e-4. */
const BILLABLE = 10_000n
const unitsOf = (wad: bigint): bigint => (wad * FLOW) / FLOW_WAD

interface Correction {
  readonly tokens: bigint
  readonly afterSeq?: bigint
  readonly periodStart?: number
  readonly reason?: string
}

function correctionArgs(customer: Customer, parts: Correction): CadenceValue[] {
  const { tokens, afterSeq = 0n, periodStart = settlement.month, reason = 'test' } = parts
  return [
    ...[u64(customer.number), uint('UInt32', periodStart)],
    ...[uint('UInt128', tokens * BILLABLE), u64(afterSeq), string(reason)],
  ]
}

async function correct(customer: Customer, parts: Correction) {
  const args = correctionArgs(customer, parts)
  const { world, provider } = settlement
  const result = await world.send('provider/correct_usage', args, provider.account)
  return eventsNamed(result, 'SubscriptionVaults.UsageCorrected')[0]
}

function refused(customer: Customer, parts: Correction, signer = settlement.provider.account) {
  return settlement.world.refused('provider/correct_usage', correctionArgs(customer, parts), signer)
}

async function recordOf(customer: Customer) {
  const { provider, month, world } = settlement
  const args = [u64(provider.id), array([u64(customer.number)]), array([uint('UInt32', month)])]
  const [record] = (await world.run('get_records', args)) as [Record<string, bigint> | null]
  return record
}

describe('what was charged too much', () => {
  test('is owed no more, and then comes back from earnings', async () => {
    const bob = await settlement.open('1.0')
    await settlement.use(bob, 1_000)
    await bob.send('set_autopay', bool(false))
    const last = await settlement.use(bob, 1_600)
    const { owed, balance } = last
    expect(owed).toBe(600n * TOKEN_WAD)
    const event = await correct(bob, { tokens: 1_300n, reason: 'counted twice' })
    expect(event).toEqual({
      ...{ provider: 1n, account: bob.number, periodStart: BigInt(settlement.month) },
      ...{ billable: 1_300n * BILLABLE, charged: 1_300n * TOKEN_WAD, afterSeq: 2n },
      ...{ meterEpoch: 1n, refunded: 0n, owed: 300n * TOKEN_WAD, balance },
      reason: 'counted twice',
    })
    expect(await correct(bob, { tokens: 900n })).toMatchObject({
      charged: 900n * TOKEN_WAD,
      refunded: 100n * TOKEN_WAD,
      owed: 0n,
      balance: balance + unitsOf(100n * TOKEN_WAD),
    })
    expect(await bob.balances()).toMatchObject({
      charged: 900n * TOKEN_WAD,
      paid: 900n * TOKEN_WAD,
      owed: 0n,
    })
    await expectConservation(settlement)
  })

  test('is a whole unit of a token for each part of one', async () => {
    await settlement.setPrice(3n * WAD)
    const bob = await settlement.open('1.0')
    await settlement.use(bob, 1_000)
    const { balance, owed } = (await bob.balances()) as { balance: bigint; owed: bigint }
    const refunded = 500n * TOKEN_WAD - owed
    expect(await correct(bob, { tokens: 500n })).toMatchObject({
      refunded,
      balance: balance + (refunded * FLOW + 3n * WAD - 1n) / (3n * WAD),
    })
    await settlement.setPrice(FLOW_WAD)
  })

  test('comes back when the usage that was meant comes after', async () => {
    const bob = await settlement.open('1.0')
    await settlement.use(bob, 1_000)
    await correct(bob, { tokens: 0n })
    expect(await bob.balances()).toMatchObject({ charged: 0n, paid: 0n, balance: FLOW })
    expect(await settlement.use(bob, 400)).toMatchObject({
      result: 'applied',
      charge: 400n * TOKEN_WAD,
    })
  })
})

describe('a period without usage', () => {
  const minimum = 10n ** 17n
  const fee = 10n ** 16n
  const nothing = { promptTokens: 0 }
  const unused = { cachedPromptTokens: 0n, completionTokens: 0n, requests: 0n }

  /** All models' rows as they were, with nothing left in them: what the daemon states then. */
  const emptied = (customer: Customer): Entry => {
    const entry = settlement.entry(customer, nothing)
    return { ...entry, rows: entry.rows.map((row) => ({ ...row, promptTokens: 0n, ...unused })) }
  }

  test('costs neither minimum nor fee, and gives back what a correction takes to nothing', async () => {
    const plan = await settlement.publish({ ...DEFAULT_PLAN, minimum, fee })
    const bob = await settlement.open('1.0', plan)
    expect(await settlement.bring(emptied(bob))).toMatchObject([{ result: 'applied', charge: 0n }])
    expect(await settlement.use(bob, 1_000)).toMatchObject({ charge: minimum + fee })
    expect(await correct(bob, { tokens: 1n })).toMatchObject({ charged: minimum + fee })
    expect(await correct(bob, { tokens: 0n, afterSeq: 1n })).toMatchObject({ charged: 0n })
    expect(await bob.balances()).toMatchObject({ charged: 0n, paid: 0n, balance: FLOW })
    // The next batch states the totals that are left.
    expect(await settlement.bring(emptied(bob))).toMatchObject([{ result: 'applied', charge: 0n }])
    // A late row is usage.
    expect(await settlement.use(bob, 1)).toMatchObject({ charge: minimum + fee })
    await expectConservation(settlement)
  })

  test('is not one whose usage weighs nothing: a request is usage', async () => {
    const none = { prompt: 0, cachedPrompt: 0, completion: 0, request: 0 }
    const plan = await settlement.publish({ ...DEFAULT_PLAN, fee, rates: { 0: none } })
    const bob = await settlement.open('1.0', plan)
    const [flat] = await settlement.bring(settlement.entry(bob, nothing))
    expect(flat).toMatchObject({ result: 'applied', charge: fee })
    // A correction gives the fee back, and what is left of the usage is charged it again.
    expect(await correct(bob, { tokens: 0n })).toMatchObject({ charged: 0n })
    const [again] = await settlement.bring(settlement.entry(bob, nothing))
    expect(again).toMatchObject({ result: 'applied', charge: fee })
  })
})

describe('a corrected period', () => {
  test('is raised by no batch up to afterSeq, however late it comes', async () => {
    const bob = await settlement.open('1.0')
    const seen = await settlement.accept([settlement.entry(bob, { promptTokens: 1_000 })])
    const late = await settlement.accept([settlement.entry(bob, { promptTokens: 1_100 })])
    await settlement.settle([{ batch: seen }])
    const afterSeq = late.header.seq
    expect(await correct(bob, { tokens: 700n, afterSeq })).toMatchObject({ afterSeq })
    const results = await settlement.settled({ batch: late }, { batch: seen })
    expect(results.map(({ result }) => result)).toEqual(['stale', 'stale'])
    expect(await recordOf(bob)).toMatchObject({ billable: 700n * BILLABLE, lastSeq: afterSeq })
    expect(await settlement.use(bob, 800)).toMatchObject({
      result: 'applied',
      charge: 100n * TOKEN_WAD,
    })
    // An older word about where the meter was does not take the newer one back.
    expect(await correct(bob, { tokens: 800n, afterSeq: 1n })).toMatchObject({
      afterSeq: afterSeq + 1n,
    })
  })

  test('may have had no entry yet: then its unsettled ones are kept out', async () => {
    const bob = await settlement.open('1.0')
    const unsettled = await settlement.accept([settlement.entry(bob, { promptTokens: 900 })])
    const { seq } = unsettled.header
    expect(await refused(bob, { tokens: 1n, afterSeq: seq })).toMatch(
      'of 0 is not lowered to 10000',
    )
    await correct(bob, { tokens: 0n, afterSeq: seq })
    expect(await settlement.settled({ batch: unsettled })).toMatchObject([{ result: 'stale' }])
    expect(await recordOf(bob)).toEqual({ meterEpoch: 1n, lastSeq: seq, billable: 0n, charged: 0n })
    expect(await settlement.use(bob, 30)).toMatchObject({ charge: 30n * TOKEN_WAD, owed: 0n })
  })
})

describe('a correction is refused', () => {
  test('upwards, of what is no period, or without a reason', async () => {
    const bob = await settlement.open('1.0')
    await settlement.use(bob, 1_000)
    expect(await refused(bob, { tokens: 1_001n })).toMatch('A total of 10000000 is not lowered')
    const periodStart = settlement.month + 1
    expect(await refused(bob, { tokens: 0n, periodStart })).toMatch('is badPeriod')
    expect(await refused(bob, { tokens: 0n, reason: '' })).toMatch('A reason has 1 to 256')
    expect(await refused(bob, { tokens: 0n, reason: 'x'.repeat(257) })).toMatch('A reason has 1')
    expect(await refused({ ...bob, number: 999n } as Customer, { tokens: 0n })).toMatch('no vault')
  })

  // Goal: a slip of the hand does not stop all billing of a period.
  test('up to a batch that the meter is nowhere near to', async () => {
    const bob = await settlement.open('1.0')
    await settlement.use(bob, 1_000)
    const { highestSeq } = (await settlement.world.run('get_stream', [u64(1)])) as {
      highestSeq: bigint
    }
    const wrong = highestSeq + 17n
    expect(await refused(bob, { tokens: 900n, afterSeq: wrong })).toMatch(
      `afterSeq ${wrong} is more than 16 above ${highestSeq}, the highest batch accepted`,
    )
    expect(await refused(bob, { tokens: 900n, afterSeq: 2n ** 64n - 1n })).toMatch('more than 16')
    const afterSeq = highestSeq + 16n
    expect(await correct(bob, { tokens: 900n, afterSeq })).toMatchObject({ afterSeq })
  })

  test('to anybody but the provider', async () => {
    const bob = await settlement.open('1.0')
    await settlement.use(bob, 1_000)
    expect(await refused(bob, { tokens: 0n }, bob.account)).toMatch('The signer is no provider')
    // Another provider has no vault of that number.
    const rival = await settlement.world.client.createAccount({ fundFlow: '5.0' })
    await settlement.world.send('provider/set_up_provider', [], rival)
    expect(await refused(bob, { tokens: 0n }, rival)).toMatch('has no vault')
  })

  test('above the earnings, or without a price, while something paid has to come back', async () => {
    const bob = await settlement.open('1.0')
    await settlement.use(bob, 10_000)
    const { world, provider } = settlement
    await settlement.setPrice(1_000n * WAD) // Out of its bounds.
    expect(await refused(bob, { tokens: 0n })).toMatch('Without a price of the token nothing can')
    await settlement.setPrice(FLOW_WAD)
    const earnings = (await settlement.conservation()).books[0]?.earnings ?? 0n
    const collect = [string('USD'), ufix64(earnings)]
    await world.send('provider/collect_earnings', collect, provider.account)
    expect(await refused(bob, { tokens: 0n })).toMatch('units are above the earnings of 0')
    expect(await recordOf(bob)).toMatchObject({ billable: 10_000n * BILLABLE })
  })
})

// The last one: it gives the provider another meter.
test('a correction under a new meter counts that one’s batches', async () => {
  const { world, provider } = settlement
  const bob = await settlement.open('1.0')
  await settlement.use(bob, 1_000)
  const meter = `0x${'a1'.repeat(20)}` as const
  await world.send('provider/set_meter', [string(meter)], provider.account)
  settlement.restart(meter)
  await settlement.moveClock(3_601)
  await settlement.use(await settlement.open('1.0'), 10) // Somebody pays, so that there are earnings.
  const event = await correct(bob, { tokens: 995n, afterSeq: 1n })
  expect(event).toMatchObject({ meterEpoch: 2n, afterSeq: 1n, charged: 995n * TOKEN_WAD })
  expect(await settlement.use(bob, 1_001)).toMatchObject({ charge: 6n * TOKEN_WAD })
})
