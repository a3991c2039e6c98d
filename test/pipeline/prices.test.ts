import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deployBand, relayRate, setBandFee } from '../../devnet/flow/band.js'
import { string } from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import {
  type Deployed,
  flowVaultType,
  openVaults,
  setFlowPrice,
  setUpProvider,
} from '../../devnet/flow/deploy.js'
import { wad } from '../../src/domain/money.js'
import { type PricesPass, priceStatus, pricesNext } from '../../src/pipeline/prices.js'
import type { PriceFeed } from '../../src/ports/price-desk.js'
import type { Store } from '../../src/ports/stores.js'
import { FlowPrices } from '../../src/settlers/flow/prices.js'
import { FlowSettler } from '../../src/settlers/flow/settler.js'
import { startWorld, type World } from '../cadence/world.js'
import { deskEnv, runDesk } from '../cli/desk-world.js'
import { configOf } from '../settlers/flow/world.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'

// Goal: the daemon keeps a price of Band from growing old, and tells when there is none to pay with.
// Method: the real step, store, lane and contracts, with Band's stand-in on the emulator.

const WAD = 10n ** 18n
const HOUR_S = 3_600
const DAY_S = 24 * HOUR_S
const STEPS_MAX = 40
const { signal } = new AbortController()

describe('on Flow', () => {
  const clock = new ManualClock(0)
  const pass: PricesPass = { seen: [], refusedAtMs: new Map() }
  let world: World
  let band: Deployed
  let relayer: FlowAccount
  let file: StoreFile
  let store: Store
  let step: () => Promise<unknown>
  beforeAll(async () => {
    world = await startWorld()
    band = await deployBand(world)
    relayer = await world.client.createAccount({ fundFlow: '20.0' })
    const provider = await setUpProvider(world.client, { meter: `0x${'7e'.repeat(20)}` })
    await setFlowPrice(world, {
      ...{ currency: 'USD', price: WAD / 2n, minimum: WAD / 10n, maximum: 10n * WAD },
      maxAgeSeconds: DAY_S,
    })
    await openVaults(world.client, provider, [{ deposit: '1.0' }])
    await world.client.moveClock((DAY_S + 60) * 1_000)
    const more = { contractsAddress: world.account.address, providerId: provider.id }
    const config = configOf(world.emulator, relayer, more)
    const prices = new FlowPrices(config)
    const { lanes } = new FlowSettler(config)
    file = new StoreFile(clock)
    store = await file.open()
    step = () =>
      pricesNext({ ...store, prices, lanes, clock, refreshMs: HOUR_S * 1_000 }, pass, signal)
  })
  afterAll(async () => {
    await file?.remove()
    await world?.stop()
  })

  const govern = (...args: string[]) =>
    runDesk(['prices', ...args], deskEnv(world, 'DEPLOYER', world.account as FlowAccount))

  async function relay(rate: bigint): Promise<void> {
    await world.client.moveClock(120_000)
    const { blockMs } = await world.client.clock()
    clock.pass(blockMs - clock.now())
    await relayRate(band, { symbol: 'FLOW', rate, resolvedAt: Math.floor(blockMs / 1_000) - 1 })
    await world.client.moveClock(2_000)
  }

  async function stepUntil(price: string | undefined): Promise<void> {
    for (let steps = 0; steps < STEPS_MAX; steps += 1) {
      await step()
      if (status().price === price) return
      await world.client.makeBlock()
    }
    throw new Error(`the price is ${status().price}, not ${price}`)
  }

  const status = () => priceStatus(pass, clock.now())[0] ?? { token: '', currency: '' }

  test('a price that nobody brings anew is told', async () => {
    await step()
    expect(priceStatus(pass, clock.now())).toMatchObject([
      {
        ...{ token: flowVaultType(world.client), currency: 'USD', price: '0.5' },
        paymentsWait: 'the price is too old',
      },
    ])
  })

  test('a feed that follows Band gets a price, and a newer one when it is old', async () => {
    expect((await govern('follow', 'FLOW/USD')).code).toBe(0)
    await relay(640_000_000n)
    await stepUntil('0.64')
    expect(status()).toMatchObject({ source: 'band' })
    expect(status()).not.toHaveProperty('paymentsWait')

    // Fresh enough: nothing is sent, whatever Band says by now.
    await relay(650_000_000n)
    const { sequenceNumber } = await world.client.accountKey(relayer.address, 0)
    await step()
    await step()
    expect((await world.client.accountKey(relayer.address, 0)).sequenceNumber).toBe(sequenceNumber)
    await world.client.moveClock(HOUR_S * 1_000)
    await relay(660_000_000n)
    await stepUntil('0.66')
  })

  test('a refusal is not paid for again and again', async () => {
    await setBandFee(band, '5.0')
    await world.client.moveClock(HOUR_S * 1_000)
    await relay(670_000_000n)
    const before = await world.client.accountKey(relayer.address, 0)
    for (let steps = 0; steps < STEPS_MAX && pass.refusedAtMs.size === 0; steps += 1) {
      await step()
      await world.client.makeBlock()
    }
    expect(pass.refusedAtMs.size).toBe(1)
    for (let more = 0; more < 3; more += 1) await step()
    const after = await world.client.accountKey(relayer.address, 0)
    expect(after.sequenceNumber - before.sequenceNumber).toBe(1n)
    expect(await world.client.balance(relayer.address)).toBeGreaterThan(19n * 10n ** 8n)
  })

  test('a token at par is not refreshed, however long ago that was said', async () => {
    const pair = [string(flowVaultType(world.client)), string('USD')]
    await world.send('governor/set_token_at_par', pair)
    await setBandFee(band, '0.0')
    pass.refusedAtMs.clear()
    await world.client.moveClock(2 * HOUR_S * 1_000)
    await relay(680_000_000n)
    const { sequenceNumber } = await world.client.accountKey(relayer.address, 0)
    await step()
    await step()
    expect(pass.seen).toMatchObject([{ isFollowing: true }])
    expect(status()).toMatchObject({ price: '1', source: 'par' })
    expect((await world.client.accountKey(relayer.address, 0)).sequenceNumber).toBe(sequenceNumber)
  })
})

describe('what is told of a price', () => {
  const good: PriceFeed = {
    ...{ token: 'T', currency: 'USD', price: wad(5n * 10n ** 17n), source: 'band' },
    ...{ minimum: wad(1n), maximum: wad(10n ** 19n), maxAgeS: 60 },
    ...{ updatedAtS: 1_000, isInBounds: true, isFresh: true },
    ...{ current: wad(5n * 10n ** 17n), lastGood: wad(5n * 10n ** 17n) },
  }

  test.each<[string, PriceFeed | undefined, string | undefined]>([
    ['good', good, undefined],
    ['too old', { ...good, isFresh: false, current: undefined }, 'the price is too old'],
    [
      'out of bounds',
      { ...good, isInBounds: false, current: undefined },
      'the price is out of its bounds',
    ],
    ['not there', { ...good, source: '', current: undefined }, 'no price was set yet'],
    ['without a feed', undefined, 'there is no feed'],
  ])('%s', (_, feed, wait) => {
    const seen = [{ token: 'T', currency: 'USD', feed, isFollowing: true }]
    const [told] = priceStatus({ seen, refusedAtMs: new Map() }, 1_030_000)
    expect(told?.paymentsWait).toBe(wait)
    const hasPrice = feed !== undefined && feed.source !== ''
    expect(told?.ageS).toBe(hasPrice ? 30 : undefined)
    expect(told?.price).toBe(hasPrice ? '0.5' : undefined)
  })
})
