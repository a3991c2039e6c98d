import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  address,
  array,
  type CadenceValue,
  optional,
  string,
  ufix64,
  uint,
} from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { flowVaultType } from '../../devnet/flow/deploy.js'
import { DEFAULT_PLAN } from '../../devnet/flow/plan.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import { DOLLAR_RECEIVER, DOLLAR_STORAGE, deployDollar, holdDollars } from './dollars.js'
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

// Goal: a vault begins and ends without anybody losing what is theirs.
const DAY = 86_400
const STORAGE_DEPOSIT = FLOW / 100n
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

const byProvider = (name: string, ...args: CadenceValue[]) =>
  settlement.world.send(`provider/${name}`, args, settlement.provider.account)
const byStranger = (name: string, ...args: CadenceValue[]) =>
  settlement.world.send(`anybody/${name}`, args, stranger)
const strangerRefused = (name: string, ...args: CadenceValue[]) =>
  settlement.world.refused(`anybody/${name}`, args, stranger)
const wad = (value: bigint): CadenceValue => uint('UInt128', value)
const unitsOf = (value: bigint): bigint => (value * FLOW) / FLOW_WAD

async function cardOf(customer: Pick<Customer, 'number'>) {
  const page = (await settlement.world.run('get_vaults', [
    ...[u64(1), uint('Int', 0), uint('Int', 1_000)],
  ])) as { account: bigint; state: string; openingPeriod: bigint; floor: bigint; endsAt: bigint }[]
  const card = page.find(({ account }) => account === customer.number)
  if (card === undefined) throw new Error(`no vault ${customer.number}`)
  return card
}

describe('a charge that is too great to be applied unseen', () => {
  test('is held: nothing of it is stored until it is approved', async () => {
    const bob = await settlement.open('10.0')
    await byProvider('set_max_charge', optional(wad(100n * TOKEN_WAD)))
    expect(await settlement.use(bob, 100)).toMatchObject({ result: 'applied' })
    const held = await settlement.accept([settlement.entry(bob, { promptTokens: 201 })])
    expect(await settlement.settled({ batch: held })).toMatchObject([
      { result: 'held', charge: 0n, charged: 100n * TOKEN_WAD, owed: 0n },
    ])
    // What is below the limit goes on, and the held one then needs less.
    const approve = (upTo: bigint) =>
      byProvider('approve_charge', u64(bob.number), uint('UInt32', settlement.month), wad(upTo))
    await approve(200n * TOKEN_WAD)
    expect(await settlement.settled({ batch: held })).toMatchObject([{ result: 'held' }])
    await approve(201n * TOKEN_WAD)
    expect(await settlement.settled({ batch: held })).toMatchObject([
      { result: 'applied', charge: 101n * TOKEN_WAD },
    ])
    const periods = [array([u64(bob.number)]), array([uint('UInt32', settlement.month)])]
    expect(await settlement.world.run('get_approvals', [u64(1), ...periods])).toEqual([
      201n * TOKEN_WAD,
    ])
    expect(await settlement.use(bob, 302)).toMatchObject({ result: 'held' })
    // Under a ceiling any later entry applies.
    await approve(1_000n * TOKEN_WAD)
    expect(await settlement.use(bob, 900)).toMatchObject({ result: 'applied' })
    expect(await settlement.world.run('get_provider', [u64(1)])).toMatchObject({
      maxChargePerEntry: 100n * TOKEN_WAD,
    })
    await byProvider('set_max_charge', optional(null))
    expect(await settlement.use(bob, 5_000)).toMatchObject({ result: 'applied' })
  })

  test('cannot be approved of what is no period', async () => {
    const bob = await settlement.open('1.0')
    const args = [u64(bob.number), uint('UInt32', settlement.month + 1), wad(1n)]
    const { world, provider } = settlement
    expect(await world.refused('provider/approve_charge', args, provider.account)).toMatch(
      'is badPeriod',
    )
  })
})

