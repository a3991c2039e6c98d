import { modelId } from '../../../src/domain/ids.js'
import { chargeInMillicredits, customerAccount, millicredits } from '../../../src/domain/ledger.js'
import { formatWad, type Wad, wad } from '../../../src/domain/money.js'
import { periodAt } from '../../../src/domain/period.js'
import type { Hold } from '../../../src/domain/virtual-key.js'
import type { AccountState } from '../../../src/ports/runways.js'
import { dueOf } from '../../../src/pricing/price.js'
import type { Call } from './proxies.js'
import type { SimAccount, SimKey, World } from './world.js'

/** How a schedule ended. `wrong` says what does not hold, a sentence each. */
export interface Verdict {
  readonly overspent: number
  readonly wronglyBlocked: number
  readonly wronglyUnblocked: number
  readonly ledgerDifference: bigint
  readonly wrong: readonly string[]
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const MINUTE_MS = 60_000
/** A key that failed is tried again after that, for some time after the fault. */
const KEY_RESTS_MS = 15_000
const AFTER_FAULT_MS = 60_000

/** What the product has said of an account, and when. */
interface Statement {
  readonly state: AccountState
  /** While keys are held for funds: what was said as the hold was placed. */
  readonly held:
    | {
        readonly exposure: bigint
        readonly aMinute: bigint
        readonly means: bigint
        readonly atMs: number
        /** When all keys were blocked at LiteLLM. */
        landedAtMs: number | undefined
      }
    | undefined
}

/** Compares what happened with what was said, by arithmetic of its own. */
export class Judge {
  readonly #world: World
  readonly #wrong = new Set<string>()
  #counts = { overspent: 0, wronglyBlocked: 0, wronglyUnblocked: 0 }
  readonly #said = new Map<bigint, Statement>()
  /** Since when something is so that should not last. */
  readonly #since = new Map<string, number>()
  /** When LiteLLM's routes of keys answered again. */
  mendedAtMs = 0
  /** Keys that an operator has blocked by hand, at LiteLLM. */
  readonly byHand = new Set<string>()

  constructor(world: World) {
    this.#world = world
  }

  /** After a look at all accounts. */
  async looked(): Promise<readonly AccountState[]> {
    const { store, accounts, nowMs } = this.#world
    const states = await store.runways.of(accounts.map(({ account }) => account))
    for (const one of accounts) {
      const state = states.find(({ account }) => account === one.account)
      if (state === undefined || state.atMs !== nowMs) continue
      const holds = await store.holds.of(one.account)
      const isHeld = holds.some(({ reason }) => reason === 'balance')
      const before = this.#said.get(one.account)?.held
      const { exposure = -1n } = state.runway
      const placed = {
        ...{ exposure, means: one.means, atMs: nowMs, landedAtMs: undefined },
        aMinute: state.worstAMinute ?? 0n,
      }
      this.#said.set(one.account, { state, held: isHeld ? (before ?? placed) : undefined })
    }
    this.spending()
    return states
  }

  /** After calls: what was used and cannot be paid is at most what was said. */
  spending(): void {
    for (const one of this.#world.accounts) {
      const said = this.#said.get(one.account)
      if (said === undefined) continue
      const spent = this.#due(one, this.#callsOf(one))
      const lost = spent - one.means
      const bounds = [this.#boundOf(said), ...this.#boundSinceHeld(one, said)]
      const broken = bounds.find(({ most }) => lost > most && lost > 0n)
      if (broken === undefined) continue
      this.#tell('overspent', one, `used ${text(lost)} more than it has; ${broken.said}`)
    }
  }

  #boundOf({ state }: Statement) {
    const { exposure = 0n } = state.runway
    const lateMs = Math.max(0, this.#world.nowMs - state.atMs - this.#world.settings.delays.lookMs)
    const more = (state.worstAMinute ?? 0n) * minutes(lateMs)
    return { most: exposure + more, said: `the exposure was ${text(exposure)} and ${text(more)}` }
  }

  /** However long it lasts: what was said as the hold was placed holds, if LiteLLM took the block. */
  #boundSinceHeld({ means }: SimAccount, { held }: Statement) {
    if (held === undefined) return []
    const { nowMs, settings } = this.#world
    const landedMs = (held.landedAtMs ?? nowMs) - held.atMs
    const more = held.aMinute * minutes(Math.max(0, landedMs - settings.delays.syncMs))
    const paid = means - held.means
    const said = `the exposure was ${text(held.exposure)} as it was held, and ${text(more)}`
    return [{ most: held.exposure + more - paid, said }]
  }

