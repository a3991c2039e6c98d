import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  address,
  array,
  bool,
  optional,
  string,
  ufix64,
  uint,
} from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { flowVaultType } from '../../devnet/flow/deploy.js'
import { DEFAULT_PLAN } from '../../devnet/flow/plan.js'
import { eventsNamed } from '../../devnet/flow/results.js'
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

const DAY = 86_400
const DAILY = { ...DEFAULT_PLAN, period: 'day' as const }

let settlement: Settlement
let stranger: FlowAccount
beforeAll(async () => {
  settlement = await Settlement.start()
  stranger = await settlement.world.client.createAccount({ fundFlow: '50.0' })
})
afterAll(async () => {
  await expectConservation(settlement)
  await settlement.stop()
})

/** Units of FLOW that a wad amount takes. */
const unitsOf = (wad: bigint): bigint => (wad * FLOW) / FLOW_WAD

describe('paying', () => {
  test('an empty balance leaves a debt, and a deposit by anybody pays it when asked', async () => {
    const bob = await settlement.open('0.01')
    const cost = 1_000n * TOKEN_WAD
    const paid = FLOW_WAD / 100n
    expect(await settlement.use(bob, 1_000)).toMatchObject({
      charge: cost,
      paid,
      owed: cost - paid,
      balance: 0n,
    })

    await settlement.world.send('anybody/deposit', [...bob.ids, ufix64('1.0')], stranger)
    expect(await bob.balances()).toMatchObject({ balance: FLOW, owed: cost - paid })
    const result = await bob.payOwed()
    expect(eventsNamed(result, 'SubscriptionVaults.OwedPaid')).toEqual([
      {
        provider: 1n,
        account: bob.number,
        paid: cost - paid,
        owed: 0n,
        balance: FLOW - unitsOf(cost - paid),
      },
    ])
  })

  test('what is less than the smallest unit of a token stays owed', async () => {
    await settlement.setPrice(3n * WAD)
    const bob = await settlement.open('1.0')
    const { charge, paid, owed, balance } = await settlement.use(bob, 1)
    const units = (charge * FLOW) / (3n * WAD)
    expect({ paid, owed, balance }).toEqual({
      paid: (units * 3n * WAD) / FLOW,
      owed: charge - (units * 3n * WAD) / FLOW,
      balance: FLOW - units,
    })
    expect(owed).toBeGreaterThan(0n)
    await settlement.setPrice(FLOW_WAD)
  })

  test('waits while autopay is off, and goes on after', async () => {
    const bob = await settlement.open('1.0')
    const result = await bob.send('set_autopay', bool(false))
    expect(eventsNamed(result, 'SubscriptionVaults.LimitsChanged')).toEqual([
      {
        ...{ provider: 1n, account: bob.number, isAutopayOn: false, isPaused: false },
        ...{ cap: null, entitled: null, validUntil: null },
      },
    ])
    expect(await settlement.use(bob, 100)).toMatchObject({
      result: 'applied',
      paid: 0n,
      balance: FLOW,
    })
    expect(eventsNamed(await bob.payOwed(), 'SubscriptionVaults.OwedPaid')[0]?.paid).toBe(0n)
    await bob.send('set_autopay', bool(true))
    expect(await settlement.use(bob, 150)).toMatchObject({ paid: 150n * TOKEN_WAD, owed: 0n })
  })

  test('waits while paused', async () => {
    const bob = await settlement.open('1.0')
    await bob.send('set_paused', bool(true))
    expect(await settlement.use(bob, 100)).toMatchObject({ paid: 0n, owed: 100n * TOKEN_WAD })
    await bob.send('set_paused', bool(false))
    expect(await settlement.use(bob, 100)).toMatchObject({
      charge: 0n,
      paid: 100n * TOKEN_WAD,
      owed: 0n,
    })
  })

  test('stops at the cap, and goes on in the next period of the calendar', async () => {
    const bob = await settlement.open('10.0', await settlement.publish(DAILY))
    const today = await dayOf(bob)
    // What was paid before the cap was set counts too.
    expect(await settlement.use(bob, 60, today)).toMatchObject({ paid: 60n * TOKEN_WAD })
    await bob.send('set_cap', optional(uint('UInt128', 100n * TOKEN_WAD)))
    expect(await settlement.use(bob, 130, today)).toMatchObject({
      charge: 70n * TOKEN_WAD,
      paid: 40n * TOKEN_WAD,
      owed: 30n * TOKEN_WAD,
    })
    expect(await bob.balances()).toMatchObject({ spent: 100n * TOKEN_WAD, cap: 100n * TOKEN_WAD })

    await settlement.moveClock(DAY)
    expect(await bob.balances()).toMatchObject({ spent: 0n })
    // Late usage of yesterday is paid under the cap of today.
    expect(await settlement.use(bob, 230, today)).toMatchObject({
      paid: 100n * TOKEN_WAD,
      owed: 30n * TOKEN_WAD,
    })
    await bob.send('set_cap', optional(null))
    expect(await settlement.use(bob, 230, today)).toMatchObject({ paid: 30n * TOKEN_WAD, owed: 0n })
  })

  test('stops when the entitlement is used up or over', async () => {
    const bob = await settlement.open('10.0')
    const limit = optional(uint('UInt128', 100n * TOKEN_WAD))
    await bob.send('set_entitlement', limit, optional(null))
    expect(await settlement.use(bob, 70)).toMatchObject({ paid: 70n * TOKEN_WAD })
    expect(await bob.balances()).toMatchObject({ entitled: 30n * TOKEN_WAD, validUntil: null })
    expect(await settlement.use(bob, 120)).toMatchObject({
      paid: 30n * TOKEN_WAD,
      owed: 20n * TOKEN_WAD,
    })
    expect(await bob.balances()).toMatchObject({ entitled: 0n })

    const { blockMs } = await settlement.world.client.clock()
    const until = Math.floor(blockMs / 1_000) + 1_000
    await bob.send('set_entitlement', limit, optional(u64(until)))
    expect(await settlement.use(bob, 125)).toMatchObject({ paid: 25n * TOKEN_WAD, owed: 0n })
    await settlement.moveClock(1_001)
    expect(await settlement.use(bob, 130)).toMatchObject({ paid: 0n, owed: 5n * TOKEN_WAD })
    await bob.send('set_entitlement', optional(null), optional(null))
    expect(await settlement.use(bob, 130)).toMatchObject({ paid: 5n * TOKEN_WAD, owed: 0n })
  })

  test.each([
    ['out of bounds', () => settlement.setPrice(1_000n * WAD)],
    ['stale', () => settlement.moveClock(367 * DAY)],
  ])('waits while the price of the token is %s; usage is charged', async (_, spoil) => {
    const bob = await settlement.open('10.0')
    await spoil()
    const price = [string(flowVaultType(settlement.world.client)), string('USD')]
    expect(await settlement.world.run('get_token_price', price)).toMatchObject({ current: null })
    expect(await settlement.use(bob, 100)).toMatchObject({ paid: 0n, owed: 100n * TOKEN_WAD })
    // Nobody knows how much the debt locks: twice what it would at the last good price.
    const free = 10n * FLOW - 2n * unitsOf(100n * TOKEN_WAD)
    expect(await bob.balances()).toMatchObject({ balance: 10n * FLOW, free })
    await settlement.setPrice(FLOW_WAD)
    await bob.payOwed()
    expect(await bob.balances()).toMatchObject({ owed: 0n })
  })
})

