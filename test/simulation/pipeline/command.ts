import { sqlStore } from '../../../src/store/store.js'
import type { Wiring } from './daemon.js'
import { Process } from './process.js'
import type { World } from './world.js'

/** How far a command gets where it is killed. */
const POINTS_MAX = 60

export type CommandParts = Pick<World, 'store'> & ReturnType<World['ports']>

/**
 * A command of an operator, while no daemon runs. It may be killed at any point of it. Returns what it
 * failed with; undefined when it got through.
 */
export async function runCommand(
  world: World,
  wiring: Wiring,
  name: string,
  work: (parts: CommandParts, signal: AbortSignal) => Promise<unknown>,
): Promise<unknown> {
  const { db, clock, random } = world
  const isKilled = !world.isCalm && random.next() < 0.5
  const process = new Process(random, isKilled ? random.whole(0, POINTS_MAX) : undefined)
  const ports = wiring.ports(world.ports())
  const store = process.watch(sqlStore(db.withPlugin(process), clock), name, true)
  const parts = {
    store: wiring.store(store, name),
    attestor: process.watch(ports.attestor, name),
    settler: process.watch(ports.settler, name),
    meterKey: process.watch(ports.meterKey, name),
    sources: ports.sources,
  }
  let result: { readonly error: unknown } | undefined
  work(parts, process.signal).then(
    () => {
      result = { error: undefined }
    },
    (error: unknown) => {
      result = { error }
    },
  )
  while (result === undefined) {
    const done = process.next()
    if (done !== undefined) world.trace(() => `    ${done}`)
    await process.settle()
  }
  await process.kill()
  const { error } = result
  world.trace(() => `! ${name}: ${error === undefined ? 'done' : String(error)}`)
  return error
}
