import { mappingVersion } from '../../../src/pipeline/attribute.js'
import { entriesToRestate } from '../../../src/pipeline/restate.js'
import { checkBounds } from './charge-bounds.js'
import { AS_IT_IS, ATTRIBUTION, Daemon, isIdentityError, type Wiring } from './daemon.js'
import { emptyDatabase } from './database.js'
import { checkChains, checkStore, type Invariant, SealedOnce, watchPayments } from './invariants.js'
import { judge, type Verdict } from './judge.js'
import { releaseStops, sendCorrections } from './operator.js'
import { approveHeld } from './owners.js'
import { Process } from './process.js'
import { adoptNow, backUp, restore } from './restore.js'
import { rotateNow } from './rotation.js'
import { type Schedule, scheduleOf } from './schedule.js'
import { makeTrouble } from './trouble.js'
import { openVault, type Trace, World } from './world.js'

/** How a schedule ended. */
export interface Outcome extends Verdict {
  readonly seed: number
  crashes: number
  stuck: number
  readonly batches: number
  /** What does not hold, a sentence each. */
  readonly wrong: readonly string[]
}

const MINUTE = 60_000
/** From calm on. Longest are a transaction that has to expire, missed rounds and a seal interval. */
const REST_MINUTES_MAX = 360
const TURNS_MAX = 60_000
/** What is still in a pool may land in it, and must not do anything. */
const AFTER_MINUTES = 15

/** What plants a bug: in the wiring of each process, or in the world around it. */
export interface Bug {
  readonly wiring?: (world: World) => Wiring
  readonly world?: (world: World) => void
  /** Without it, any schedule may show the bug. */
  readonly mayShow?: (schedule: Schedule) => boolean
}

export async function runSeed(seed: number, trace: Trace, bug: Bug = {}): Promise<Outcome> {
  const world = new World(scheduleOf(seed), await emptyDatabase(), trace)
  bug.world?.(world)
  const run = new Run(world, bug.wiring?.(world) ?? AS_IT_IS)
  return run.play()
}

export function isBad({ wrong, lost, doubled, overcharged, stuck }: Outcome): boolean {
  return wrong.length + lost + doubled + overcharged + stuck > 0
}

class Run {
  readonly #world: World
  readonly #wiring: Wiring
  readonly #wrong: string[] = []
  readonly #found: Record<string, number> = {}
  readonly #sealedOnce: SealedOnce
  readonly #crashPoints: number[]
  #daemon: Daemon
  #crashes = 0
  #turns = 0