  /** After each tick: whose keys are blocked, and why. */
  async keys(canSync: boolean, canLook: boolean): Promise<void> {
    const { store, accounts } = this.#world
    for (const one of accounts) {
      const holds = await store.holds.of(one.account)
      for (const key of one.keys) {
        this.#lookAtBlock(one, key, holds, canSync && canLook)
        this.#lookAtOthers(one, key, canSync)
      }
      const said = this.#said.get(one.account)
      if (said?.held !== undefined && said.held.landedAtMs === undefined) {
        if (one.keys.every(({ secret }) => this.#isBlocked(secret))) {
          said.held.landedAtMs = this.#world.nowMs
        }
      }
    }
  }

  #lookAtBlock(one: SimAccount, key: SimKey, holds: readonly Hold[], canLift: boolean): void {
    const isOurs = this.#isBlocked(key.secret) && !this.byHand.has(key.secret)
    const isWrong = isOurs && canLift && !this.#isJustified(one)
    if (!this.#lasts(`blocked ${key.id}`, isWrong)) return
    const why = holds.map(({ reason, text: words }) => `${reason}: ${words}`).join('; ')
    this.#tell('wronglyBlocked', one, `a key is blocked with funds (${why})`)
  }

  /** Whether something has been so for longer than it takes until the daemon has mended it. */
  #lasts(name: string, isSo: boolean): boolean {
    const { nowMs, settings } = this.#world
    if (!isSo) {
      this.#since.delete(name)
      return false
    }
    const since = this.#since.get(name) ?? nowMs
    this.#since.set(name, since)
    const { lookMs, syncMs } = settings.delays
    const restMs = since - this.mendedAtMs < AFTER_FAULT_MS ? KEY_RESTS_MS : 0
    return nowMs - since > lookMs + 2 * syncMs + restMs
  }

  #isBlocked(secret: string): boolean {
    return this.#world.proxies.stored(secret)?.blocked === true
  }

