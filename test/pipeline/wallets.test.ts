import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { policyStatus } from '../../src/pipeline/policy-status.js'
import { runwayDays, walletStatus } from '../../src/pipeline/wallets.js'
import type { Store } from '../../src/ports/stores.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const START_MS = 1_790_000_000_000

describe('days of runway', () => {
  const at = (hours: number, balance: bigint) => ({ atMs: hours * HOUR_MS, balance })

  test.each([
    ['one coin a day of ten', [at(0, 11n), at(24, 10n)], 10],
    ['what was paid in is no spending', [at(0, 3n), at(12, 2n), at(13, 101n), at(24, 100n)], 50],
    ['half a day is shown as half a day', [at(0, 3n), at(24, 1n)], 0.5],
    ['nothing left', [at(0, 3n), at(24, 0n)], 0],
    ['too short a look', [at(0, 3n), at(0.5, 1n)], undefined],
    ['nothing spent', [at(0, 3n), at(24, 3n)], undefined],
    ['nothing seen', [], undefined],
  ])('%s', (_what, balances, days) => {
    expect(runwayDays(balances)).toBe(days)
  })
})

describe('kept in the store', () => {
  const clock = new ManualClock(START_MS)
  let file: StoreFile
  let store: Store

  beforeEach(async () => {
    file = new StoreFile(clock)
    store = await file.open()
  })
  afterEach(() => file.remove())

  test('balances outlive a restart, a few an hour, and make a runway', async () => {
    for (let hours = 0; hours <= 48; hours += 1) {
      const balance = 10n ** 18n * BigInt(148 - hours)
      const seen = { wallet: 'flare', address: '0xaa', decimals: 18, balance }
      await store.watch.saveWallet(seen)
      await store.watch.saveWallet(seen)
      clock.pass(HOUR_MS)
    }
    await file.close(store)
    store = await file.open()
    expect(await store.watch.balances('flare', START_MS)).toHaveLength(49)
    const [wallet] = await walletStatus(store, clock.now())
    expect(wallet).toMatchObject({ wallet: 'flare', balance: '100.0000', runwayDays: 4.1 })
  })

  test('old balances are let go', async () => {
    const seen = { wallet: 'flow', address: '0xbb', decimals: 8, balance: 5n }
    await store.watch.saveWallet(seen)
    clock.pass(20 * DAY_MS)
    await store.watch.saveWallet(seen)
    expect(await store.watch.balances('flow', 0)).toHaveLength(1)
  })

  test('the light client is behind from the epoch on whose policy signs and which it lacks', async () => {
    expect(await policyStatus(store.watch)).toBeUndefined()
    await store.watch.savePolicies({ newest: 8, inForce: 7, accepted: 7 })
    expect(await policyStatus(store.watch)).toMatchObject({ behind: 0 })
    await store.watch.savePolicies({ newest: 8, inForce: 8, accepted: 7 })
    expect(await policyStatus(store.watch)).toMatchObject({ behind: 1, inForce: 8 })
  })
})
