import { afterAll, beforeAll, expect, test } from 'vitest'
import { uint } from '../../../devnet/flow/cadence-json.js'
import { openVaults, setUpProvider } from '../../../devnet/flow/deploy.js'
import { type Hex, ZERO_HASH } from '../../../src/domain/bytes.js'
import { accountNumber, modelId } from '../../../src/domain/ids.js'
import type { Vault } from '../../../src/ports/settler.js'
import { FlowSettler } from '../../../src/settlers/flow/settler.js'
import { METER } from './flare-proofs.js'
import { beginFlowWorld, type FlowWorld, prover } from './settler-world.js'
import { configOf } from './world.js'

/** In as many transactions; the settler asks for 200 vaults at once, and two are there. */
const MORE_VAULTS = [30, 30, 30, 30, 30, 30, 30] as const
const { signal } = new AbortController()

let world: FlowWorld

beforeAll(async () => {
  world = await beginFlowWorld()
  const { client } = world.deployed
  const ids = [uint('UInt64', world.provider.id), uint('UInt64', world.provider.planId)]
  const customer = await client.createAccount({ fundFlow: '10.0' })
  for (const count of MORE_VAULTS) {
    const args = [...ids, uint('UInt64', count)]
    await client.sendOrThrow({ cadence: OPEN_MANY, args, signers: [customer] })
  }
})

afterAll(async () => {
  await world?.end()
})

test('a list of more than one page comes whole, in order, and within a script’s means', async () => {
  const { settler } = world
  const vaults: readonly Vault[] = await settler.vaults(signal)
  const numbers = vaults.map(({ account }) => account)
  expect(numbers).toEqual(Array.from({ length: 212 }, (_, i) => BigInt(i + 1)))

  const keys = numbers.map((number) => ({ accountNumber: number, periodStart: world.periodStart }))
  const applied = await settler.applied(keys, signal)
  expect(applied.map(({ accountNumber: account }) => account)).toEqual(numbers)
  const balances = await settler.balances([...numbers, accountNumber(999n)], signal)
  expect(balances.map(({ account }) => account)).toEqual(numbers)

  const { pool, vaultBalances, earnings } = await settler.conservation(signal)
  expect(vaultBalances).toBe(balances.reduce((sum, { balance }) => sum + balance, 0n))
  expect(pool - vaultBalances - earnings).toBe(0n)
})

test('another provider’s tokens and events are left out of ours', async () => {
  const { client, account } = world.deployed
  const before = await world.settler.conservation(signal)
  const meter: Hex = `0x${'4f'.repeat(20)}`
  const other = await setUpProvider(client, { meter })
  const [vault] = await openVaults(client, other, [{ deposit: '7.0' }])
  const theirs = new FlowSettler(
    configOf(world.chain.emulator, other.account, {
      contractsAddress: account.address,
      providerId: other.id.toString(),
    }),
  )
  const units = 700_000_000n
  const expected = { pool: units, vaultBalances: units, earnings: 0n }
  expect(await theirs.conservation(signal)).toEqual(expected)

  const fromHeight = await theirs.sealedHeight(signal)
  const counters = { cachedPromptTokens: 0n, completionTokens: 0n, requests: 1n }
  const entry = {
    accountNumber: accountNumber(vault?.number ?? 0n),
    periodStart: world.periodStart,
    recordsRoot: ZERO_HASH,
    rows: [{ modelId: modelId(1), promptTokens: 10n, ...counters }],
  }
  const { proof, runs } = prover(account.address, meter, 500)([entry])
  for (const call of [theirs.acceptCall(proof), theirs.settleCall(proof.header, runs)]) {
    const tx = await theirs.lanes[0].sign(call, signal)
    await theirs.lanes[0].send(tx, signal)
    expect((await client.sealed(tx.id)).error).toBeNull()
  }
  const { events } = await theirs.settledSince(fromHeight, signal)
  expect(events).toMatchObject([{ seq: 1n, result: 'applied' }])
  expect((await world.settler.settledSince(fromHeight, signal)).events).toEqual([])
  expect(await world.settler.conservation(signal)).toEqual(before)
})

test('a provider without a meter, models or vaults, and one that is none', async () => {
  const nobody = new FlowSettler(
    configOf(world.chain.emulator, world.provider.account, {
      contractsAddress: world.deployed.account.address,
      providerId: '4711',
    }),
  )
  expect(await nobody.stream(signal)).toEqual({
    meter: undefined,
    meterEpoch: 0,
    isActive: false,
    activeFrom: 0,
  })
  expect(await nobody.vaults(signal)).toEqual([])
  expect(await nobody.models(signal)).toEqual([])
  await expect(nobody.plans(['4711'], signal)).rejects.toThrow(/no plan 4711/)
  expect(METER).toBe((await world.settler.stream(signal)).meter)
})

const OPEN_MANY = `
import "FungibleToken"
import "FlowToken"
import "SubscriptionVaults"

transaction(provider: UInt64, plan: UInt64, count: UInt64) {
    prepare(signer: auth(BorrowValue, SaveValue) &Account) {
        if signer.storage.type(at: SubscriptionVaults.CustomerPath) == nil {
            signer.storage.save(
                <-SubscriptionVaults.createCustomer(),
                to: SubscriptionVaults.CustomerPath
            )
        }
        let customer = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Customer>(
                from: SubscriptionVaults.CustomerPath
            )!
        let flow = signer.storage
            .borrow<auth(FungibleToken.Withdraw) &FlowToken.Vault>(from: /storage/flowTokenVault)!
        var left = count
        while left > 0 {
            left = left - 1
            let subscription <- customer.open(
                provider: provider,
                plan: plan,
                number: nil,
                deposit: <-flow.withdraw(amount: 0.02),
                refund: signer.capabilities.get<&{FungibleToken.Receiver}>(
                    /public/flowTokenReceiver
                )
            )
            let path = SubscriptionVaults.subscriptionPath(
                provider: provider,
                number: subscription.number
            )
            signer.storage.save(<-subscription, to: path)
        }
    }
}`