  /** By what is known of usage, and by what people paid; not by what the product made of it. */
  #isJustified(one: SimAccount): boolean {
    if (one.isHeldByOperator) return true
    const known = this.#knownOf(one)
    return (
      this.#isDry(one, known) || this.#isOverQuota(one, known) || this.#isOverBudget(one, known)
    )
  }

  /** Before anything was said of an account, nothing is known. */
  #isDry(one: SimAccount, known: readonly Call[], isSure = false): boolean {
    const reserve = this.#said.get(one.account)?.state.runway.reserve
    if (reserve === undefined) return !isSure
    return one.means - this.#due(one, known) <= reserve
  }

  #isOverQuota({ plan }: SimAccount, known: readonly Call[]): boolean {
    const { settings, nowMs } = this.#world
    const quota = plan.tier === undefined ? undefined : settings.tiers.get(plan.tier)?.quota
    if (quota === undefined) return false
    const since = (ms: number) => known.filter(({ startedAtMs }) => startedAtMs >= ms)
    const ofDay = since(Math.floor(nowMs / DAY_MS) * DAY_MS)
    const tokens = ofDay.reduce((sum, call) => sum + call.tokens, 0)
    return (
      isAtLeast(since(Math.floor(nowMs / HOUR_MS) * HOUR_MS).length, quota.requestsAnHour) ||
      isAtLeast(ofDay.length, quota.requestsADay) ||
      isAtLeast(tokens, quota.tokensADay)
    )
  }

  #isOverBudget(one: SimAccount, known: readonly Call[]): boolean {
    const { budgetCents } = one.plan
    if (budgetCents === undefined) return false
    const dayMs = Math.floor(this.#world.nowMs / DAY_MS) * DAY_MS
    // What began before the day and was seen in it counts in it.
    const before = known.filter(({ startedAtMs }) => startedAtMs < dayMs - 10 * MINUTE_MS)
    const spent = this.#due(one, known) - this.#due(one, before)
    return spent >= BigInt(budgetCents) * 10n ** 16n
  }

  #lookAtOthers(one: SimAccount, key: SimKey, canSync: boolean): void {
    const isOpen = !this.#isBlocked(key.secret)
    if (this.byHand.has(key.secret) && isOpen) {
      this.#tell('wronglyUnblocked', one, 'a key works that the operator blocked by hand')
    }
    if (this.#lasts(`held ${key.id}`, one.isHeldByOperator && isOpen && canSync)) {
      this.#tell('wronglyUnblocked', one, 'a key works that the operator holds')
    }
    const isDry = isOpen && canSync && this.#isDry(one, this.#knownOf(one), true)
    if (this.#lasts(`dry ${key.id}`, isDry)) {
      this.#tell('overspent', one, 'a key works though nothing is left but the reserve')
    }
  }

  /** When everything has come to rest. */
  async verdict(): Promise<Verdict> {
    const { store, accounts, budgets } = this.#world
    for (const one of accounts) {
      const holds = await store.holds.of(one.account)
      for (const key of one.keys) {
        const isDry = holds.some(({ reason }) => reason === 'balance')
        if (isDry && !this.#isBlocked(key.secret)) {
          this.#tell('overspent', one, 'a key of a dry account works in the end')
        }
      }
    }
    let difference: bigint = await store.ledger.difference()
    for (const one of accounts.filter(({ plan }) => plan.isOnCredits)) {
      const charged = this.#byPeriod(this.#callsOf(one))
        .map((calls) => chargeInMillicredits(this.#price(calls)))
        .reduce((sum, amount) => sum + amount, 0n)
      const paid = one.means / 10n ** 12n
      const balance = await store.ledger.balance(customerAccount(one.account))
      const off = millicredits(paid - charged - balance)
      if (off !== 0n) this.#wrong.add(`account ${one.account}: its credits are off by ${off}`)
      difference += off < 0n ? -off : off
    }
    void budgets
    return { ...this.#counts, ledgerDifference: difference, wrong: [...this.#wrong] }
  }

  #callsOf({ account }: SimAccount): readonly Call[] {
    return this.#world.proxies.calls.filter(({ user }) => user === `${account}`)
  }

  #knownOf({ account }: SimAccount): readonly Call[] {
    return this.#world.known.filter(({ user }) => user === `${account}`)
  }

  #due(_one: SimAccount, calls: readonly Call[]): bigint {
    return this.#byPeriod(calls).reduce((sum, some) => sum + this.#price(some), 0n)
  }

  #byPeriod(calls: readonly Call[]): Call[][] {
    const { periodKind } = this.#world.schedule.plan
    const periods = new Map<number, Call[]>()
    for (const call of calls) {
      const { startsAt } = periodAt(call.startedAtMs, periodKind)
      periods.set(startsAt, [...(periods.get(startsAt) ?? []), call])
    }
    return [...periods.values()]
  }

  #price(calls: readonly Call[]): Wad {
    const sum = (isAnswer: boolean) =>
      calls.reduce((all, call) => (call.isAnswer === isAnswer ? all + call.tokens : all), 0)
    const row = {
      ...{ modelId: modelId(1), requests: BigInt(calls.length), cachedPromptTokens: 0n },
      ...{ promptTokens: BigInt(sum(false)), completionTokens: BigInt(sum(true)) },
    }
    return dueOf(this.#world.schedule.plan, [row])
  }

  /** Once for an account, whatever follows from it. */
  #tell(what: keyof typeof this.counts, { account }: SimAccount, words: string): void {
    const name = `${what} account ${account}`
    if ([...this.#wrong].some((line) => line.startsWith(name))) return
    this.#counts[what] += 1
    const at = new Date(this.#world.nowMs).toISOString()
    this.#wrong.add(`${name}: ${at} ${words}`)
  }

  get counts() {
    return this.#counts
  }
}

function minutes(ms: number): bigint {
  return BigInt(Math.ceil(ms / MINUTE_MS))
}

function isAtLeast(used: number, limit: bigint | null): boolean {
  return limit !== null && BigInt(used) >= limit
}

function text(amount: bigint): string {
  return formatWad(wad(amount))
}
