import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  address,
  array,
  bool,
  type CadenceValue,
  optional,
  string,
  ufix64,
  uint,
} from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import { settleArgs } from './batches.js'
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

// Goal: nobody but a customer moves that customer's free balance, and nobody makes or loses tokens.
// Method: each test is named after a hole that contracts of this kind have had, and tries it.
const DAY = 86_400

let settlement: Settlement
let victim: Customer
let attacker: FlowAccount
beforeAll(async () => {
  settlement = await Settlement.start()
  victim = await settlement.open('10.0')
  attacker = await settlement.world.client.createAccount({ fundFlow: '50.0' })
})
afterAll(async () => {
  expect(await victim.balances()).toMatchObject({ balance: 10n * FLOW, owed: 0n })
  await expectConservation(settlement)
  await settlement.stop()
})

/** Runs code of the attacker's own, and returns why it failed. */
async function tried(body: string, signer = attacker): Promise<string> {
  const { client } = settlement.world
  const cadence = `
    import "FungibleToken"
    import "FlowToken"
    import "PricePlans"
    import "UsageBatches"
    import "SubscriptionVaults"
    transaction {
      prepare(signer: auth(Storage, Capabilities) &Account) {
        let number: UInt64 = ${victim.number}
        ${body}
      }
    }`
  const { error } = await client.send({ cadence, signers: [signer] })
  return error ?? ''
}

async function deploy(name: string, code: string, signer: FlowAccount): Promise<void> {
  const { client } = settlement.world
  const args = [string(name), string(client.resolveImports(code))]
  await settlement.world.send('governor/deploy_contract', args, signer)
}

const contract = (name: string): string =>
  readFileSync(new URL(`./contracts/${name}.cdc`, import.meta.url), 'utf8')

const VAULT = 'SubscriptionVaults.borrowVault(provider: 1, account: number)!'
const DESK = 'SubscriptionVaults.borrowDesk(provider: 1)!'
const LIMITS = `SubscriptionVaults.Limits(isAutopayOn: true, isPaused: false, cap: nil, entitled: nil,
  validUntil: nil)`

describe('anyone can bill', () => {
  test('with usage that no round proves', async () => {
    const forged = settlement.seal([settlement.entry(victim, { promptTokens: 1_000_000 })])
    const args = settleArgs(1n, [{ batch: forged }])
    expect(await settlement.world.refused('anybody/settle_runs', args, attacker)).toMatch(
      'miss the root of batch',
    )
    const own = settlement.acceptArgs(forged, { meter: `0x${'66'.repeat(20)}` })
    expect(await settlement.world.refused('anybody/accept_batch', own, attacker)).toMatch(
      'does not prove batch',
    )
  })

  test('as a provider of their own', async () => {
    const { world } = settlement
    const rival = await world.client.createAccount({ fundFlow: '5.0' })
    await world.send('provider/set_up_provider', [], rival)
    const close = [u64(victim.number)]
    expect(await world.refused('provider/close_vault', close, rival)).toMatch('has no vault')
    const collect = [string('USD'), ufix64('0.00000001')]
    expect(await world.refused('provider/collect_earnings', collect, rival)).toMatch(
      'There never were earnings',
    )
  })
})