test('a retired plan is kept by vaults that are on it, and taken by no other', async () => {
  const { world, provider } = settlement
  const plan = await settlement.publish(DEFAULT_PLAN)
  const other = await settlement.publish(DEFAULT_PLAN)
  const bob = await settlement.open('1.0', plan)
  const carol = await settlement.open('1.0')
  const rival = await world.client.createAccount({ fundFlow: '5.0' })
  await world.send('provider/set_up_provider', [], rival)
  const retire = 'provider/retire_plan'
  expect(await world.refused(retire, [u64(plan)], rival)).toMatch(/is not one of provider \d/)
  const retired = await byProvider('retire_plan', u64(plan))
  expect(eventsNamed(retired, 'PricePlans.PlanRetired')).toEqual([{ provider: 1n, plan }])
  expect(await world.run('get_plan', [u64(plan)])).toMatchObject({ isRetired: true })
  expect(await world.refused(retire, [u64(plan)], provider.account)).toMatch('is retired already')
  expect(await world.refused(retire, [u64(999)], provider.account)).toMatch('is not one of')
  await expect(settlement.open('1.0', plan)).rejects.toThrow('is retired')
  expect(await carol.refused('choose_plan', u64(plan))).toMatch('is retired')
  expect(await settlement.use(bob, 1_000)).toMatchObject({ charge: 1_000n * TOKEN_WAD })
  await bob.send('choose_plan', u64(other))
  expect(await bob.refused('choose_plan', u64(plan))).toMatch('is retired')
})

test('a provider gives tokens, with a reason', async () => {
  const bob = await settlement.open('1.0')
  const args = [u64(bob.number), ufix64('0.5'), string('flowTokenVault')]
  const given = await byProvider('credit_vault', ...args, string('for the outage'))
  expect(eventsNamed(given, 'SubscriptionVaults.Credited')).toEqual([
    {
      ...{ provider: 1n, account: bob.number, amount: FLOW / 2n },
      ...{ balance: (3n * FLOW) / 2n, reason: 'for the outage' },
    },
  ])
  const { world, provider } = settlement
  const unsaid = [...args, string('')]
  expect(await world.refused('provider/credit_vault', unsaid, provider.account)).toMatch(
    'A reason has 1 to 256 characters',
  )
})

