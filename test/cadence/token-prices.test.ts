import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deployBand, relayRate, setBandFee } from '../../devnet/flow/band.js'
import {
  type CadenceValue,
  type Plain,
  string,
  ufix64,
  uint,
} from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { type Deployed, flowVaultType, runFile, sendFile } from '../../devnet/flow/deploy.js'
import { eventsNamed, type TransactionResult } from '../../devnet/flow/results.js'
import { cadenceSource } from '../../devnet/flow/sources.js'
import type { Signer } from '../../devnet/flow/transaction.js'
import { startWorld, type World } from './world.js'

const WAD = 10n ** 18n
const DAY = 86_400
const FLOW_UNITS = 10n ** 8n

let world: World
let band: Deployed
let stranger: FlowAccount
let token: string
beforeAll(async () => {
  world = await startWorld()
  band = await deployBand(world)
  stranger = await world.client.createAccount({ fundFlow: '10.0' })
  token = flowVaultType(world.client)
})
afterAll(() => world?.stop())

const wad = (value: bigint): CadenceValue => uint('UInt128', value)
const pair = (currency: string, of = token): CadenceValue[] => [string(of), string(currency)]

/** Between 0.1 and 10, and a day old at the most. */
function setFeed(currency: string): Promise<TransactionResult> {
  const rules = [wad(WAD / 10n), wad(10n * WAD), ufix64(`${DAY}.0`)]
  return send('governor/set_token_feed', [...pair(currency), ...rules])
}

function setPrice(currency: string, price: bigint): Promise<TransactionResult> {
  return send('governor/set_token_price', [...pair(currency), wad(price)])
}

function send(
  name: string,
  args: CadenceValue[],
  signer = band.account,
): Promise<TransactionResult> {
  return sendFile(band.client, name, args, signer)
}

async function refused(name: string, args: CadenceValue[], signer: Signer): Promise<string> {
  const cadence = cadenceSource(`transactions/${name}`)
  const { error } = await band.client.send({ cadence, args, signers: [signer] })
  if (error === null) throw new Error(`${name} was not refused`)
  return error
}

function feed(currency: string, of = token): Promise<Plain> {
  return runFile(band.client, 'get_token_price', pair(currency, of))
}

async function now(): Promise<number> {
  return Math.floor((await band.client.clock()).blockMs / 1_000)
}

describe('a governed price', () => {
  test('is paid with, until it is too old; the last good one stays readable', async () => {
    await setFeed('AAA')
    expect(await feed('AAA')).toMatchObject({
      price: 0n,
      source: '',
      current: null,
      lastGood: null,
    })
    const result = await setPrice('AAA', WAD / 2n)
    expect(eventsNamed(result, 'TokenPrices.PriceSet')).toMatchObject([
      { token, currency: 'AAA', price: WAD / 2n, source: 'governor', isGood: true },
    ])
    expect(await feed('AAA')).toMatchObject({
      price: WAD / 2n,
      source: 'governor',
      current: WAD / 2n,
      lastGood: WAD / 2n,
    })
    await band.client.moveClock((DAY + 2) * 1_000)
    expect(await feed('AAA')).toMatchObject({
      isFresh: false,
      isInBounds: true,
      current: null,
      lastGood: WAD / 2n,
    })
  })

  test.each([
    ['zero', 0n],
    ['too low', WAD / 10n - 1n],
    ['too high', 10n * WAD + 1n],
    ['the greatest there is', 2n ** 128n - 1n],
  ])('that is %s is kept, and is not paid with', async (_, price) => {
    await setFeed('BBB')
    await setPrice('BBB', WAD)
    const result = await setPrice('BBB', price)
    expect(eventsNamed(result, 'TokenPrices.PriceSet')).toMatchObject([{ price, isGood: false }])
    expect(await feed('BBB')).toMatchObject({
      price,
      isInBounds: false,
      current: null,
      lastGood: WAD,
    })
  })

  test('keeps when its rules change, and is measured by the new ones', async () => {
    await setFeed('CCC')
    await setPrice('CCC', WAD)
    const rules = [wad(2n * WAD), wad(3n * WAD), ufix64('60.0')]
    await send('governor/set_token_feed', [...pair('CCC'), ...rules])
    expect(await feed('CCC')).toMatchObject({ price: WAD, current: null, lastGood: WAD })
  })

  test.each([
    ['a minimum of zero', [wad(0n), wad(WAD), ufix64('1.0')], 'are no bounds'],
    ['a minimum above the maximum', [wad(2n), wad(1n), ufix64('1.0')], 'are no bounds'],
    ['no age', [wad(1n), wad(2n), ufix64('0.0')], 'No price would be new enough'],
  ])('cannot have %s', async (_, rules, why) => {
    const args = [...pair('DDD'), ...rules]
    expect(await refused('governor/set_token_feed', args, band.account)).toMatch(why)
  })

  test('is governance’s, and needs a feed and a token', async () => {
    const price = [...pair('AAA'), wad(WAD)]
    expect(await refused('governor/set_token_price', price, stranger)).toMatch('holds no')
    const rules = [wad(1n), wad(2n), ufix64('1.0')]
    const feedOf = [...pair('AAA'), ...rules]
    expect(await refused('governor/set_token_feed', feedOf, stranger)).toMatch('holds no')
    expect(await refused('governor/set_token_at_par', pair('AAA'), stranger)).toMatch('holds no')
    const unknown = [...pair('ZZZ'), wad(WAD)]
    expect(await refused('governor/set_token_price', unknown, band.account)).toMatch('has no feed')
    const noToken = [...pair('AAA', 'flow'), ...rules]
    expect(await refused('governor/set_token_feed', noToken, band.account)).toMatch('is no type')
    expect(await feed('ZZZ')).toBeNull()
  })
})

