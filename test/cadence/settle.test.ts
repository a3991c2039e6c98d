import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { array, uint } from '../../devnet/flow/cadence-json.js'
import { DEFAULT_PLAN } from '../../devnet/flow/plan.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import { type Hex, hash, join, keccak, u64, u256 } from '../../src/domain/bytes.js'
import { chunkHash, entryBytes } from '../../src/domain/entry.js'
import { settleArgs, word } from './batches.js'
import {
  type Customer,
  expectConservation,
  FLOW,
  FLOW_WAD,
  Settlement,
  TOKEN_WAD,
} from './settlement.js'
import { u64 as u64Value } from './world.js'

const DAY = 86_400

// One emulator and one provider for all: a batch follows the other, as in life.
let settlement: Settlement
let alice: Customer
beforeAll(async () => {
  settlement = await Settlement.start()
  alice = await settlement.open('100.0')
})

// Goal: no test may leave the books in disorder, whatever it did.
afterAll(async () => {
  await expectConservation(settlement)
  await settlement.stop()
})

describe('an entry', () => {
  test('is applied: what its total costs more than before is charged and paid', async () => {
    const first = await settlement.bring(settlement.entry(alice, { promptTokens: 1_000 }))
    const cost = 1_000n * TOKEN_WAD
    expect(first).toEqual([
      {
        provider: 1n,
        seq: 1n,
        account: alice.number,
        periodStart: BigInt(settlement.month),
        result: 'applied',
        charge: cost,
        charged: cost,
        paid: cost,
        owed: 0n,
        balance: 100n * FLOW - (cost * FLOW) / FLOW_WAD,
      },
    ])
    const [second] = await settlement.bring(settlement.entry(alice, { promptTokens: 1_500 }))
    expect(second).toMatchObject({
      result: 'applied',
      charge: 500n * TOKEN_WAD,
      charged: 1_500n * TOKEN_WAD,
    })
    const record = { meterEpoch: 1n, lastSeq: 2n, billable: 15_000_000n }
    expect(await recordsOf(alice)).toEqual([{ ...record, charged: 1_500n * TOKEN_WAD }])
  })

  test('of every model and kind of token is weighed', async () => {
    const bob = await settlement.open('10.0')
    const [result] = await settlement.bring(
      settlement.entry(bob, [
        { modelId: 0, promptTokens: 10, cachedPromptTokens: 4, completionTokens: 6 },
        { modelId: 1, promptTokens: 100, cachedPromptTokens: 100 },
        { modelId: 2, promptTokens: 0, completionTokens: 50 },
        { modelId: 9, promptTokens: 3 },
      ]),
    )
    expect(result).toMatchObject({ charge: (16n + 150n + 40n + 3n) * TOKEN_WAD })
  })

  test('is stale when its batch is not above the last one applied', async () => {
    const bob = await settlement.open('10.0')
    const older = await settlement.accept([settlement.entry(bob, { promptTokens: 10 })])
    const newer = await settlement.accept([settlement.entry(bob, { promptTokens: 30 })])
    const results = await settlement.settled({ batch: newer }, { batch: older }, { batch: newer })
    expect(results.map(({ result }) => result)).toEqual(['applied', 'stale', 'stale'])
    expect(results.map(({ charge }) => charge)).toEqual([30n * TOKEN_WAD, 0n, 0n])
    expect(results.map(({ charged }) => charged)).toEqual(Array(3).fill(30n * TOKEN_WAD))
  })

  test('is regressed when it states less than before', async () => {
    const bob = await settlement.open('10.0')
    await settlement.bring(settlement.entry(bob, { promptTokens: 10 }))
    const [less] = await settlement.bring(settlement.entry(bob, { promptTokens: 9 }))
    expect(less).toMatchObject({ result: 'regressed', charge: 0n, charged: 10n * TOKEN_WAD })
    const [same] = await settlement.bring(settlement.entry(bob, { promptTokens: 10 }))
    expect(same).toMatchObject({ result: 'applied', charge: 0n })
  })

  test.each([
    ['a second after the start', (month: number) => month + 1],
    ['the month before the opening', (month: number) => previousMonth(month)],
    ['the next month', (month: number) => nextMonth(month)],
    ['the beginning of time', () => 0],
    ['the end of time', () => 2 ** 32 - 1],
  ])('of %s is of no period', async (_, start) => {
    const entry = settlement.entry(alice, { promptTokens: 9_999 }, start(settlement.month))
    const [result] = await settlement.bring(entry)
    expect(result).toMatchObject({ result: 'badPeriod', charge: 0n })
  })

  test('of nobody is nobody’s', async () => {
    for (const number of [0n, 999n, 2n ** 64n - 1n]) {
      const [result] = await settlement.bring(settlement.entry({ number }, { promptTokens: 1 }))
      expect(result).toMatchObject({ result: 'unknownAccount', account: number, owed: 0n })
    }
  })

  test('that no meter should have signed is malformed, and stops no other', async () => {
    const good = settlement.entry(alice, { promptTokens: 2_000 })
    const bytes = entryBytes(good)
    const row = bytes.slice(-60)
    const bad: Hex[] = [
      `0x01`,
      `0x02${bytes.slice(4)}`,
      bytes.slice(0, -2) as Hex,
      `${bytes}00`,
      bytes.slice(0, 2 + 45 * 2) as Hex, // No row.
      `${bytes}${row}`, // The same model twice.
      `0x${bytes.slice(2, -44)}00000000000007d1${bytes.slice(-28)}`, // More cached than prompted.
      `0x${bytes.slice(2, 92)}${row.repeat(33)}`,
      join(u256(2n ** 255n), u256(2n), u64(3n)),
    ]
    const results = await settlement.bring(...bad, good)
    const names = results.map(({ result }) => result)
    expect(names).toEqual([...bad.map(() => 'malformed'), 'applied'])
    const known = results.filter(({ account }) => account === alice.number)
    expect(known).toHaveLength(3) // The applied one, and those whose rows alone are wrong.
  })

  test('whose price is 2^120 wad or more is malformed', async () => {
    const most = { pricePerMillion: 2n ** 48n - 1n, discountBps: 0 }
    const rate = { prompt: 2 ** 32 - 1, cachedPrompt: 0, completion: 0, request: 0 }
    const plan = await settlement.publish({
      ...DEFAULT_PLAN,
      tiers: [{ upTo: null, ...most }],
      rates: { 0: rate },
    })
    const bob = await settlement.open('1.0', plan)
    const entry = settlement.entry(bob, { promptTokens: 2n ** 64n - 1n })
    expect((await settlement.bring(entry))[0]).toMatchObject({ result: 'malformed', owed: 0n })
    // Just below, it is a debt that nobody can pay, and still no reason to fail.
    const unit = BigInt(rate.prompt) * most.pricePerMillion * 100n
    const [below] = await settlement.bring(
      settlement.entry(bob, { promptTokens: (2n ** 120n - 1n) / unit }),
    )
    expect(below?.result).toBe('applied')
    expect(below?.owed).toBeGreaterThan(2n ** 119n)
  })

  test('of the most rows is applied', async () => {
    const bob = await settlement.open('10.0')
    const rows = Array.from({ length: 32 }, (_, i) => ({ modelId: i * 7, promptTokens: 100 }))
    const [result] = await settlement.bring(settlement.entry(bob, rows))
    expect(result).toMatchObject({ result: 'applied', charge: 3_200n * TOKEN_WAD })
  })
})

