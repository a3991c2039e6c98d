import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { address, string, ufix64 } from '../../devnet/flow/cadence-json.js'
import { type FlowAccount, flowAccount } from '../../devnet/flow/client.js'
import { type Provider, setFlowPrice, setUpProvider } from '../../devnet/flow/deploy.js'
import type { Hash } from '../../src/domain/bytes.js'
import { hash, u256 } from '../../src/domain/bytes.js'
import { DOLLAR_RECEIVER, DOLLAR_STORAGE, deployDollar, holdDollars } from '../cadence/dollars.js'
import { Settlement, WAD } from '../cadence/settlement.js'
import { startWorld, u64, type World } from '../cadence/world.js'
import { type DeskRun, deskEnv, runDesk } from './desk-world.js'

// Goal: a vault of a stablecoin without any price feed is opened, filled, paid from, emptied and
// collected with the commands alone; and what one is let do for a provider ends when that says so.
// Method: the real commands and the real contracts, on the emulator; what happened is read back.

const METER = `0x${'7e'.repeat(20)}` as const
const AT = ['--storage', DOLLAR_STORAGE]

let world: World
let provider: Provider
let customer: FlowAccount
let delegate: FlowAccount
let settlement: Settlement
const asProvider = (...args: string[]) =>
  runDesk(args, deskEnv(world, 'PROVIDER', provider.account))
const asDelegate = (...args: string[]) => runDesk(args, deskEnv(world, 'PROVIDER', delegate))
const asCustomer = (...args: string[]) =>
  runDesk(args, { ...deskEnv(world, 'CUSTOMER', customer), FLOW_PROVIDER_ID: '1' })

beforeAll(async () => {
  world = await startWorld()
  const { client } = world
  provider = await setUpProvider(client, { meter: METER })
  customer = await client.createAccount({ fundFlow: '5.0' })
  delegate = await client.createAccount({ fundFlow: '1.0' })
  const feed = { price: WAD / 2n, minimum: WAD / 100n, maximum: 100n * WAD, maxAgeSeconds: 3_600 }
  await setFlowPrice(world, { currency: 'USD', ...feed })
  const type = await deployDollar(world)
  const token = [address(world.account.address), string('TestDollar'), ufix64('0.02')]
  await world.send('governor/allow_token', token)
  const deployer = flowAccount(world.account.address, world.account.privateKey)
  const par = ['prices', 'set-par', '--token', type]
  expect((await runDesk(par, deskEnv(world, 'DEPLOYER', deployer))).code).toBe(0)
  for (const holder of [customer, provider.account]) await holdDollars(world, holder, '100.0')
  const target = (await world.run('get_target')) as { readonly hash: bigint }
  const { blockMs } = await client.clock()
  settlement = new Settlement(world, provider, hash(u256(target.hash)) as Hash, blockMs)
})
afterAll(() => world?.stop())

function out(run: DeskRun): string {
  expect([run.code, run.told.filter((line) => line.startsWith('error'))]).toEqual([0, []])
  return run.out.join('\n')
}

function refused(run: DeskRun): string {
  expect([run.code, run.out]).toEqual([2, []])
  return run.told.join()
}

async function show(): Promise<Record<string, unknown>> {
  return JSON.parse(out(await asCustomer('vaults', 'show', '1', '--json'))) as never
}