test('without a feed there is no price, and never was a good one', async () => {
  const source = `
    import "TokenPrices"
    access(all) fun main(token: String, currency: String): [UInt128?] {
        let type = CompositeType(token)!
        return [
            TokenPrices.current(token: type, currency: currency),
            TokenPrices.lastGood(token: type, currency: currency)
        ]
    }`
  const nobody = `A.${band.account.address.slice(2)}.SubscriptionVaults.Desk`
  for (const args of [pair('ZZZ'), pair('USD', nobody)]) {
    expect(await band.client.script(source, args)).toEqual([null, null])
  }
})

describe('at par', () => {
  test('FLOW is FLOW, for ever and without a feed', async () => {
    expect(await feed('FLOW')).toMatchObject({ current: WAD, lastGood: WAD, source: 'par' })
  })

  test('a stablecoin is its currency, until a feed takes its place', async () => {
    // Any type will do: its contract is never asked.
    const coin = `A.${band.account.address.slice(2)}.SubscriptionVaults.Vault`
    await send('governor/set_token_at_par', pair('USD', coin))
    await band.client.moveClock(400 * DAY * 1_000)
    expect(await feed('USD', coin)).toMatchObject({ current: WAD, lastGood: WAD, source: 'par' })
    // A wrong hand on the price stops payments; it cannot make them cheaper.
    await send('governor/set_token_price', [...pair('USD', coin), wad(WAD / 2n)])
    expect(await feed('USD', coin)).toMatchObject({ current: null, lastGood: WAD })
    const rules = [wad(WAD / 10n), wad(10n * WAD), ufix64(`${DAY}.0`)]
    await send('governor/set_token_feed', [...pair('USD', coin), ...rules])
    expect(await feed('USD', coin)).toMatchObject({ current: WAD / 2n })
  })
})