describe('a run', () => {
  test('is any part of any chunk, and settles two entries of one vault', async () => {
    const customers = [await settlement.open('1.0'), await settlement.open('1.0')]
    const entries = customers.flatMap((customer) => [
      settlement.entry(customer, { promptTokens: 10 }),
      settlement.entry(customer, { promptTokens: 20 }, settlement.month + 1), // No period.
      settlement.entry(customer, { promptTokens: 30 }, nextMonth(settlement.month)), // To come.
    ])
    const batch = await settlement.accept(entries, { chunkMax: 4 })
    const results = await settlement.settled(
      { batch, chunk: 1, from: 1 },
      { batch, chunk: 0, from: 1, until: 3 },
      { batch, chunk: 0, until: 1 },
      { batch, chunk: 1, until: 1 },
      { batch, chunk: 0 },
    )
    expect(results.map(({ account, result }) => `${account} ${result}`)).toEqual([
      ...[`${customers[1]?.number} badPeriod`],
      ...[`${customers[0]?.number} badPeriod`, `${customers[0]?.number} badPeriod`],
      ...[`${customers[0]?.number} applied`],
      ...[`${customers[1]?.number} badPeriod`],
      ...[`${customers[0]?.number} stale`, `${customers[0]?.number} badPeriod`],
      ...[`${customers[0]?.number} badPeriod`, `${customers[1]?.number} applied`],
    ])
  })

  test('of two periods of one vault in one transaction charges both', async () => {
    const bob = await settlement.open('10.0', await settlement.publish(DAILY))
    const today = await dayOf(bob)
    await settlement.moveClock(DAY)
    const results = await settlement.bring(
      settlement.entry(bob, { promptTokens: 10 }, today),
      settlement.entry(bob, { promptTokens: 20 }, today + DAY),
      settlement.entry(bob, { promptTokens: 15 }, today),
    )
    expect(results.map(({ result, charged }) => [result, charged])).toEqual([
      ['applied', 10n * TOKEN_WAD],
      ['applied', 20n * TOKEN_WAD],
      ['stale', 10n * TOKEN_WAD],
    ])
    expect(results[1]?.balance).toBe(10n * FLOW - (30n * TOKEN_WAD * FLOW) / FLOW_WAD)
  })

  test.each<[string, (args: ReturnType<typeof settleArgs>) => ReturnType<typeof settleArgs>]>([
    [
      'an entry that was changed',
      (args) => args.with(3, array([array([uint('UInt', 2n ** 600n)])])),
    ],
    ['a leaf too many', (args) => args.with(2, array([array([uint('UInt256', 1)])]))],
    ['a path too long', (args) => args.with(5, array([array([uint('UInt256', 1)])]))],
    ['another batch', (args) => args.with(1, array([u64Value(1)]))],
    ['a batch that is not there', (args) => args.with(1, array([u64Value(10_000)]))],
    ['another provider', (args) => args.with(0, u64Value(2))],
    ['no entries', (args) => args.with(3, array([array([])]))],
  ])('with %s reverts', async (_, change) => {
    const batch = await settlement.accept([settlement.entry(alice, { promptTokens: 3_000 })])
    const args = settleArgs(1n, [{ batch }])
    expect(await settlement.world.refused('anybody/settle_runs', change(args))).toMatch(
      'Entries, leaves and path miss the root of batch',
    )
  })

  // Goal: what is hashed into the tree cannot be taken for what the tree is of. Method: the two chunks
  // under the root, put together to 64 bytes, hash to it; they are brought as an entry, and as a leaf.
  test('with the two nodes under the root as 64 bytes reverts', async () => {
    const entries = [
      settlement.entry(alice, { promptTokens: 3_000 }),
      settlement.entry(alice, { promptTokens: 3_000 }, nextMonth(settlement.month)),
    ]
    const batch = await settlement.accept(entries, { chunkMax: 1 })
    const nodes = batch.chunks.map((chunk) =>
      chunkHash(chunk.entries.map((entry) => hash(keccak(entry)))),
    )
    const both = join(...nodes.sort())
    expect(keccak(both)).toBe(batch.header.root)
    const args = settleArgs(1n, [{ batch }]).with(5, array([array([])]))
    for (const forged of [
      args.with(3, array([array([uint('UInt', BigInt(both))])])),
      args.with(2, array([array([word(keccak(both))])])),
    ]) {
      expect(await settlement.world.refused('anybody/settle_runs', forged)).toMatch('miss the root')
    }
  })

  test('of a root that no round proves is not there to be settled', async () => {
    const forged = settlement.seal([settlement.entry(alice, { promptTokens: 1_000_000 })])
    const args = settleArgs(1n, [{ batch: forged }])
    expect(await settlement.world.refused('anybody/settle_runs', args)).toMatch('miss the root')
  })
})