describe('withdrawing', () => {
  let bob: Customer
  beforeAll(async () => {
    bob = await settlement.open('10.0')
  })

  test('takes no more than is free: a debt locks its worth', async () => {
    await bob.send('set_autopay', bool(false))
    await settlement.use(bob, 1_000)
    const locked = unitsOf(1_000n * TOKEN_WAD)
    expect(await bob.balances()).toMatchObject({ balance: 10n * FLOW, free: 10n * FLOW - locked })
    expect(await bob.refused('request_withdrawal', ufix64('10.0'))).toMatch('is above the free')
    expect(await bob.refused('request_withdrawal', ufix64('0.0'))).toMatch('The amount is zero')
    expect(await bob.refused('execute_withdrawal')).toMatch('Nothing was asked for')
  })

  test('waits for the notice', async () => {
    await bob.send('request_withdrawal', ufix64('1.0'))
    const requested = await bob.send('request_withdrawal', ufix64('4.0')) // It replaces the first.
    const [event] = eventsNamed(requested, 'SubscriptionVaults.WithdrawalRequested')
    const { amount, maturesAt, lapsesAt } = event as Record<string, bigint>
    expect(amount).toBe(4n * FLOW)
    expect(lapsesAt).toBe((maturesAt ?? 0n) + 86_400n)
    expect(await bob.balances()).toMatchObject({ withdrawal: { amount, maturesAt, lapsesAt } })
    await settlement.moveClock(DAY - 60)
    expect(await bob.refused('execute_withdrawal')).toMatch('It can be taken from')
  })

  test('pays out, once', async () => {
    await settlement.moveClock(61)
    const before = await settlement.world.client.balance(bob.account.address)
    const result = await bob.send('execute_withdrawal')
    expect(eventsNamed(result, 'SubscriptionVaults.Withdrawn')).toEqual([
      { provider: 1n, account: bob.number, amount: 4n * FLOW, balance: 6n * FLOW },
    ])
    const after = await settlement.world.client.balance(bob.account.address)
    expect(after).toBe(before + 4n * FLOW - result.fee)
    expect(await bob.refused('execute_withdrawal')).toMatch('Nothing was asked for')
  })

  test('pays out what is still free when usage came in between', async () => {
    const free = (await bob.balances()).free as bigint
    await bob.send('request_withdrawal', ufix64(free))
    await settlement.use(bob, 11_000)
    await settlement.moveClock(DAY + 60)
    const result = await bob.send('execute_withdrawal')
    const amount = free - unitsOf(10_000n * TOKEN_WAD)
    expect(eventsNamed(result, 'SubscriptionVaults.Withdrawn')[0]).toMatchObject({ amount })
    expect(await bob.balances()).toMatchObject({ free: 0n })
  })

  test('lapses a day after it could have been taken', async () => {
    await settlement.world.send('anybody/deposit', [...bob.ids, ufix64('1.0')], stranger)
    await bob.send('request_withdrawal', ufix64('1.0'))
    await settlement.moveClock(2 * DAY + 60)
    expect(await bob.refused('execute_withdrawal')).toMatch('It can be taken from')
  })
})

