import { RetryableError } from '../../../src/domain/errors.js'
import { parseWad } from '../../../src/domain/money.js'
import type { LitellmGateway } from '../../../src/gateways/litellm/gateway.js'
import { chargeCreditsNext } from '../../../src/pipeline/charge-credits.js'
import { syncKeysNext } from '../../../src/pipeline/sync-keys.js'
import type { Store } from '../../../src/ports/stores.js'
import type { Breaker } from '../../../src/runtime/breaker.js'
import { sqlStore } from '../../../src/store/store.js'
import { Crash, CrashPlan } from '../../support/crash-plan.js'
import { emptyDatabase } from '../pipeline/database.js'
import { Judge, type Verdict } from './judge.js'
import { type Happening, scheduleOf, TICK_MS } from './schedule.js'
import { attack } from './stragglers.js'
import { type SimAccount, type Trace, World } from './world.js'

export interface Outcome extends Verdict {
  readonly seed: number
  readonly calls: number
  /** How often keys were held for lack of funds. */
  readonly blocks: number
}

const SEAL_MS = 60_000
const SETTLE_MS = 45_000
const CHARGE_MS = 30_000
const REST_TICKS = 30
const REST_TICK_MS = 15_000
const MINUTE_MS = 60_000
/** Of a seed, besides its schedule. */
const ATTACKS = 10
const { signal } = new AbortController()

/** Plays one schedule to its end. */
export async function runSeed(seed: number, trace: Trace): Promise<Outcome> {
  const schedule = scheduleOf(seed)
  const clock = { now: () => world.nowMs }
  const store = sqlStore(await emptyDatabase(), clock)
  const world: World = new World(schedule, store, clock)
  await world.begin()
  const outcome = await new Run(world, trace).play()
  const broken = brokenExposures(seed)
  return {
    ...outcome,
    overspent: outcome.overspent + broken.length,
    wrong: [...outcome.wrong, ...broken],
  }
}

/** The worst that a client can do is within what is said of it. */
function brokenExposures(seed: number): string[] {
  return Array.from({ length: ATTACKS }, (_, i) => attack(seed * ATTACKS + i)).flatMap(
    ({ used, worst }) =>
      BigInt(used) > worst
        ? [`an attack used ${used} tokens, and ${worst} were the worst case`]
        : [],
  )
}

class Run {
  readonly #world: World
  readonly #judge: Judge
  readonly #trace: Trace
  #breaker: Breaker
  #gateway: LitellmGateway
  #plan = new CrashPlan()
  #downUntilMs = 0
  #lookedAtMs = 0
  #sealedAtMs = 0
  #settleAtMs: number | undefined
  #chargedAtMs = 0
  #blocks = 0
  readonly #ends = new Map<string, number>()

  constructor(world: World, trace: Trace) {
    this.#world = world
    this.#trace = trace
    this.#judge = new Judge(world)
    this.#breaker = world.breaker()
    this.#gateway = world.gateway(this.#breaker)
  }

