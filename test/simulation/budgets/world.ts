import { createHash } from 'node:crypto'
import { Random } from '../../../devnet/litellm/random.js'
import { type AccountNumber, accountNumber } from '../../../src/domain/ids.js'
import type { KeyLimits } from '../../../src/domain/key-limits.js'
import { customerAccount, millicredits, transfer } from '../../../src/domain/ledger.js'
import { parseWad, type Wad } from '../../../src/domain/money.js'
import { NO_QUOTA, type Tier } from '../../../src/domain/quota.js'
import { type KeyId, keyIdOf } from '../../../src/domain/virtual-key.js'
import { LitellmGateway } from '../../../src/gateways/litellm/gateway.js'
import type { BudgetSettings } from '../../../src/pipeline/budget-settings.js'
import type { SyncKeysParts } from '../../../src/pipeline/sync-keys.js'
import type { Store } from '../../../src/ports/stores.js'
import { Breaker } from '../../../src/runtime/breaker.js'
import { BudgetWorld } from '../../support/budget-world.js'
import { type Call, Proxies } from './proxies.js'
import type { AccountPlan, Schedule } from './schedule.js'

export type Trace = (line: () => string) => void

export interface SimKey {
  readonly id: KeyId
  readonly secret: string
  readonly mark: string
}

export interface SimAccount {
  readonly account: AccountNumber
  readonly plan: AccountPlan
  readonly keys: readonly SimKey[]
  /** All that was ever paid in, in wad. */
  means: bigint
  /** Calls a tick of each key on each proxy, in thousandths, and whether they are as large as may be. */
  perMille: number
  isFull: boolean
  /** An operator said so, with `flowmeter keys block`. */
  isHeldByOperator: boolean
}

export const MODEL = 'gpt-4'
const TRIES_A_TICK = 4
/** Calls that are in hand while much else happens. */
const LONG_MS = [30_000, 59_000, 119_000]
const WAD_PER_CENT = 10n ** 16n
const UNITS_PER_CENT = 10n ** 6n
/** 1,000 credits are a dollar. */
const MILLICREDITS_PER_CENT = 10_000n
const POLL_MS = 10_000
const SETTLE_MS = 10_000
const LIMITS: KeyLimits = {
  ...{ maxBudget: null, budgetDuration: null, models: [] },
  ...{ rpmLimit: 4, tpmLimit: null },
}
const TIERS: readonly (readonly [string, Tier])[] = [
  ['free', tier(12n, 20n, 40_000n)],
  ['pro', tier(40n, null, 90_000n)],
]

function tier(requestsAnHour: bigint, requestsADay: bigint | null, tokensADay: bigint): Tier {
  const none = { byok: NO_QUOTA, rpmLimit: null, tpmLimit: null, models: [] }
  return { quota: { requestsAnHour, requestsADay, tokensADay }, ...none }
}

/** All that outlives the daemon: the time, LiteLLM, Flow, the store, and what people paid and used. */
export class World {
  readonly schedule: Schedule
  readonly random: Random
  readonly proxies: Proxies
  readonly budgets: BudgetWorld
  readonly store: Store
  readonly settings: BudgetSettings
  readonly accounts: SimAccount[] = []
  /** Calls whose rows were read, and whose account was found. */
  readonly known: Call[] = []
  readonly #fresh: Call[] = []
  readonly #read = new Set<string>()
  nowMs: number
  isSourceDown = false
  isAttributionDown = false
  isPriceMissing = false
  #readMs = 0
  #calls = 0

  constructor(schedule: Schedule, store: Store, clock: { now: () => number }) {
    this.schedule = schedule
    this.nowMs = schedule.startMs
    this.random = new Random(schedule.seed ^ 0xb0d9)
    this.proxies = new Proxies(schedule.proxies, this.random, () => this.nowMs)
    this.settings = {
      rules: { reserveMin: parseWad('0.02'), warnMs: 3_600_000, softMs: 600_000 },
      gateway: { proxies: BigInt(schedule.proxies), callTokens: 4_000n, callsAtOnce: 2n },
      delays: {
        ...{ lookMs: 20_000, syncMs: 10_000, keyCacheMs: 60_000 },
        ...{ callMs: 120_000, attestMs: 120_000 },
      },
      tiers: new Map(TIERS),
      defaultTier: undefined,
      byokModels: [],
    }
    this.store = store
    this.budgets = new BudgetWorld(store, clock, { plan: schedule.plan, settings: this.settings })
  }

  /** Vaults are opened, credits bought, keys made. */
  async begin(): Promise<void> {
    for (const [i, plan] of this.schedule.accounts.entries()) {
      const account = accountNumber(BigInt(7 + i))
      const keys = Array.from({ length: plan.keys }, (_, k) => keyNamed(`${account}/${k}`))
      const all = {
        account,
        plan,
        keys,
        means: 0n,
        perMille: 0,
        isFull: false,
        isHeldByOperator: false,
      }
      this.accounts.push(all)
      // The operator's own vault behind credits never runs dry.
      await this.budgets.openVault(account, plan.isOnCredits ? 10n ** 12n : 0n)
      if (plan.isOnCredits) await this.store.payments.openAccount(account)
      await this.pay(all, plan.cents)
      const { budgetTerms } = this.store
      if (plan.tier !== undefined) await budgetTerms.saveTier(account, plan.tier)
      if (plan.budgetCents !== undefined) {
        await budgetTerms.saveBudget(account, {
          ...{ hard: (BigInt(plan.budgetCents) * WAD_PER_CENT) as Wad, soft: undefined },
          ...{ currency: 'USD', days: 1, fromDay: Math.floor(this.nowMs / 86_400_000) },
        })
      }
      for (const key of keys) await this.#makeKey(account, key)
    }
  }