// Goal: what only the contract may do is not to be had through what everybody may look at.
describe('anyone can withdraw', () => {
  test.each([
    ['a vault’s charge', `${VAULT}.pay(1, terms: 0, clock: 0, price: 1)`],
    ['a vault’s balance', `${VAULT}.withdrawn(1)`],
    ['a vault’s limits', `${VAULT}.setLimits(${LIMITS})`],
    ['a vault’s end', `${VAULT}.close()`],
    ['a desk’s settlement', `${DESK}.settle([], seq: 1, meterEpoch: 1)`],
    ['a desk’s withdrawal', `${DESK}.executeWithdrawal(number)`],
    ['a desk’s refund', `${DESK}.takeRest(number, to: nil)`],
    ['a desk’s ending', `${DESK}.beginEnding(number, status: 1)`],
    [
      'a desk’s correction',
      `${DESK}.correct(number, periodStart: 0, billable: 0, afterSeq: 0,
      reason: "")`,
    ],
    ['a book’s earnings', `${DESK}.books[0].collected(1)`],
    ['a provider’s books', `${DESK}.books.remove(at: 0)`],
    ['an agreement’s receiver', `${DESK}.borrowAgreement(number)!.refund`],
    ['the pool', 'let all <- SubscriptionVaults.takeFromPool(token: Type<Int>(), amount: 1.0)'],
    ['the pools', 'let pools = &SubscriptionVaults.pools as &{Type: {FungibleToken.Vault}}'],
    ['another’s meter', 'UsageBatches.setMeter(provider: 1, meter: "ab")'],
    ['another’s models', 'PricePlans.registerModels(provider: 1, names: [])'],
  ])('through %s', async (_, body) => {
    expect(await tried(body)).toMatch(/cannot access|access denied|not authorized|unauthorized/)
  })

  test.each([
    [
      'subscription',
      'let s <- create SubscriptionVaults.Subscription(provider: 1, number: number)',
    ],
    ['provider', 'let s <- create SubscriptionVaults.Provider(id: 1)'],
    ['governor', 'let s <- create SubscriptionVaults.Governor()'],
  ])('with a %s made by hand', async (_, body) => {
    expect(await tried(`${body}\ndestroy s`)).toMatch('cannot create resource type outside')
  })

  test('through a subscription that its customer published', async () => {
    const bob = await settlement.open('5.0')
    const path = `SubscriptionVaults.subscriptionPath(provider: 1, number: ${bob.number})`
    const publish = `
      let capability = signer.capabilities.storage
        .issue<&SubscriptionVaults.Subscription>(${path})
      signer.capabilities.publish(capability, at: /public/bobsVault)`
    expect(await tried(publish, bob.account)).toBe('')
    const borrow = `let bobs = getAccount(${bob.account.address}).capabilities
      .borrow<&SubscriptionVaults.Subscription>(/public/bobsVault)!`
    for (const call of ['requestWithdrawal(amount: 1.0)', 'leave()', 'setCap(nil)']) {
      expect(await tried(`${borrow}\nbobs.${call}`)).toMatch('requires `Manage` authorization')
    }
    const manage = borrow.replace('<&', '<auth(SubscriptionVaults.Manage) &')
    expect(await tried(`${manage}\nbobs.leave()`)).toMatch(/nil/)
  })
})

test('the owner is spoofed: a customer is whoever holds the account', async () => {
  const receiver = 'signer.capabilities.get<&{FungibleToken.Receiver}>(/public/flowTokenReceiver)'
  const open = (number: string) => `
    let customer <- SubscriptionVaults.createCustomer()
    let tokens <- FlowToken.createEmptyVault(vaultType: Type<@FlowToken.Vault>())
    let opened <- customer.open(provider: 1, plan: 1, number: ${number}, deposit: <-tokens,
      refund: ${receiver})
    destroy customer
    destroy opened`
  expect(await tried(open('nil'))).toMatch('The customer is in nobody')
  const { world, provider } = settlement
  const kept = [u64(70_000), address(victim.account.address)]
  await world.send('provider/reserve_account_number', kept, provider.account)
  const take = [u64(1), u64(provider.planId), optional(u64(70_000)), ufix64('1.0')]
  expect(await world.refused('customer/open_vault', take, attacker)).toMatch(
    `Number 70000 is not kept for ${attacker.address}`,
  )
})

test('tokens burn when a customer destroys what they hold', async () => {
  const bob = await settlement.open('3.0')
  const load = `destroy signer.storage.load<@SubscriptionVaults.Subscription>(
    from: SubscriptionVaults.subscriptionPath(provider: 1, number: ${bob.number}))!`
  expect(await tried(load, bob.account)).toBe('')
  expect(await bob.balances()).toMatchObject({ balance: 3n * FLOW })
  const { world, provider } = settlement
  await world.send('provider/close_vault', [u64(bob.number)], provider.account)
  await settlement.moveClock(DAY + 60)
  await world.send('anybody/end_vault', bob.ids, attacker)
  const before = await world.client.balance(bob.account.address)
  await world.send('anybody/refund_vault', bob.ids, attacker)
  expect(await world.client.balance(bob.account.address)).toBe(before + 3n * FLOW + FLOW / 100n)
})

test('the price is a constant when the feed is not there: nothing is paid at a guess', async () => {
  const bob = await settlement.open('1.0')
  await settlement.setPrice(1_000n * WAD) // Out of its bounds.
  expect(await settlement.use(bob, 1_000)).toMatchObject({ paid: 0n, owed: 1_000n * TOKEN_WAD })
  const asked = eventsNamed(await bob.payOwed(), 'SubscriptionVaults.OwedPaid')
  expect(asked).toMatchObject([{ paid: 0n }])
  await settlement.setPrice(FLOW_WAD)
})

test('a debt is forgiven when it is not paid at once', async () => {
  const bob = await settlement.open('1.0')
  await bob.send('set_autopay', bool(false))
  await settlement.use(bob, 1_000)
  expect(await settlement.use(bob, 1_200)).toMatchObject({ paid: 0n, owed: 1_200n * TOKEN_WAD })
  // It locks the balance, however the limits stand.
  expect(await bob.refused('request_withdrawal', ufix64('1.0'))).toMatch('is above the free')
  await bob.send('set_autopay', bool(true))
  expect(await settlement.use(bob, 1_200)).toMatchObject({ paid: 1_200n * TOKEN_WAD, owed: 0n })
})