  async play(): Promise<Outcome> {
    const { schedule, proxies } = this.#world
    for (let tick = 0; tick < schedule.ticks; tick += 1) {
      for (const one of schedule.happenings.get(tick) ?? []) await this.#happen(one)
      await this.#tick()
    }
    this.#calm()
    // The last call ends, is read, sealed and charged, and charged to credits.
    for (let tick = 0; tick < REST_TICKS; tick += 1) await this.#tick(REST_TICK_MS)
    const verdict = await this.#judge.verdict()
    const { seed } = schedule
    return { seed, calls: proxies.calls.length, blocks: this.#blocks, ...verdict }
  }

  async #tick(ms = TICK_MS): Promise<void> {
    const world = this.#world
    const begun = world.call(ms)
    await this.#endFaults()
    if (begun > 0) this.#trace(() => `${this.#at} ${begun} calls`)
    this.#judge.spending()
    await this.#settle()
    if (world.nowMs >= this.#downUntilMs) await this.#work()
    const canSync = world.proxies.fault === 'none' && !this.#breaker.isOpen
    const canLook = !world.budgets.flow.isDown && !world.isPriceMissing
    const isUp = world.nowMs >= this.#downUntilMs
    await this.#judge.keys(isUp && canSync, isUp && canLook)
  }

  /** The daemon's workers that are due. */
  async #work(): Promise<void> {
    const world = this.#world
    try {
      await world.collect()
      await world.attribute()
      // A hold waits for the next tick, as long as it may.
      await this.#sync()
      if (world.nowMs - this.#lookedAtMs >= world.settings.delays.lookMs) await this.#look()
      await this.#charge()
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      this.#trace(() => `${this.#at} the daemon dies ${error.message}`)
      this.#restart()
    }
  }

  async #charge(): Promise<void> {
    const { nowMs } = this.#world
    if (nowMs - this.#chargedAtMs < CHARGE_MS) return
    this.#chargedAtMs = nowMs
    await chargeCreditsNext({ store: this.#store, clock: { now: () => nowMs } })
  }

  /** With the point at which this process ends. */
  get #store(): Store {
    return this.#plan.watch(this.#world.store)
  }

  #restart(): void {
    const world = this.#world
    world.budgets.restart()
    this.#plan = new CrashPlan()
    this.#breaker = world.breaker()
    this.#gateway = world.gateway(this.#breaker)
    this.#lookedAtMs = 0
  }

  async #look(): Promise<void> {
    const { budgets } = this.#world
    this.#lookedAtMs = this.#world.nowMs
    await budgets.look({
      store: this.#store,
      settler: this.#plan.watch(budgets.flow),
      onMoves: (account, { placed, lifted }) => {
        this.#blocks += placed.filter(({ reason }) => reason === 'balance').length
        const words = placed.map(({ reason, text }) => `+${reason} ${text}`)
        const ended = lifted.map(({ reason }) => `-${reason}`)
        this.#trace(() => `${this.#at} account ${account}: ${[...words, ...ended].join('; ')}`)
      },
    })
    const states = await this.#judge.looked()
    for (const { account, runway, problem } of states) {
      const { available, reserve, exposure } = runway
      const money = [available, reserve, exposure ?? -1n].map((one) => Number(one) / 1e18)
      this.#trace(() => `${this.#at}   ${account}: ${money.join(' ')} ${problem ?? ''}`)
    }
  }