// Goal: the bill depends on what was used, not on how its totals were cut into batches, in which
// order they came, or how often.
// Method: bring the totals of one period in any order with repetitions; the last word is the same.
test('any order of any totals charges the price of the highest', async () => {
  const orders = fc.sample(
    fc.array(fc.tuple(fc.integer({ min: 1, max: 400_000 }), fc.nat()), {
      minLength: 2,
      maxLength: 4,
    }),
    { numRuns: 6, seed: 7 },
  )
  for (const totals of orders) {
    const bob = await settlement.open('50.0')
    const ascending = totals.map(([total]) => total).sort((a, b) => a - b)
    const batches = []
    for (const total of ascending) {
      batches.push(await settlement.accept([settlement.entry(bob, { promptTokens: total })]))
    }
    const order = [...batches, ...batches].map((batch, i) => ({
      batch,
      at: totals[i % totals.length]?.[1] ?? 0,
    }))
    order.sort((a, b) => a.at - b.at)
    await settlement.settle(order.map(({ batch }) => ({ batch })))
    const [record] = (await recordsOf(bob)) as [{ charged: bigint; billable: bigint }]
    const most = BigInt(ascending.at(-1) ?? 0)
    expect(record.billable).toBe(most * 10_000n)
    expect(record.charged).toBe(graduatedWad(most))
    expect((await bob.balances()).charged).toBe(record.charged)
  }
})

