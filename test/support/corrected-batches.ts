import { accountNumber } from '../../src/domain/ids.js'
import { recordWaiver } from '../../src/pipeline/record-correction.js'
import { SEPTEMBER_S, usageRecord } from './usage.js'
import { type Daemon, runUntil, SEAL_INTERVAL_MS, type World } from './world.js'

/** What the correction is about. */
export const CORRECTED = { accountNumber: accountNumber(7n), periodStart: SEPTEMBER_S }

/** Two batches of two vaults, with a correction between them, and an entry of the operators' log. */
export async function settleCorrectedBatches(world: World, daemon: Daemon): Promise<void> {
  for (const account of [7n, 9n]) world.flow.openVault(account, SEPTEMBER_S)
  world.tick()
  for (const [id, user] of ['7', '9', '7', '9'].entries()) {
    world.use(usageRecord(`first ${id}`, { user }))
  }
  await runUntil(world, daemon, 'settled')
  const order = { reason: 'a test call', by: 'ann' }
  const waived = [{ source: 'main', requestId: 'first 0' }]
  const [recorded] = await recordWaiver(daemon.store, waived, order)
  world.flow.correctNow(CORRECTED, recorded?.correction.billable ?? 0n, 1n)
  world.use(usageRecord('second', { user: '7', startedAtMs: world.clock.now() }))
  world.tick(SEAL_INTERVAL_MS)
  await runUntil(world, daemon, 'settled', 2n)
}
