import { RetryableError } from '../../../src/domain/errors.js'
import { adopt } from '../../../src/pipeline/adopt.js'
import { runCommand } from './command.js'
import type { Wiring } from './daemon.js'
import { restoreBackup, takeBackup } from './database.js'
import { statements } from './invariants.js'
import { Crash } from './process.js'
import { isCode } from './rotation.js'
import type { World } from './world.js'

const ORDERED = { reason: 'the disk was lost', by: 'the operator' }

/** What an operator has to do again after a backup was restored, and does not do in between here. */
export const DONE_AGAIN: ReadonlySet<string> = new Set([
  ...['directorySet', 'correctionOrdered', 'correctionSent', 'modelRegistered', 'vaultEnded'],
])

export async function backUp(world: World): Promise<void> {
  world.backup = await takeBackup(world.db)
  world.trace(() => '* the store is copied')
}

/** The store is lost, and its copy takes its place; whatever the copy has not, only others know. */
export async function restore(world: World): Promise<void> {
  const { db, sent, lost, backup, store } = world
  if (backup === undefined || world.isRestored) return
  for (const name of await statements(world)) lost.add(name)
  await restoreBackup(db, backup)
  world.isRestored = true
  sent.clear()
  const { meter } = await store.meters.current()
  // Older than a rotation: the operator rotates first.
  const { meterKey, rotation } = world
  if (meter !== undefined && meter !== meterKey.address) rotation.next ??= meterKey
  world.trace(() => '* the store is lost, and the copy restored')
}

/**
 * `flowmeter adopt`, which an operator runs where the daemon stops since others know more. What was
 * signed is forgotten once nothing of ours waits to be mined. Returns how it failed.
 */
export async function adoptNow(world: World, wiring: Wiring): Promise<unknown> {
  const { clock, evm, rotation } = world
  const isSignedForgotten = evm.pool.every(({ body }) => body.kind !== 'anchor')
  const error = await runCommand(world, wiring, 'adopt', (parts, signal) =>
    adopt({ ...parts, clock, isSignedForgotten }, ORDERED, signal),
  )
  const isExpected =
    error === undefined ||
    error instanceof Crash ||
    error instanceof RetryableError ||
    // A node that is behind; and what was signed may still be anchored.
    isCode(error, 'nothing_to_adopt') ||
    isCode(error, 'meter_second_digest') ||
    (rotation.next !== undefined && isCode(error, 'meter_revoked'))
  return isExpected ? undefined : error
}