test('dust is given away or lost', async () => {
  await settlement.setPrice(3n * WAD)
  const bob = await settlement.open('0.00000001')
  expect(await settlement.use(bob, 1)).toMatchObject({ balance: 0n })
  await settlement.world.send('anybody/deposit', [...bob.ids, ufix64('1.0')], attacker)
  for (const total of [2, 3, 5, 8]) await settlement.use(bob, total)
  const { charged, paid, owed, balance } = (await bob.balances()) as Record<string, bigint>
  expect(charged).toBe(8n * TOKEN_WAD)
  expect((paid ?? 0n) + (owed ?? 0n)).toBe(charged)
  const unitWorth = (3n * WAD) / FLOW
  expect(paid).toBe((FLOW + 1n - (balance ?? 0n)) * unitWorth)
  expect(owed).toBeLessThan(unitWorth)
  await settlement.setPrice(FLOW_WAD)
})

describe('the wrong token', () => {
  let token: string
  beforeAll(async () => {
    const code = contract('TestDollar')
      .replaceAll('TestDollar', 'Thief')
      .replace('self.balance + from.balance', 'self.balance + from.balance / 2.0')
    await deploy('Thief', code, attacker)
    token = `import Thief from ${attacker.address}`
  })

  async function triedWith(body: string): Promise<string> {
    const cadence = `
      import "FungibleToken"
      import "SubscriptionVaults"
      ${token}
      transaction { prepare(signer: auth(Storage, Capabilities) &Account) { ${body} } }`
    const { error } = await settlement.world.client.send({ cadence, signers: [attacker] })
    return error ?? ''
  }

  test('opens no vault and fills none', async () => {
    const open = `
      let customer = signer.storage
        .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Customer>(
          from: SubscriptionVaults.CustomerPath)!
      signer.storage.save(<-customer.open(provider: 1, plan: 1, number: nil,
        deposit: <-Thief.mint(100.0),
        refund: signer.capabilities.get<&{FungibleToken.Receiver}>(/public/flowTokenReceiver)
      ), to: /storage/never)`
    const opened = [u64(1), u64(settlement.provider.planId), optional(null), ufix64('1.0')]
    await settlement.world.send('customer/open_vault', opened, attacker)
    expect(await triedWith(open)).toMatch('Thief.Vault is not allowed')
    const fill = `SubscriptionVaults.deposit(provider: 1, account: ${victim.number},
      from: <-Thief.mint(100.0))`
    expect(await triedWith(fill)).toMatch('Thief.Vault')
  })

  test('keeps a part of what is moved, even where governance allowed it', async () => {
    const { world, provider } = settlement
    await world.send('governor/allow_token', [
      address(attacker.address),
      string('Thief'),
      ufix64('0.01'),
    ])
    const type = `A.${attacker.address.replace(/^0x/, '')}.Thief.Vault`
    await world.send('governor/set_token_at_par', [string(type), string('USD')])
    const open = `
      let customer = signer.storage
        .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Customer>(
          from: SubscriptionVaults.CustomerPath)!
      signer.storage.save(<-customer.open(provider: 1, plan: ${provider.planId}, number: nil,
        deposit: <-Thief.mint(100.0),
        refund: signer.capabilities.get<&{FungibleToken.Receiver}>(/public/thief)
      ), to: /storage/thiefs)`
    const ready = `
      signer.storage.save(<-Thief.mint(0.0), to: /storage/thief)
      signer.capabilities.publish(
        signer.capabilities.storage.issue<&{FungibleToken.Receiver}>(/storage/thief),
        at: /public/thief)`
    expect(await triedWith(ready)).toBe('')
    expect(await triedWith(open)).toMatch('pool.deposit(from: <-from)')
    await expectConservation(settlement)
  })
})

