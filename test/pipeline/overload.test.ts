import { afterEach, beforeEach, expect, test } from 'vitest'
import { accountNumber, batchId } from '../../src/domain/ids.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { type Daemon, runUntil, World } from '../support/world.js'

const LIMITS = { records: 6, entries: 4 }
const VAULTS = Array.from({ length: 12 }, (_, i) => BigInt(i + 1))
const ROUNDS = 8

let world: World
let daemon: Daemon

beforeEach(async () => {
  world = new World({ intervalMs: 1, limits: LIMITS })
  for (const account of VAULTS) world.flow.openVault(account, SEPTEMBER_S)
  world.tick()
  daemon = await world.boot()
})
afterEach(() => world.file.remove())

const settled = (account: bigint) =>
  world.flow.record({ accountNumber: accountNumber(account), periodStart: SEPTEMBER_S }).lastSeq >
  0n

// Goal: more usage than is sealed makes the daemon late, not larger, and starves nobody.
// Method: every round brings twice what a batch takes in, most of it for the vaults that come first by
// number; batches keep to their limits, only one is under way, and the oldest rows come first.
test('sustained overload: batches stay small, and the last vault is served too', async () => {
  let used = 0
  const use = (account: bigint) => {
    used += 1
    const startedAtMs = world.clock.now() - 1
    world.use(usageRecord(`call ${used}`, { user: account.toString(), startedAtMs }))
  }
  for (const account of VAULTS) use(account)
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (let call = 0; call < 2 * LIMITS.records; call += 1) use(BigInt(1 + (call % 4)))
    await runUntil(world, daemon, 'settled', BigInt(round))
    const { batches, records } = daemon.store
    const seq = batchId(BigInt(round))
    expect((await batches.entries(seq)).length).toBeLessThanOrEqual(LIMITS.entries)
    expect((await records.claimedBy(seq)).length).toBeLessThanOrEqual(LIMITS.records)
    expect((await batches.last())?.header.seq).toBeLessThanOrEqual(BigInt(round + 1))
  }
  expect(VAULTS.filter((account) => !settled(account))).toEqual([])
  const { claimed, attributed, unattributed } = await daemon.store.records.counts()
  expect(claimed + attributed + unattributed).toBe(used)
  expect(attributed).toBeGreaterThan(LIMITS.records)

  // Without more of it, what waited is charged to the last row.
  for (let round = ROUNDS + 1; (await daemon.store.records.counts()).claimed < used; round += 1) {
    await runUntil(world, daemon, 'settled', BigInt(round))
  }
  await daemon.run('reconcile')
  const checks = Object.entries((await daemon.store.books.checks())?.checks ?? { unchecked: 1n })
  expect(checks.filter(([, difference]) => difference !== 0n)).toEqual([])
})