describe('a customer who leaves', () => {
  test('waits for the notice, pays what is owed, and gets the rest with the storage deposit', async () => {
    const bob = await settlement.open('10.0')
    await bob.send('set_autopay', { type: 'Bool', value: false })
    await bob.send('set_cap', optional(wad(0n)))
    await settlement.use(bob, 1_000)
    const [ending] = eventsNamed(await bob.send('leave_vault'), 'SubscriptionVaults.VaultEnding')
    expect(ending).toMatchObject({ account: bob.number, isByCustomer: true })
    expect(await cardOf(bob)).toMatchObject({
      state: 'leaving',
      isOpen: true,
      endsAt: ending?.endsAt,
    })
    expect(await bob.refused('leave_vault')).toMatch('is closed, or will be')
    expect(await strangerRefused('end_vault', ...bob.ids)).toMatch('can be ended from')
    // What was used until then is charged as ever.
    expect(await settlement.use(bob, 1_500)).toMatchObject({ result: 'applied', paid: 0n })
    await settlement.moveClock(DAY + 60)
    expect(await strangerRefused('refund_vault', ...bob.ids)).toMatch('is not closed')
    const ended = await byStranger('end_vault', ...bob.ids)
    const rest = 10n * FLOW - unitsOf(1_500n * TOKEN_WAD) + STORAGE_DEPOSIT
    expect(eventsNamed(ended, 'SubscriptionVaults.VaultClosed')).toEqual([
      { provider: 1n, account: bob.number, writtenOff: 0n, refund: rest },
    ])
    expect(await bob.balances()).toMatchObject({ paid: 1_500n * TOKEN_WAD, owed: 0n })
    const before = await settlement.world.client.balance(bob.account.address)
    await byStranger('refund_vault', ...bob.ids)
    expect(await settlement.world.client.balance(bob.account.address)).toBe(before + rest)
    expect(await strangerRefused('refund_vault', ...bob.ids)).toMatch('Nothing is left')
    expect(await strangerRefused('end_vault', ...bob.ids)).toMatch('is closed, or nobody has asked')
    expect(await strangerRefused('deposit', ...bob.ids, ufix64('1.0'))).toMatch('is closed')
    expect(await cardOf(bob)).toMatchObject({ state: 'closed', isOpen: false, endsAt: null })

    // What was used and never settled is written off: nobody is left to pay it.
    expect(await settlement.use(bob, 2_000)).toMatchObject({
      result: 'writtenOff',
      charge: 500n * TOKEN_WAD,
      paid: 0n,
      owed: 0n,
    })
    expect(await settlement.use(bob, 1_999)).toMatchObject({ result: 'regressed' })
    expect(await bob.balances()).toMatchObject({ writtenOff: 500n * TOKEN_WAD, owed: 0n })
    await expectConservation(settlement)

    // And a correction takes back what was written off before it touches earnings.
    const correction = [
      ...[u64(bob.number), uint('UInt32', settlement.month), wad(1_400n * 10_000n)],
      ...[u64(0), string('counted twice')],
    ]
    const corrected = await byProvider('correct_usage', ...correction)
    expect(eventsNamed(corrected, 'SubscriptionVaults.UsageCorrected')[0]).toMatchObject({
      refunded: 100n * TOKEN_WAD,
      balance: unitsOf(100n * TOKEN_WAD),
    })
    expect(await bob.balances()).toMatchObject({ writtenOff: 0n, paid: 1_400n * TOKEN_WAD })
    await byStranger('refund_vault', ...bob.ids)
    await expectConservation(settlement)
  })

  test('leaves no debt behind: what the balance cannot pay is written off', async () => {
    const bob = await settlement.open('0.01')
    await settlement.use(bob, 1_000)
    await bob.send('leave_vault')
    await settlement.moveClock(DAY + 60)
    const [closed] = eventsNamed(
      await byStranger('end_vault', ...bob.ids),
      'SubscriptionVaults.VaultClosed',
    )
    const writtenOff = 1_000n * TOKEN_WAD - FLOW_WAD / 100n
    expect(closed).toMatchObject({ writtenOff, refund: STORAGE_DEPOSIT })
    expect(await bob.balances()).toMatchObject({ writtenOff, owed: 0n })
  })

  test('names another receiver, or takes the rest, where the first one is gone', async () => {
    const bob = await settlement.open('1.0')
    await bob.send('leave_vault')
    await settlement.moveClock(DAY + 60)
    await byStranger('end_vault', ...bob.ids)
    const unlink = `transaction { prepare(signer: auth(UnpublishCapability) &Account) {
      signer.capabilities.unpublish(/public/flowTokenReceiver)
    } }`
    await settlement.world.client.send({ cadence: unlink, args: [], signers: [bob.account] })
    const nowhere = [address(stranger.address), string('nothingHere')]
    expect(await bob.refused('set_refund_receiver', ...nowhere)).toMatch('is not there')
    const other = [address(stranger.address), string('flowTokenReceiver')]
    const [named] = eventsNamed(
      await bob.send('set_refund_receiver', ...other),
      'SubscriptionVaults.RefundReceiverSet',
    )
    expect(named).toMatchObject({ receiver: stranger.address })
    const taken = await bob.send('take_refund', string('flowTokenVault'))
    expect(eventsNamed(taken, 'SubscriptionVaults.Refunded')).toEqual([
      { provider: 1n, account: bob.number, amount: FLOW + STORAGE_DEPOSIT, to: null },
    ])
    expect(await bob.refused('take_refund', string('flowTokenVault'))).toMatch('Nothing is left')
  })
})

test('a provider who closes a vault gets no more than its customer’s limits allow', async () => {
  const bob = await settlement.open('10.0')
  await bob.send('set_cap', optional(wad(300n * TOKEN_WAD)))
  await settlement.use(bob, 1_000)
  await byProvider('close_vault', u64(bob.number))
  expect(await cardOf(bob)).toMatchObject({ state: 'closing' })
  expect(await bob.refused('leave_vault')).toMatch('is closed, or will be')
  await settlement.moveClock(DAY + 60)
  const [closed] = eventsNamed(
    await byStranger('end_vault', ...bob.ids),
    'SubscriptionVaults.VaultClosed',
  )
  expect(closed).toMatchObject({
    writtenOff: 700n * TOKEN_WAD,
    refund: 10n * FLOW - unitsOf(300n * TOKEN_WAD) + STORAGE_DEPOSIT,
  })
})

