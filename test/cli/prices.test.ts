import { afterAll, beforeAll, expect, test } from 'vitest'
import { deployBand, relayRate } from '../../devnet/flow/band.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { type Deployed, flowVaultType } from '../../devnet/flow/deploy.js'
import { startWorld, type World } from '../cadence/world.js'
import { type DeskRun, deskEnv, runDesk } from './desk-world.js'

// Goal: an operator looks after prices with commands alone, and a slip of the hand is told before
// anything is sent. Method: the real commands and contracts, on the emulator.

const COIN = 'A.0000000000000001.Coin.Vault'

let world: World
let band: Deployed
let provider: FlowAccount
const asGovernor = (...args: string[]) =>
  runDesk(['prices', ...args], deskEnv(world, 'DEPLOYER', world.account as FlowAccount))
const asProvider = (...args: string[]) =>
  runDesk(['prices', ...args], deskEnv(world, 'PROVIDER', provider))

beforeAll(async () => {
  world = await startWorld()
  provider = await world.client.createAccount({ fundFlow: '10.0' })
})
afterAll(() => world?.stop())

function json(run: DeskRun): Record<string, unknown> {
  expect([run.told.join('\n'), run.code]).toEqual([expect.not.stringContaining('error:'), 0])
  return JSON.parse(run.out[0] ?? '') as Record<string, unknown>
}

test.each<[string, string[], string]>([
  ['a word for a price', ['set', 'cheap'], '"cheap" is no price, such as 0.62'],
  ['a price with too many places', ['set', '0.1234567890123456789'], 'is no price'],
  ['a minus', ['set', '--', '-1'], 'is no price'],
  [
    'bounds the wrong way round',
    ['set-feed', '--minimum', '2', '--maximum', '1', '--max-age', '60'],
    'not above the maximum',
  ],
  [
    'no age',
    ['set-feed', '--minimum', '1', '--maximum', '2', '--max-age', '0'],
    'no age of 1 to 31622400 seconds',
  ],
  ['one symbol', ['follow', 'FLOW'], 'is no pair, such as FLOW/USD'],
  ['the same symbol twice', ['follow', 'USD/USD'], 'is no pair'],
  ['a token by its name', ['show', '--token', 'USDC'], 'is no vault type'],
  ['no stablecoin', ['set-par'], 'name the stablecoin'],
])('%s is told, and nothing is sent', async (_, args, why) => {
  const before = await world.client.accountKey(world.account.address, 0)
  const run = await asGovernor(...args)
  expect([run.code, run.told.join('\n')]).toEqual([2, expect.stringContaining(why)])
  const after = await world.client.accountKey(world.account.address, 0)
  expect(after.sequenceNumber).toBe(before.sequenceNumber)
})

test('without a feed, what to do is told', async () => {
  const run = await asProvider('show')
  expect([run.code, run.told.join()]).toEqual([2, expect.stringContaining('prices set-feed')])
  const set = await asGovernor('set', '0.5')
  expect([set.code, set.told.join('\n')]).toEqual([
    2,
    expect.stringContaining('has no feed in USD. Make one: flowmeter prices set-feed'),
  ])
})

test('bounds, a price, and whether payments wait', async () => {
  const rules = ['--minimum', '0.1', '--maximum', '10', '--max-age', '86400']
  expect((await asGovernor('set-feed', ...rules)).out.join('\n')).toContain(
    'PAYMENTS WAIT: no price was set yet',
  )
  const out = await asGovernor('set', '11')
  expect([out.code, out.told.join('\n')]).toEqual([
    2,
    expect.stringContaining('not within 0.1 to 10'),
  ])
  expect(json(await asGovernor('set', '0.62', '--json'))).toMatchObject({
    ...{ sent: true, price: '0.62', source: 'governor', paidWith: '0.62', lastGood: '0.62' },
    ...{ minimum: '0.1', maximum: '10', maxAgeS: 86_400, paymentsWait: false },
  })
  await world.client.moveClock(86_410_000)
  expect(json(await asProvider('show', '--json'))).toMatchObject({
    ...{ price: '0.62', lastGood: '0.62', paymentsWait: 'the price is too old' },
  })
})

test('prices are governance’s: another key is refused by the contract', async () => {
  const env = deskEnv(world, 'DEPLOYER', provider)
  const run = await runDesk(['prices', 'set', '0.5'], env)
  expect([run.code, run.told.join('\n')]).toEqual([2, expect.stringContaining('holds no')])
})

test('a stablecoin at par', async () => {
  const coin = `A.${world.account.address.slice(2)}.SubscriptionVaults.Vault`
  const run = await asGovernor('set-par', '--token', coin)
  expect(run.out.join('\n')).toMatch(/: 1, of .*, by par\n {2}payments use it\n {2}last good: 1$/)
  const unknown = await asGovernor('set-par', '--token', COIN)
  expect([unknown.code, unknown.told.join()]).toEqual([2, expect.stringContaining('is no type')])
})

test('Band’s rate is followed, refreshed by anybody, and let go', async () => {
  band = await deployBand(world)
  const early = await asProvider('refresh')
  expect([early.code, early.told.join()]).toEqual([
    2,
    expect.stringContaining('does not follow Band'),
  ])
  expect((await asGovernor('follow', 'FLOW/USD')).out.join('\n')).toContain(
    'Band: FLOW/USD, 0.0 FLOW',
  )
  await world.client.moveClock(60_000)
  const { blockMs } = await world.client.clock()
  const resolvedAt = Math.floor(blockMs / 1_000)
  await relayRate(band, { symbol: 'FLOW', rate: 710_000_000n, resolvedAt })
  await world.client.moveClock(5_000)
  expect(json(await asProvider('refresh', '--json'))).toMatchObject({
    ...{ sent: true, price: '0.71', source: 'band', paidWith: '0.71' },
    band: { base: 'FLOW', quote: 'USD', fee: '0.0' },
  })
  const again = await asProvider('refresh')
  expect([again.code, again.out[0]]).toEqual([0, 'There is no newer rate.'])
  expect((await asGovernor('unfollow')).out.join('\n')).not.toContain('Band')
})

test('a token that is set at par follows Band no longer', async () => {
  expect((await asGovernor('follow', 'FLOW/USD')).code).toBe(0)
  const run = await asGovernor('set-par', '--token', flowVaultType(world.client))
  expect(run.out.join('\n')).toContain('by par')
  expect(run.out.join('\n')).not.toContain('Band')
})