describe('what is a customer’s', () => {
  test.each([
    ['request_withdrawal', [ufix64('1.0')]],
    ['execute_withdrawal', []],
    ['set_autopay', [bool(false)]],
    ['set_paused', [bool(true)]],
    ['set_cap', [optional(null)]],
    ['set_entitlement', [optional(null), optional(null)]],
    ['choose_plan', [u64(1)]],
  ])('is no stranger’s: %s', async (name, args) => {
    const bob = await settlement.open('1.0')
    const all = [...bob.ids, ...args]
    // Even one who is a customer too.
    const another = (await settlement.open('1.0')).account
    for (const signer of [stranger, another]) {
      expect(await settlement.world.refused(`customer/${name}`, all, signer)).toMatch(
        `The signer holds no subscription ${bob.number} of provider 1`,
      )
    }
  })

  test('a reserved number is opened by its holder alone, and by nobody as the next free', async () => {
    const { world, provider } = settlement
    const view = (await world.run('get_provider', [u64(1)])) as { nextNumber: bigint }
    const numbers = [view.nextNumber, 2n ** 64n - 1n, 0n]
    const holder = await world.client.createAccount({ fundFlow: '5.0' })
    for (const number of numbers) {
      const args = [u64(number), address(holder.address)]
      await world.send('provider/reserve_account_number', args, provider.account)
    }
    const next = await settlement.open('1.0')
    expect(next.number).toBe(view.nextNumber + 1n)
    const open = (number: bigint) => [
      ...[u64(1), u64(provider.planId)],
      ...[optional(u64(number)), ufix64('0.5')],
    ]
    for (const number of numbers) {
      expect(await world.refused('customer/open_vault', open(number), stranger)).toMatch(
        `Number ${number} is not kept for ${stranger.address}`,
      )
      await world.send('customer/open_vault', open(number), holder)
      expect(await world.refused('customer/open_vault', open(number), holder)).toMatch(
        `Number ${number} has a vault already`,
      )
    }
    const page = (await world.run('get_vaults', [u64(1), uint('Int', 0), uint('Int', 99)])) as {
      account: bigint
    }[]
    expect(page.filter(({ account }) => numbers.includes(account))).toEqual(
      numbers.map((account) =>
        expect.objectContaining({ account, customer: holder.address, isReserved: true }),
      ),
    )
    expect(
      await world.refused(
        'provider/reserve_account_number',
        [u64(0), address('0x1')],
        provider.account,
      ),
    ).toMatch('Number 0 has a vault already')
  })

  test('pages of vaults are in the order of their opening', async () => {
    const page = async (from: number, limit: number) =>
      (await settlement.world.run('get_vaults', [
        ...[u64(1), uint('Int', from), uint('Int', limit)],
      ])) as { account: bigint }[]
    const all = await page(0, 1_000)
    expect(await page(1, 2)).toEqual(all.slice(1, 3))
    expect(await page(all.length, 5)).toEqual([])
    expect(await page(all.length - 1, 5)).toEqual(all.slice(-1))
  })
})