describe('a customer who takes the notice back', () => {
  test('owes and is limited as before, and may leave again', async () => {
    const bob = await settlement.open('1.0')
    await bob.send('set_autopay', { type: 'Bool', value: false })
    await bob.send('set_cap', optional(wad(5n)))
    await settlement.use(bob, 1_000)
    const before = await bob.balances()
    expect(await bob.refused('stay_in_vault')).toMatch('is not its customer’s'.replace('’', "'"))
    await bob.send('leave_vault')
    const stayed = await bob.send('stay_in_vault')
    expect(eventsNamed(stayed, 'SubscriptionVaults.VaultStaying')).toEqual([
      { provider: 1n, account: bob.number },
    ])
    expect(await cardOf(bob)).toMatchObject({ state: 'open', isOpen: true, endsAt: null })
    expect(await bob.balances()).toEqual(before)
    await settlement.moveClock(DAY + 60)
    expect(await strangerRefused('end_vault', ...bob.ids)).toMatch('nobody has asked')
    // The debt still locks its worth of the balance.
    const free = FLOW - unitsOf(1_000n * TOKEN_WAD)
    expect(await bob.refused('request_withdrawal', ufix64(free + 1n))).toMatch('is above the free')
    // A new notice counts from now on.
    await bob.send('leave_vault')
    expect(await strangerRefused('end_vault', ...bob.ids)).toMatch('can be ended from')
    await settlement.moveClock(DAY + 60)
    await byStranger('end_vault', ...bob.ids)
    expect(await bob.refused('stay_in_vault')).toMatch('to take back')
    expect(await bob.balances()).toMatchObject({ paid: 1_000n * TOKEN_WAD, owed: 0n })
  })

  test('keeps nobody from closing the vault by leaving and staying by turns', async () => {
    const bob = await settlement.open('1.0')
    await bob.send('set_autopay', { type: 'Bool', value: false })
    await settlement.use(bob, 1_000)
    await bob.send('leave_vault')
    const closed = await byProvider('close_vault', u64(bob.number))
    expect(eventsNamed(closed, 'SubscriptionVaults.VaultEnding')).toMatchObject([
      { account: bob.number, isByCustomer: false, endsAt: (await cardOf(bob)).endsAt },
    ])
    expect(await cardOf(bob)).toMatchObject({ state: 'leaving' })
    expect(await bob.refused('stay_in_vault')).toMatch('to take back')
    expect(await bob.refused('leave_vault')).toMatch('is closed, or will be')
    await settlement.moveClock(DAY + 60)
    await byStranger('end_vault', ...bob.ids)
    // The customer's own notice came first, so all that is owed is paid.
    expect(await bob.balances()).toMatchObject({ paid: 1_000n * TOKEN_WAD, writtenOff: 0n })
  })

  test('takes none back that is the provider’s', async () => {
    const bob = await settlement.open('1.0')
    await byProvider('close_vault', u64(bob.number))
    expect(await bob.refused('stay_in_vault')).toMatch('to take back')
    await bob.send('set_cap', optional(wad(0n)))
    await settlement.moveClock(DAY + 60)
    await byStranger('end_vault', ...bob.ids)
  })
})

describe('a dead price feed', () => {
  afterAll(() => settlement.setPrice(FLOW_WAD))

  test('locks twice what a debt would take at the last good price, and not the balance', async () => {
    const bob = await settlement.open('10.0')
    await bob.send('set_autopay', { type: 'Bool', value: false })
    await settlement.use(bob, 1_000)
    await settlement.setPrice(1_000n * WAD) // Out of its bounds.
    const free = 10n * FLOW - 2n * unitsOf(1_000n * TOKEN_WAD)
    expect(await bob.balances()).toMatchObject({ balance: 10n * FLOW, free })
    await bob.send('leave_vault')
    await bob.send('request_withdrawal', ufix64(free))
    await settlement.moveClock(DAY + 60)
    expect(await strangerRefused('end_vault', ...bob.ids)).toMatch('Without a price of the token')
    await bob.send('execute_withdrawal')
    await settlement.setPrice(FLOW_WAD)
    await byStranger('end_vault', ...bob.ids)
    expect(await bob.balances()).toMatchObject({ owed: 0n, paid: 1_000n * TOKEN_WAD })
  })

  // Goal: a provider cannot hold a balance that its customer's limits keep from being paid with.
  test('keeps no vault from its end whose limits let nothing be paid', async () => {
    const bob = await settlement.open('10.0')
    const carol = await settlement.open('10.0')
    await bob.send('set_autopay', { type: 'Bool', value: false })
    await carol.send('set_cap', optional(wad(1n)))
    await settlement.setPrice(1_000n * WAD) // Out of its bounds.
    for (const customer of [bob, carol]) {
      await settlement.use(customer, 1_000)
      await byProvider('close_vault', u64(customer.number))
    }
    await settlement.moveClock(DAY + 60)
    const [closed] = eventsNamed(
      await byStranger('end_vault', ...bob.ids),
      'SubscriptionVaults.VaultClosed',
    )
    const refund = 10n * FLOW + STORAGE_DEPOSIT
    expect(closed).toMatchObject({ writtenOff: 1_000n * TOKEN_WAD, refund })
    expect(await strangerRefused('end_vault', ...carol.ids)).toMatch('Without a price of the token')
    await carol.send('set_paused', { type: 'Bool', value: true })
    await byStranger('end_vault', ...carol.ids)
    expect(await carol.balances()).toMatchObject({ writtenOff: 1_000n * TOKEN_WAD, owed: 0n })
    await expectConservation(settlement)
  })
})