describe('a receiver that does not behave', () => {
  let bob: Customer
  let other: Customer
  beforeAll(async () => {
    bob = await settlement.open('4.0')
    other = await settlement.open('1.0')
    await settlement.world.client.fund(bob.account.address, '2.0')
    await deploy('Hostile', contract('Hostile'), bob.account)
    expect(
      await hostile(`
        signer.storage.save(<-Hostile.createReceiver(provider: 1, account: ${bob.number},
          other: ${other.number}), to: /storage/hostile)
        signer.capabilities.publish(
          signer.capabilities.storage.issue<&{FungibleToken.Receiver}>(/storage/hostile),
          at: /public/hostile)`),
    ).toBe('')
    const receiver = [address(bob.account.address), string('hostile')]
    await bob.send('set_refund_receiver', ...receiver)
    await bob.send('leave_vault')
    await settlement.moveClock(DAY + 60)
    await mode('refuse')
    // It has no say in the end of the vault.
    await settlement.world.send('anybody/end_vault', bob.ids, attacker)
  })

  async function hostile(body: string): Promise<string> {
    const cadence = `
      import "FungibleToken"
      import Hostile from ${bob.account.address}
      transaction { prepare(signer: auth(Storage, Capabilities) &Account) { ${body} } }`
    const { error } = await settlement.world.client.send({ cadence, signers: [bob.account] })
    return error ?? ''
  }

  async function mode(name: string): Promise<void> {
    const borrow = 'signer.storage.borrow<&Hostile.Receiver>(from: /storage/hostile)!'
    expect(await hostile(`${borrow}.setMode("${name}")`)).toBe('')
  }

  test('blocks others, or loses money', async () => {
    const refund = settlement.world.refused('anybody/refund_vault', bob.ids, attacker)
    expect(await refund).toMatch('Hostile: not today')
    expect(await settlement.use(other, 10)).toMatchObject({ result: 'applied' })
    expect(await bob.balances()).toMatchObject({ balance: 4n * FLOW + FLOW / 100n })
  })

  test('comes again before it is through', async () => {
    await mode('again')
    const refund = settlement.world.refused('anybody/refund_vault', bob.ids, attacker)
    expect(await refund).toMatch('Nothing is left')
    await mode('elsewhere')
    const { balance } = (await other.balances()) as { balance: bigint }
    await settlement.world.send('anybody/refund_vault', bob.ids, attacker)
    expect(await other.balances()).toMatchObject({ balance: balance + 4n * FLOW + FLOW / 100n })
    expect(await bob.balances()).toMatchObject({ balance: 0n })
    await expectConservation(settlement)
  })
})

test('strangers fill the storage: a vault costs more than the storage that it takes', async () => {
  const { world } = settlement
  const used = async () => (await storageOf(world.account.address)).used
  const before = await used()
  await settlement.open('1.0')
  const bytes = (await used()) - before
  // 100 MB of storage take 1 FLOW; the deposit of 0.01 FLOW pays for 1 MB.
  expect(bytes).toBeGreaterThan(0n)
  expect(bytes).toBeLessThan(10_000n)
  const free = `
    let customer = signer.storage
      .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Customer>(
        from: SubscriptionVaults.CustomerPath)!
    signer.storage.save(<-customer.open(provider: 1, plan: ${settlement.provider.planId},
      number: nil, deposit: <-FlowToken.createEmptyVault(vaultType: Type<@FlowToken.Vault>()),
      refund: signer.capabilities.get<&{FungibleToken.Receiver}>(/public/flowTokenReceiver)
    ), to: /storage/never)`
  expect(await tried(free)).toMatch('is below the storage deposit of 0.01')
})

async function storageOf(account: string): Promise<{ used: bigint }> {
  const cadence = `access(all) fun main(at: Address): UInt64 { return getAccount(at).storage.used }`
  return { used: (await settlement.world.client.script(cadence, [address(account)])) as bigint }
}

test('one character fills the storage of the model table', async () => {
  const { world, provider } = settlement
  const register = (...names: string[]) =>
    world.refused('provider/register_models', [array(names.map(string))], provider.account)
  expect(await register(`e${'\u0301'.repeat(5_000)}`)).toMatch('has 1 to 256 bytes, not 10')
  expect(await register('é'.repeat(129))).toMatch('has 1 to 256 bytes, not 258')
  expect(await register('fine', '')).toMatch('has 1 to 256 bytes, not 0')
})

test('the cap never starts anew', async () => {
  const { DEFAULT_PLAN } = await import('../../devnet/flow/plan.js')
  const bob = await settlement.open(
    '5.0',
    await settlement.publish({ ...DEFAULT_PLAN, period: 'day' }),
  )
  const cap: CadenceValue = optional(uint('UInt128', 100n * TOKEN_WAD))
  await bob.send('set_cap', cap)
  const { blockMs } = await settlement.world.client.clock()
  const today = Math.floor(blockMs / 86_400_000) * DAY
  expect(await settlement.use(bob, 250, today)).toMatchObject({ paid: 100n * TOKEN_WAD })
  expect(await settlement.use(bob, 250, today)).toMatchObject({ paid: 0n })
  for (const left of [50n, 0n]) {
    await settlement.moveClock(DAY)
    await bob.payOwed()
    expect(await bob.balances()).toMatchObject({ owed: left * TOKEN_WAD })
  }
})