  async #sync(): Promise<void> {
    const parts = this.#world.syncParts(this.#plan.watch(this.#gateway))
    const stores = this.#store
    try {
      for (let steps = 0; steps < 5; steps += 1) {
        if ((await syncKeysNext({ ...parts, stores }, signal)) === 'idle') return
      }
    } catch (error) {
      if (!(error instanceof RetryableError)) throw error
      this.#trace(() => `${this.#at} keys: ${error.code}`)
    }
  }

  /** What other steps do, between two looks. */
  async #settle(): Promise<void> {
    const { budgets, nowMs } = this.#world
    if (nowMs < this.#downUntilMs || budgets.flow.isDown) return
    if (this.#settleAtMs !== undefined) {
      if (nowMs < this.#settleAtMs) return
      this.#settleAtMs = undefined
      const isSeen = this.#world.random.next() < 0.7
      await budgets.settle(isSeen)
      if (!isSeen) this.#settleAtMs = nowMs + TICK_MS
    } else if (nowMs - this.#sealedAtMs >= SEAL_MS) {
      this.#sealedAtMs = nowMs
      await budgets.seal()
      this.#settleAtMs = nowMs + SETTLE_MS
    }
  }

  async #happen(one: Happening): Promise<void> {
    const world = this.#world
    this.#trace(() => `${this.#at} ${JSON.stringify(one)}`)
    switch (one.kind) {
      case 'pace': {
        const account = this.#account(one.account)
        account.perMille = one.perMille
        account.isFull = one.isFull
        return
      }
      case 'deposit':
        return world.pay(this.#account(one.account), one.cents)
      case 'operator':
        return this.#operate(this.#account(one.account), one.how)
      case 'keys':
        world.proxies.fault = one.fault
        this.#ends.set('keys', world.nowMs + one.ticks * TICK_MS)
        return
      case 'crash':
        this.#plan = new CrashPlan(one.at)
        if (one.downTicks > 0) {
          this.#restart()
          this.#downUntilMs = world.nowMs + one.downTicks * TICK_MS
        }
        return
      case 'pause':
        return this.#pause(one.minutes)
      default:
        await this.#set(one.kind, true)
        this.#ends.set(one.kind, world.nowMs + one.ticks * TICK_MS)
    }
  }

  async #operate(
    one: SimAccount,
    how: Extract<Happening, { kind: 'operator' }>['how'],
  ): Promise<void> {
    const { store, proxies } = this.#world
    const { account, keys } = one
    const [key] = keys
    if (how === 'hold') one.isHeldByOperator = true
    if (how === 'release') one.isHeldByOperator = false
    if (key === undefined) return
    const hold = { account, reason: 'operator', key: undefined } as const
    if (how === 'hold') await store.holds.place({ ...hold, text: 'sim', untilMs: undefined })
    if (how === 'release') await store.holds.lift(account, 'operator')
    const isBlocked = proxies.stored(key.secret)?.blocked === true
    // One who blocks by hand what is blocked leaves no trace there: see sync-keys.ts.
    if (how === 'block by hand' && !isBlocked) {
      proxies.byHand('/key/block', key.secret)
      this.#judge.byHand.add(key.secret)
    }
    if (how === 'unblock by hand' && this.#judge.byHand.delete(key.secret)) {
      proxies.byHand('/key/unblock', key.secret)
    }
  }

  /** The daemon goes on, and nobody calls. */
  async #pause(minutes: number): Promise<void> {
    const world = this.#world
    const paces = world.accounts.map(({ perMille }) => perMille)
    for (const one of world.accounts) one.perMille = 0
    // Until everything that was in hand is known, and in larger steps then.
    for (let ticks = 0; ticks < 8; ticks += 1) await this.#tick()
    world.nowMs += minutes * MINUTE_MS
    for (let ticks = 0; ticks < 4; ticks += 1) await this.#tick()
    for (const [i, one] of world.accounts.entries()) one.perMille = paces[i] ?? 0
  }

  async #set(kind: 'flow' | 'source' | 'attribution' | 'price', isDown: boolean): Promise<void> {
    const world = this.#world
    if (kind === 'flow') world.budgets.flow.isDown = isDown
    if (kind === 'source') world.isSourceDown = isDown
    if (kind === 'attribution') world.isAttributionDown = isDown
    if (kind !== 'price') return
    world.isPriceMissing = isDown
    const price = isDown ? undefined : parseWad('1')
    await world.store.watch.savePrices([{ token: 'T', currency: 'USD', price }])
  }

  async #endFaults(): Promise<void> {
    const world = this.#world
    for (const [kind, atMs] of [...this.#ends]) {
      if (world.nowMs < atMs) continue
      this.#ends.delete(kind)
      if (kind === 'keys') this.#mendKeys()
      else await this.#set(kind as 'flow', false)
    }
  }

  #mendKeys(): void {
    this.#world.proxies.fault = 'none'
    this.#judge.mendedAtMs = this.#world.nowMs
  }

  #calm(): void {
    const world = this.#world
    for (const one of world.accounts) one.perMille = 0
    for (const kind of this.#ends.keys()) this.#ends.set(kind, 0)
    this.#downUntilMs = 0
    this.#plan = new CrashPlan()
  }

  #account(index: number): SimAccount {
    const found = this.#world.accounts[index]
    if (found === undefined) throw new Error(`no account ${index}`)
    return found
  }

  get #at(): string {
    return new Date(this.#world.nowMs).toISOString().slice(11, 19)
  }
}