// Goal: no balance gets in that a debt would lock for ever.
test('no vault opens in a token that never had a good price in the plan’s currency', async () => {
  const { world } = settlement
  const plan = await settlement.publish({ ...DEFAULT_PLAN, currency: 'EUR' })
  const pair = [string(flowVaultType(world.client)), string('EUR')]
  await expect(settlement.open('1.0', plan)).rejects.toThrow('never had a good price in EUR')
  const rules = [wad(WAD / 10n), wad(10n * WAD), ufix64('60.0')]
  await world.send('governor/set_token_feed', [...pair, ...rules])
  await world.send('governor/set_token_price', [...pair, wad(20n * WAD)])
  await expect(settlement.open('1.0', plan)).rejects.toThrow('never had a good price in EUR')
  await world.send('governor/set_token_price', [...pair, wad(WAD)])
  await settlement.moveClock(DAY)
  // One that is too old will do: it tells how much a debt locks.
  const bob = await settlement.open('1.0', plan)
  await settlement.use(bob, 1_000)
  expect(await bob.balances()).toMatchObject({ free: FLOW - (FLOW * 2n) / 50n })
})

describe('the storage deposit', () => {
  test('is taken beside the first balance, and nothing opens without it', async () => {
    const { world } = settlement
    const flow = string(flowVaultType(world.client))
    expect(await world.run('get_storage_deposit', [flow])).toBe(STORAGE_DEPOSIT)
    const { storageDeposits } = (await settlement.conservation()).books[0] as never
    const bob = await settlement.open('1.0')
    expect(await bob.balances()).toMatchObject({ balance: FLOW })
    expect((await settlement.conservation()).books[0]).toMatchObject({
      storageDeposits: storageDeposits + STORAGE_DEPOSIT,
    })
    await world.send('governor/set_storage_deposit', [flow, ufix64('60.0')])
    const open = [u64(1), u64(settlement.provider.planId), optional(null), ufix64('0.0')]
    expect(await world.refused('customer/open_vault', open, stranger)).toMatch(/withdraw|balance/i)
    await world.send('governor/set_storage_deposit', [flow, ufix64('0.01')])
    expect(
      await world.refused('governor/set_storage_deposit', [flow, ufix64('9.0')], stranger),
    ).toMatch('holds no')
  })
})

describe('a second token', () => {
  const DOLLARS = [string(DOLLAR_STORAGE), string(DOLLAR_RECEIVER)]

  test('is opened in, paid with at par, withdrawn and collected', async () => {
    const { world, provider } = settlement
    const { client, account } = world
    const type = string(await deployDollar(world))
    const token = [address(account.address), string('TestDollar'), ufix64('0.02')]
    const bob = await client.createAccount({ fundFlow: '5.0' })
    for (const holder of [bob, provider.account]) await holdDollars(world, holder, '100.0')
    const open = [u64(1), u64(provider.planId), optional(null), ufix64('20.0'), ...DOLLARS]
    expect(await world.refused('customer/open_token_vault', open, bob)).toMatch('is not allowed')
    await world.send('governor/allow_token', token)
    const free = [...token.slice(0, 2), ufix64('0.0')]
    expect(await world.refused('governor/allow_token', free)).toMatch('is allowed already')
    await world.send('governor/set_token_at_par', [type, string('USD')])
    const opened = await world.send('customer/open_token_vault', open, bob)
    const number = eventsNamed(opened, 'SubscriptionVaults.VaultOpened')[0]?.account as bigint
    const ids = [u64(1), u64(number)]
    const storage = DOLLARS.slice(0, 1)
    await world.send('anybody/deposit_token', [...ids, ufix64('1.0'), ...storage], bob)
    expect(await world.refused('anybody/deposit', [...ids, ufix64('1.0')], stranger)).toMatch(
      /The vault takes A\.\w+\.TestDollar\.Vault, not A\.\w+\.FlowToken\.Vault/,
    )
    const settled = await settlement.bring(settlement.entry({ number }, { promptTokens: 50_000 }))
    expect(settled).toMatchObject([{ paid: WAD, balance: 20n * FLOW, owed: 0n }])
    await world.send('customer/request_withdrawal', [...ids, ufix64('5.0')], bob)
    await settlement.moveClock(DAY + 60)
    await world.send('customer/execute_token_withdrawal', [...ids, ...storage], bob)
    const collect = [string('USD'), ufix64('1.0'), ...storage]
    await world.send('provider/collect_token_earnings', collect, provider.account)
    await world.send('customer/leave_vault', ids, bob)
    await settlement.moveClock(DAY + 60)
    await byStranger('end_vault', ...ids)
    await byStranger('refund_vault', ...ids)
    const { pools } = await settlement.conservation()
    expect(pools.map(({ balance, accounted }) => balance - accounted)).toEqual([0n, 0n])
    const dollars = pools.find(({ token }) => token.includes('TestDollar'))
    expect(dollars).toMatchObject({ balance: 0n })
  })
})

