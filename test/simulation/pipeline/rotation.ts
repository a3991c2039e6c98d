import { ConfigError, RetryableError, TerminalError } from '../../../src/domain/errors.js'
import { rotateMeter } from '../../../src/pipeline/rotate-meter.js'
import { runCommand } from './command.js'
import type { Wiring } from './daemon.js'
import { ModelMeterKey } from './models/meter.js'
import { Crash } from './process.js'
import type { World } from './world.js'

const ORDERED = { reason: 'the key leaked', by: 'the operator' }
const ROTATIONS_MAX = 2

/** The key leaks, and the provider names another meter. From now on a thief has the old key. */
export function setNextMeter(world: World): boolean {
  const { flow, rotation } = world
  if (rotation.next !== undefined || rotation.count >= ROTATIONS_MAX) return false
  rotation.count += 1
  rotation.next = new ModelMeterKey(`ours ${rotation.count}`)
  flow.runAsStranger({ kind: 'setMeter', meter: rotation.next.address })
  // A copy: what the thief signs is not in the file beside our key.
  world.oldMeter = new ModelMeterKey(rotation.name)
  rotation.name = `ours ${rotation.count}`
  return true
}

/**
 * `flowmeter rotate-meter`, which may be killed at any point of it. Returns how it failed. The key is in
 * the settings from then on, whether the command got through or not.
 */
export async function rotateNow(world: World, wiring: Wiring): Promise<unknown> {
  const { rotation } = world
  if (rotation.next === undefined) return undefined
  world.meterKey = rotation.next
  const error = await runCommand(world, wiring, 'rotate-meter', (parts, signal) =>
    rotateMeter(parts, ORDERED, signal),
  )
  if (error === undefined || isCode(error, 'same_meter')) {
    rotation.next = undefined
    return undefined
  }
  // A node that is behind has the old meter still.
  const isExpected =
    error instanceof Crash || error instanceof RetryableError || isCode(error, 'meter_not_set')
  return isExpected ? undefined : error
}

export function isCode(error: unknown, code: string): boolean {
  return (error instanceof TerminalError || error instanceof ConfigError) && error.code === code
}