  constructor(world: World, wiring: Wiring) {
    this.#world = world
    this.#wiring = wiring
    this.#sealedOnce = new SealedOnce(world)
    this.#crashPoints = [...world.schedule.crashes]
    this.#daemon = this.#boot()
    watchPayments(world, this.#note)
  }

  async play(): Promise<Outcome> {
    const world = this.#world
    const { schedule } = world
    while (world.nowMs < schedule.calmAtMs) await this.#move()
    await this.#restart()
    world.calm()
    await this.#mapEverybody()
    const stuck = (await this.#comeToRest()) ? 0 : 1
    for (let minutes = 0; minutes < AFTER_MINUTES; minutes += 5) {
      world.pass(5 * MINUTE)
      await this.#untilIdle()
    }
    await this.#daemon.kill()
    await this.#checkAlways()
    await checkStore(world, this.#note)
    await checkBounds(world, this.#note)
    const verdict = await judge(world, (what) => this.#wrong.push(what))
    for (const [name, count] of Object.entries(verdict.invariants)) {
      this.#found[name] = (this.#found[name] ?? 0) + count
    }
    return {
      ...verdict,
      seed: schedule.seed,
      crashes: this.#crashes,
      stuck,
      batches: (await world.store.batches.page(1n, 1_000)).length,
      invariants: this.#found,
      wrong: this.#wrong,
    }
  }

  readonly #note = (name: Invariant, what: string): void => {
    this.#found[name] = (this.#found[name] ?? 0) + 1
    this.#wrong.push(`${name}: ${what}`)
  }

  /** Everybody's next move: mostly ours, now and then the world's; its own when we wait. */
  async #move(): Promise<void> {
    const world = this.#world
    const { random, schedule } = world
    const isFree = !this.#daemon.process.isInTransaction
    if (isFree) await this.#copyOrLose()
    if (isFree && random.next() < 0.03) {
      world.pass(random.whole(1, 15) * 1_000)
      if (random.next() < schedule.troubleShare) await makeTrouble(world)
    } else if (!(await this.#turn())) {
      world.pass(this.#waitMs())
      if (random.next() < schedule.troubleShare) await makeTrouble(world)
    }
    if (this.#daemon.isGone) await this.#restart()
  }

  async #copyOrLose(): Promise<void> {
    const world = this.#world
    const { restore: plan } = world.schedule
    if (plan === undefined || world.isRestored || world.nowMs < plan.copiedAtMs) return
    if (world.backup === undefined) await backUp(world)
    if (world.nowMs < plan.lostAtMs) return
    await this.#daemon.kill()
    await this.#checkAlways()
    await restore(world)
    this.#sealedOnce.beginAnew()
    await this.#restart()
  }

  /** Until something is due, and often some more. */
  #waitMs(): number {
    const { random, nowMs } = this.#world
    const dueInMs = Math.max(1_000, Math.min(this.#daemon.nextDueMs - nowMs, 60_000))
    return random.next() < 0.1 ? random.whole(60, 400) * 1_000 : dueInMs + random.whole(0, 20_000)
  }

  async #turn(): Promise<boolean> {
    this.#turns += 1
    if (this.#turns > TURNS_MAX) throw new Error('it never comes to rest')
    return this.#daemon.turn()
  }

  /** The end of a process, of its own or not, and another one on the same store. */
  async #restart(): Promise<void> {
    const world = this.#world
    const { ended, process } = this.#daemon
    if (process.isCrashed) this.#crashes += 1
    // Revoked, ahead of us by a thief's batch, or given its next key too early: what has to stop it.
    const isRotating = world.rotation.next !== undefined
    const isStopped = ended !== undefined && isIdentityError(ended)
    if (ended !== undefined && !(isStopped && (isRotating || world.isRestored))) {
      const kind = isIdentityError(ended) ? 'identity_stops' : 'bugs'
      this.#note(kind, (ended.stack ?? ended.message).split('\n').slice(0, 4).join(' | '))
    }
    await this.#daemon.kill()
    world.trace(() => `! a new process, after ${process.points} points`)
    await this.#checkAlways()
    // Also in the calm: what waits to be mined is, while the daemon ends again and again.
    const isAgain = isStopped && world.isRestored
    if (!world.isCalm) world.pass(world.random.pick([1_000, 30_000, 30_000, 600_000]))
    else if (isAgain) world.pass(15_000)
    const failure = await rotateNow(world, this.#wiring)
    if (failure !== undefined) this.#note('bugs', `rotate-meter: ${String(failure)}`)
    if (isAgain) await this.#adopt()
    this.#daemon = this.#boot()
  }

  async #adopt(): Promise<void> {
    const failure = await adoptNow(this.#world, this.#wiring)
    if (failure !== undefined) this.#note('bugs', `adopt: ${String(failure)}`)
    this.#sealedOnce.beginAnew()
  }

  #boot(): Daemon {
    const world = this.#world
    const pointsLeft = world.isCalm ? undefined : this.#crashPoints.shift()
    return new Daemon(world, new Process(world.random, pointsLeft), this.#wiring)
  }

  async #checkAlways(): Promise<void> {
    await checkChains(this.#world, this.#note)
    await this.#sealedOnce.check(this.#note)
  }

  /** An operator gives every known payer an account, and the last vault is opened. */
  async #mapEverybody(): Promise<void> {
    const world = this.#world
    openVault(world, 11n)
    for (const payer of ['alice', 'bob']) {
      if (world.directory.has(payer)) continue
      world.directory.set(payer, new Set([7n]))
      await world.store.directory.set(payer, 7n as never)
    }
  }

  async #comeToRest(): Promise<boolean> {
    const world = this.#world
    const untilMs = world.nowMs + REST_MINUTES_MAX * MINUTE
    while (world.nowMs < untilMs) {
      await this.#untilIdle()
      await sendCorrections(world)
      await releaseStops(world)
      await approveHeld(world)
      if (await this.#isAtRest()) return true
      world.pass(30_000 + world.random.whole(0, 30_000))
    }
    const { states } = await world.store.batches.counts()
    this.#wrong.push(`stuck: ${JSON.stringify(states)}`)
    return false
  }

  async #untilIdle(): Promise<void> {
    while (await this.#turn()) {
      if (this.#daemon.isGone) await this.#restart()
    }
  }

  async #isAtRest(): Promise<boolean> {
    const { store, schedule, nowMs } = this.#world
    const { records, rejects } = await store.records.counts()
    if (records + rejects < schedule.rows.length) return false
    if (schedule.rows.some(({ visibleAtMs }) => visibleAtMs > nowMs)) return false
    const version = await mappingVersion({ ...store, settings: ATTRIBUTION })
    if (version === undefined) return false
    if ((await store.records.unattributed(version, 1)).length > 0) return false
    if ((await store.records.attributed(version, 1)).length > 0) return false
    const { states } = await store.batches.counts()
    const final = (states.settled ?? 0) + (states.superseded ?? 0) + (states.parked ?? 0)
    const all = Object.values(states).reduce((sum, count) => sum + count, 0)
    if ((await store.stops.open()).length > 0) return false
    if ((await store.batches.refused(100)).some(({ result }) => result === 'held')) return false
    if (final < all || (await store.corrections.pending()).length > 0) return false
    if ((await store.corrections.recountable(1)).length > 0) return false
    return (await entriesToRestate(store, nowMs)).length === 0
  }
}