test('appending to the model table can be given away alone, and taken back', async () => {
  const { world, provider } = settlement
  const { address: own } = provider.account
  const claim = [address(own)]
  expect(await world.refused('delegate/claim_model_registration', claim, stranger)).toMatch(
    'offers',
  )
  await byProvider('share_model_registration', address(stranger.address))
  await world.send('delegate/claim_model_registration', claim, stranger)
  const names = [address(own), array([string('delegated-model')])]
  await world.send('delegate/register_models', names, stranger)
  expect(await world.run('get_models', [u64(1)])).toContain('delegated-model')
  // A delegate who goes astray fills no more than the first part of the table.
  const count = ((await world.run('get_models', [u64(1)])) as string[]).length
  const fill = Array.from({ length: 4_096 - count }, (_, i) => string(`m${i}`))
  for (let from = 0; from < fill.length; from += 1_000) {
    await byProvider('register_models', array(fill.slice(from, from + 1_000)))
  }
  const one = [address(own), array([string('one-too-many')])]
  expect(await world.refused('delegate/register_models', one, stranger)).toMatch(
    'From 4096 models on only the provider itself registers more',
  )
  await world.send('delegate/register_models', names, stranger)
  await byProvider('register_models', array([string('one-too-many')]))
  await byProvider('revoke_model_registration')
  expect(await world.refused('delegate/register_models', names, stranger)).toMatch('took back')
})

// The last one: it moves the clock by more than a year.
test('records are kept for 400 days, and never come back once they are given up', async () => {
  const bob = await settlement.open('10.0', await settlement.publish(DAILY))
  const first = Number((await cardOf(bob)).openingPeriod)
  await settlement.use(bob, 100, first)
  await settlement.moveClock(DAY)
  await settlement.use(bob, 50, first + DAY)
  const unsettled = await settlement.accept([settlement.entry(bob, { promptTokens: 150 }, first)])
  const prune = [u64(1), array([u64(bob.number)])]
  expect(await strangerRefused('prune_vaults', ...prune)).toMatch('Nothing is between the floor')
  await settlement.moveClock(400 * DAY)
  await settlement.setPrice(FLOW_WAD)
  const pruned = await byStranger('prune_vaults', ...prune)
  expect(eventsNamed(pruned, 'SubscriptionVaults.FloorRaised')).toEqual([
    { provider: 1n, account: bob.number, floor: BigInt(first + DAY), records: 1n },
  ])
  expect(await settlement.settled({ batch: unsettled })).toMatchObject([
    { result: 'tooOld', charge: 0n },
  ])
  expect(await settlement.use(bob, 60, first + DAY)).toMatchObject({
    result: 'applied',
    charge: 10n * TOKEN_WAD,
  })
  expect(await strangerRefused('prune_vaults', ...prune)).toMatch('Nothing is between the floor')
  const periods = [array([u64(bob.number)]), array([uint('UInt32', first)])]
  expect(await settlement.world.run('get_records', [u64(1), ...periods])).toEqual([null])
  expect(await bob.balances()).toMatchObject({ charged: 160n * TOKEN_WAD })
})