  async #makeKey(account: AccountNumber, { id, secret, mark }: SimKey): Promise<void> {
    const alias = `fm-${account}-${id.slice(0, 6)}`
    const userId = `vault_${account}`
    const limits = { ...LIMITS, tpmLimit: this.schedule.tpmLimit }
    const wish = { alias, userId, limits, blockMark: undefined, spend: undefined }
    await this.gateway().create(secret, wish, new AbortController().signal)
    await this.store.keys.add({
      ...{ id, alias, userId, limits, account, gateway: 'main', name: id.slice(0, 6) },
      ...{ state: 'wanted', replaces: undefined, isCustomers: false, blockMark: mark },
      nextTryAtMs: this.nowMs,
    })
  }

  /** A new process has a new one. */
  gateway(breaker = this.breaker()): LitellmGateway {
    return new LitellmGateway({
      ...{ name: 'main', apiUrl: 'http://litellm', adminKey: 'sk-admin', timeoutMs: 1_000 },
      ...{ transport: this.proxies.transport, breaker },
    })
  }

  breaker(): Breaker {
    return new Breaker(() => this.nowMs, 2)
  }

  syncParts(gateway: LitellmGateway): SyncKeysParts {
    return {
      ...{ stores: this.store, gateway, clock: { now: () => this.nowMs } },
      ...{ checkEveryMs: 300_000, whyNotCharged: async () => undefined },
    }
  }

  async pay(to: SimAccount, cents: number): Promise<void> {
    if (cents === 0) return
    to.means += BigInt(cents) * WAD_PER_CENT
    if (!to.plan.isOnCredits) {
      this.budgets.flow.deposit(to.account, BigInt(cents) * UNITS_PER_CENT)
      return
    }
    this.#calls += 1
    const fact = { id: `top_up/sim/${this.#calls}`, kind: 'top_up', atMs: this.nowMs, memo: 'sim' }
    const amount = millicredits(BigInt(cents) * MILLICREDITS_PER_CENT)
    const move = { from: 'sales', to: customerAccount(to.account), amount } as const
    await this.store.ledger.post(transfer({ ...fact, kind: 'top_up' }, move))
  }

  /** Time passes, and clients try their luck in it. Returns how many calls were let in. */
  call(ms: number): number {
    const before = this.proxies.calls.length
    for (let part = 0; part < TRIES_A_TICK; part += 1) {
      this.nowMs += ms / TRIES_A_TICK
      for (const one of this.accounts) this.#try(one)
    }
    return this.proxies.calls.length - before
  }

  #try({ keys, perMille, isFull, account }: SimAccount): void {
    const { random, proxies } = this
    for (const { secret } of keys) {
      for (let proxy = 0; proxy < proxies.count; proxy += 1) {
        if (random.next() * 1_000 >= perMille) continue
        this.#calls += 1
        const call = {
          ...{ id: `call ${this.#calls}`, secret, user: `${account}`, proxy, model: MODEL },
          tokens: isFull ? 4_000 : random.whole(1, 4_000),
          isAnswer: isFull || random.next() < 0.5,
        }
        // One that is in hand for long leaves room for short ones.
        const isLong = proxies.inHand(secret, proxy) === 0 && random.next() < 0.4
        const lastsMs = isLong ? random.pick(LONG_MS) : random.whole(200, 2_000)
        proxies.start(call, { lastsMs, atOnce: 2 })
      }
    }
  }

  /** Rows of calls that have ended; those that were in hand come with a later reading. */
  async collect(): Promise<void> {
    if (this.isSourceDown || this.nowMs - this.#readMs < POLL_MS) return
    this.#readMs = this.nowMs
    const untilMs = this.nowMs - SETTLE_MS
    const rows = this.proxies.calls.filter(
      ({ id, loggedAtMs, startedAtMs }) =>
        loggedAtMs <= this.nowMs && startedAtMs < untilMs && !this.#read.has(id),
    )
    for (const { id } of rows) this.#read.add(id)
    this.#fresh.push(...rows)
    await this.budgets.save(
      rows.map((call) => this.#record(call)[1]),
      untilMs,
    )
  }

  async attribute(): Promise<void> {
    if (this.isAttributionDown) return
    const rows = this.#fresh.splice(0)
    this.known.push(...rows)
    await this.budgets.attribute(rows.map((call) => this.#record(call)))
  }

  #record(call: Call) {
    const account = accountNumber(BigInt(call.user))
    const { tokens, startedAtMs, id, isAnswer } = call
    const record = this.budgets.record(account, { tokens, startedAtMs, id })
    const answered = { promptTokens: 0n, completionTokens: BigInt(tokens) }
    return [account, isAnswer ? { ...record, ...answered } : record] as const
  }
}

function keyNamed(name: string): SimKey {
  const secret = `sk-${createHash('sha256').update(name).digest('base64url')}`
  return { id: keyIdOf(secret), secret, mark: `mark of ${name}` }
}