describe('a price of Band', () => {
  const maxFee = ufix64('1.0')
  const refresh = (signer: Signer = stranger): Promise<TransactionResult> =>
    send('anybody/refresh_token_price', [...pair('USD'), maxFee], signer)
  const refreshRefused = (currency = 'USD', most = maxFee): Promise<string> =>
    refused('anybody/refresh_token_price', [...pair(currency), most], stranger)
  const relay = async (rate: bigint, ageS: number): Promise<number> => {
    const resolvedAt = (await now()) - ageS
    await relayRate(band, { symbol: 'FLOW', rate, resolvedAt, isForced: true })
    return resolvedAt
  }

  beforeAll(async () => {
    await setFeed('USD')
    const symbols = [string('FLOW'), string('USD')]
    expect(await refreshRefused()).toMatch('does not follow Band')
    const noFeed = [...pair('XXX'), ...symbols]
    expect(await refused('governor/set_band_pair', noFeed, band.account)).toMatch('has no feed')
    const same = [...pair('USD'), string('USD'), string('USD')]
    expect(await refused('governor/set_band_pair', same, band.account)).toMatch('are no pair')
    const args = [...pair('USD'), ...symbols]
    expect(await refused('governor/set_band_pair', args, stranger)).toMatch('holds no')
    await send('governor/set_band_pair', args)
    expect(await refreshRefused()).toMatch('Cannot get a quote for the requested symbol pair')
  })

  test('is brought by anybody, who pays Band and no more than they allow', async () => {
    await setBandFee(band, '0.25')
    const resolvedAt = await relay(742_123_456n, 60)
    const before = await band.client.balance(stranger.address)
    const result = await refresh()
    const paid = before - (await band.client.balance(stranger.address)) - result.fee
    expect(paid).toBe(FLOW_UNITS / 4n)
    const asOf = BigInt(resolvedAt) * FLOW_UNITS
    expect(eventsNamed(result, 'TokenPrices.PriceSet')).toMatchObject([
      { price: 742_123_456n * 10n ** 9n, asOf, source: 'band', isGood: true },
    ])
    expect(await feed('USD')).toMatchObject({ current: 742_123_456n * 10n ** 9n, updatedAt: asOf })
    expect(await runFile(band.client, 'get_band_pair', pair('USD'))).toEqual({
      base: 'FLOW',
      quote: 'USD',
      fee: FLOW_UNITS / 4n,
    })
    expect(await refreshRefused('USD', ufix64('0.24'))).toMatch('above the 0.24000000 allowed')
    await setBandFee(band, '0.0')
  })

  test('is news only once, and never an older one or one of the future', async () => {
    await relay(800_000_000n, 30)
    await refresh()
    expect(await refreshRefused()).toMatch('is no newer than')
    await relay(100_000_000n, 3_600)
    expect(await refreshRefused()).toMatch('is no newer than')
    await relay(100_000_000n, -3_600)
    expect(await refreshRefused()).toMatch('and it is')
    expect(await feed('USD')).toMatchObject({ price: 8n * 10n ** 17n })
  })

  test('is as old as when Band resolved it: a relayer that sleeps makes it stale', async () => {
    await band.client.moveClock(10 * DAY * 1_000)
    await relay(900_000_000n, 2 * DAY)
    await refresh()
    expect(await feed('USD')).toMatchObject({
      price: 9n * 10n ** 17n,
      isFresh: false,
      current: null,
      lastGood: 9n * 10n ** 17n,
    })
  })

  test.each([
    ['zero', 0n],
    ['out of bounds', 11_000_000_000n],
    ['the greatest that Band can say', 2n ** 64n - 1n],
  ])('of %s stops payments, and the last good one stays', async (_, rate) => {
    await relay(500_000_000n, 5)
    await refresh()
    await band.client.moveClock(60_000)
    await relay(rate, 5)
    const result = await refresh()
    expect(eventsNamed(result, 'TokenPrices.PriceSet')).toMatchObject([{ isGood: false }])
    expect(await feed('USD')).toMatchObject({ current: null, lastGood: WAD / 2n })
    await band.client.moveClock(60_000)
  })

  test('gives way to governance, and is followed until governance says otherwise', async () => {
    await setPrice('USD', 2n * WAD)
    expect(await feed('USD')).toMatchObject({ current: 2n * WAD, source: 'governor' })
    await relay(500_000_000n, 600)
    expect(await refreshRefused()).toMatch('is no newer than')
    expect(await refused('governor/remove_band_pair', pair('USD'), stranger)).toMatch('holds no')
    await send('governor/remove_band_pair', pair('USD'))
    expect(await refreshRefused()).toMatch('does not follow Band')
    const gone = await refused('governor/remove_band_pair', pair('USD'), band.account)
    expect(gone).toMatch('does not follow Band')
    expect(await runFile(band.client, 'get_band_pair', pair('USD'))).toBeNull()
  })

  // Goal: nobody stops payments in a stablecoin by bringing a rate that is not exactly one.
  test('is not for a token at par', async () => {
    const follow = [...pair('USD'), string('FLOW'), string('USD')]
    await send('governor/set_band_pair', follow)
    await send('governor/set_token_at_par', pair('USD'))
    await band.client.moveClock(60_000)
    await relay(999_000_000n, 5)
    expect(await refreshRefused()).toMatch('is at par with USD, and takes no price of an oracle')
    expect(await feed('USD')).toMatchObject({ current: WAD, source: 'par' })
    await send('governor/remove_band_pair', pair('USD'))
    expect(await refused('governor/set_band_pair', follow, band.account)).toMatch(
      'is at par with USD, and follows no rate',
    )
  })
})