describe.sequential('a vault of a stablecoin', () => {
  const open = ['vaults', 'open', '--plan', '1', '--deposit', '20']

  test('is opened with the two names of its token, and not with one of them', async () => {
    expect(refused(await asCustomer(...open, ...AT))).toContain('needs --storage and --receiver')
    const wrong = [...open, '--storage', 'a b', '--receiver', DOLLAR_RECEIVER]
    expect(refused(await asCustomer(...wrong))).toContain('"a b" is no name of a path')
    const elsewhere = [...open, '--storage', 'nowhere', '--receiver', DOLLAR_RECEIVER]
    expect(refused(await asCustomer(...elsewhere))).toContain('no token vault at nowhere')
    const receiver = ['--receiver', `/public/${DOLLAR_RECEIVER}`]
    expect(out(await asCustomer(...open, ...AT, ...receiver))).toBe('vault 1 is open')
    expect(out(await asCustomer('vaults', 'list'))).toContain('plan 1  TestDollar  open')
    expect(out(await asCustomer('vaults', 'show', '1'))).toMatch(
      /balance: 20.0 TestDollar, of it free 20.0.*storage deposit: 0.02 TestDollar/s,
    )
  })

  test('takes its own token, and no FLOW', async () => {
    expect(refused(await asCustomer('vaults', 'deposit', '1', '1'))).toMatch(
      /The vault takes A\.\w+\.TestDollar\.Vault, not A\.\w+\.FlowToken\.Vault/,
    )
    out(await asCustomer('vaults', 'deposit', '1', '1.5', ...AT))
    const gift = ['provider', 'credit', '1', '0.5', '--reason', 'for the outage']
    expect(out(await asProvider(...gift, ...AT))).toBe('0.5 tokens given to account 1')
    expect(await show()).toMatchObject({ balance: '22.0' })
  })

  test('pays a dollar for a dollar, without any feed; the provider collects it', async () => {
    const [settled] = await settlement.bring(
      settlement.entry({ number: 1n }, { promptTokens: 50_000 }),
    )
    expect(settled).toMatchObject({ result: 'applied', paid: WAD, owed: 0n })
    expect(await show()).toMatchObject({ balance: '21.0', paid: '1' })
    expect(refused(await asProvider('provider', 'collect', '1'))).toContain('There never were')
    expect(out(await asProvider('provider', 'collect', '1', ...AT))).toBe('1 tokens collected')
  })

  test('gives free balance back to where the token lies', async () => {
    out(await asCustomer('vaults', 'request-withdrawal', '1', '5'))
    await world.client.moveClock(86_460_000)
    expect(refused(await asCustomer('vaults', 'withdraw', '1'))).toContain('not FLOW')
    out(await asCustomer('vaults', 'withdraw', '1', ...AT))
    expect(await show()).toMatchObject({ balance: '16.0' })
  })

  test('goes on when its customer stays, and pays all back when they leave', async () => {
    out(await asCustomer('vaults', 'leave', '1'))
    expect(out(await asCustomer('vaults', 'stay', '1'))).toBe('vault 1: it goes on as before')
    expect(await show()).toMatchObject({ state: 'open', endsAt: null })
    expect(refused(await asCustomer('vaults', 'stay', '1'))).toContain('to take back')
    out(await asCustomer('vaults', 'leave', '1'))
    const receiver = ['--receiver', DOLLAR_RECEIVER]
    const to = provider.account.address
    expect(refused(await asCustomer('vaults', 'refund-to', '1', to))).toContain('takes no A.')
    out(await asCustomer('vaults', 'refund-to', '1', to, ...receiver))
    await world.client.moveClock(86_460_000)
    out(await asCustomer('vaults', 'end', '1'))
    out(await asCustomer('vaults', 'take-refund', '1', ...AT))
    expect(await show()).toMatchObject({ state: 'closed', balance: '0.0', storageDeposit: '0.0' })
  })
})

test('a delegate registers models until the provider takes that back', async () => {
  const owner = provider.account.address
  const register = (name: string) =>
    asDelegate('provider', 'register-models', name, '--for', owner, '--json')
  expect(refused(await asDelegate('provider', 'claim-models', owner))).toContain('offers nothing')
  out(await asProvider('provider', 'share-models', delegate.address))
  out(await asDelegate('provider', 'claim-models', owner))
  expect(JSON.parse(out(await register('new-model')))).toMatchObject({ sent: true })
  expect(JSON.parse(out(await register('new-model')))).toMatchObject({ sent: false })
  expect(await world.run('get_models', [u64(1)])).toContain('new-model')
  // Nothing else of the provider's is theirs.
  expect(refused(await asDelegate('provider', 'set-meter', METER))).toContain('is no provider')
  out(await asProvider('provider', 'revoke-models'))
  expect(refused(await register('another'))).toContain('took back')
})