describe('plans by period', () => {
  test('a period keeps its plan, however late its usage comes', async () => {
    const cheap = await settlement.publish({ ...DAILY, tiers: [flat(10_000_000n)] })
    const dear = await settlement.publish({ ...DAILY, tiers: [flat(30_000_000n)] })
    const bob = await settlement.open('50.0', cheap)
    const today = await dayOf(bob)
    await bob.send('choose_plan', u64Value(dear))
    // Thought better of it, and then again: one choice for a period.
    await bob.send('choose_plan', u64Value(cheap))
    const chosen = await bob.send('choose_plan', u64Value(dear))
    expect(eventsNamed(chosen, 'SubscriptionVaults.PlanChosen')).toEqual([
      { provider: 1n, account: bob.number, plan: dear, fromPeriod: BigInt(today + DAY) },
    ])
    expect(await vaultOf(bob)).toMatchObject({
      plans: [
        { periodStart: BigInt(today), plan: cheap },
        { periodStart: BigInt(today + DAY), plan: dear },
      ],
    })
    await settlement.moveClock(DAY)
    const results = await settlement.bring(
      settlement.entry(bob, { promptTokens: 1_000 }, today),
      settlement.entry(bob, { promptTokens: 1_000 }, today + DAY),
    )
    expect(results.map(({ charge }) => charge)).toEqual([10n ** 16n, 3n * 10n ** 16n])
  })

  test('a plan of another period or provider is not to be had', async () => {
    expect(await alice.refused('choose_plan', u64Value(await settlement.publish(DAILY)))).toMatch(
      'has another currency or period',
    )
    expect(await alice.refused('choose_plan', u64Value(10_000))).toMatch('is not one of provider 1')
  })

  test('minimum and fee are due with the first entry of a period', async () => {
    const plan = await settlement.publish({ ...DAILY, minimum: 10n ** 17n, fee: 10n ** 16n })
    const bob = await settlement.open('10.0', plan)
    const today = await dayOf(bob)
    const bring = async (promptTokens: number): Promise<bigint | undefined> =>
      (await settlement.bring(settlement.entry(bob, { promptTokens }, today)))[0]?.charge
    expect(await bring(1)).toBe(11n * 10n ** 16n)
    expect(await bring(2)).toBe(0n)
    expect(await bring(10_000)).toBe(10n ** 17n)
  })
})

const DAILY = { ...DEFAULT_PLAN, period: 'day' as const }

function flat(pricePerMillion: bigint) {
  return { upTo: null, pricePerMillion, discountBps: 0 }
}

/** The default plan's tariff up to a million tokens, in wad. */
function graduatedWad(tokens: bigint): bigint {
  const starter = tokens < 100_000n ? tokens : 100_000n
  return starter * TOKEN_WAD + ((tokens - starter) * TOKEN_WAD * 3n * 9n) / 40n
}

async function recordsOf(customer: Customer) {
  const { provider, month } = settlement
  const args = [u64Value(provider.id), array([u64Value(customer.number)])]
  return settlement.world.run('get_records', [...args, array([uint('UInt32', month)])])
}

async function vaultOf(customer: Customer) {
  const all = await settlement.world.run('get_vaults', [
    u64Value(settlement.provider.id),
    uint('Int', 0),
    uint('Int', 1_000),
  ])
  return (all as { account: bigint; openingPeriod: bigint }[]).find(
    ({ account }) => account === customer.number,
  )
}

/** Start of the day that a daily vault was opened on. */
async function dayOf(customer: Customer): Promise<number> {
  return Number((await vaultOf(customer))?.openingPeriod)
}

function nextMonth(start: number): number {
  const date = new Date(start * 1_000)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1) / 1_000
}

function previousMonth(start: number): number {
  const date = new Date(start * 1_000)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - 1, 1) / 1_000
}