describe('what is a provider’s', () => {
  test('is no stranger’s', async () => {
    const { world } = settlement
    const refused = (name: string, ...args: Parameters<typeof world.refused>[1][number][]) =>
      world.refused(`provider/${name}`, args, stranger)
    expect(await refused('collect_earnings', string('USD'), ufix64('0.1'))).toMatch('no provider')
    expect(await refused('set_meter', string('ab'.repeat(20)))).toMatch('no provider')
    expect(await refused('register_models', array([string('m')]))).toMatch('no provider')
    expect(await refused('reserve_account_number', u64(5), address('0x1'))).toMatch('no provider')
    expect(
      await world.refused('provider/set_up_provider', [], settlement.provider.account),
    ).toMatch('is a provider already')
  })

  test('earnings are collected, as far as there are any, by the one who earned them', async () => {
    const { world, provider } = settlement
    const bob = await settlement.open('10.0')
    await settlement.use(bob, 10_000)
    const earned = async () => (await settlement.conservation()).books[0]?.earnings ?? 0n
    const before = await earned()
    const rich = await world.client.createAccount({ fundFlow: '5.0' })
    await world.send('provider/set_up_provider', [], rich)
    const collect = [string('USD'), ufix64('0.1')]
    expect(await world.refused('provider/collect_earnings', collect, rich)).toMatch(
      'There never were earnings of',
    )
    const all = [string('USD'), ufix64(before)]
    const result = await world.send('provider/collect_earnings', all, provider.account)
    expect(eventsNamed(result, 'SubscriptionVaults.EarningsCollected')[0]).toMatchObject({
      amount: before,
      earnings: 0n,
    })
    expect(await earned()).toBe(0n)
    expect(await world.refused('provider/collect_earnings', collect, provider.account)).toMatch(
      'is above the earnings',
    )
  })

  test('prices and tokens are governance’s', async () => {
    const { world } = settlement
    const flow = string(flowVaultType(world.client))
    const price = [flow, string('USD'), uint('UInt128', 1)]
    expect(await world.refused('governor/set_token_price', price, stranger)).toMatch('holds no')
    const unknown = [flow, string('EUR'), uint('UInt128', 1)]
    expect(await world.refused('governor/set_token_price', unknown)).toMatch('has no feed in EUR')
    const token = [address('0x0ae53cb6e3f42a79'), string('FlowToken'), ufix64('0.01')]
    expect(await world.refused('governor/allow_token', token, stranger)).toMatch('holds no')
    expect(await world.refused('governor/allow_token', token)).toMatch('is allowed already')
    const fee = [ufix64('0.02')]
    expect(await world.refused('governor/set_provider_fee', fee, stranger)).toMatch('holds no')
  })

  test('becoming a provider costs what the contracts’ account then has for storage', async () => {
    const { world } = settlement
    const { client, account } = world
    const poor = await client.createAccount({ fundFlow: '0.001' })
    expect(await world.refused('provider/set_up_provider', [], poor)).not.toBe('')
    const cheap = `
      import "FungibleToken"
      import "FlowToken"
      import "SubscriptionVaults"
      transaction {
        prepare(signer: auth(BorrowValue) &Account) {
          let flow = signer.storage
            .borrow<auth(FungibleToken.Withdraw) &FlowToken.Vault>(from: /storage/flowTokenVault)!
          let fee <- flow.withdraw(amount: 0.009) as! @FlowToken.Vault
          destroy SubscriptionVaults.createProvider(fee: <-fee)
        }
      }`
    const { error } = await client.send({ cadence: cheap, signers: [stranger] })
    expect(error).toMatch('It costs 0.01000000 FLOW, not 0.00900000')
    expect(await world.refused('governor/set_provider_fee', [ufix64('0.0')])).toMatch('fill')
    await world.send('governor/set_provider_fee', [ufix64('0.02')])
    const before = await client.balance(account.address)
    const paying = await client.createAccount({ fundFlow: '1.0' })
    await world.send('provider/set_up_provider', [], paying)
    expect(await client.balance(account.address)).toBe(before + FLOW / 50n)
    await world.send('governor/set_provider_fee', [ufix64('0.01')])
  })
})

async function dayOf(customer: Customer): Promise<number> {
  const page = (await settlement.world.run('get_vaults', [
    ...[u64(1), uint('Int', 0), uint('Int', 1_000)],
  ])) as { account: bigint; openingPeriod: bigint }[]
  return Number(page.find(({ account }) => account === customer.number)?.openingPeriod)
}
