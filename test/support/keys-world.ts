import { expect } from 'vitest'
import { type FaultProxy, startFaultProxy } from '../../devnet/fault-proxy.js'
import { type Litellm, startLitellm } from '../../devnet/litellm/index.js'
import type { AccountNumber } from '../../src/domain/ids.js'
import type { KeyLimits } from '../../src/domain/key-limits.js'
import type { KeyId } from '../../src/domain/virtual-key.js'
import { FAILURES_TOLERATED, LitellmGateway } from '../../src/gateways/litellm/gateway.js'
import { createMapping, mappingConfig } from '../../src/mapping/index.js'
import { attributionSettings } from '../../src/pipeline/attribution-settings.js'
import type { KeyOrder, KeysParts } from '../../src/pipeline/key-orders.js'
import { whyNotCharged } from '../../src/pipeline/key-owner.js'
import { createKey, type MadeKey, type NewKeyWish } from '../../src/pipeline/make-key.js'
import { syncKeysNext } from '../../src/pipeline/sync-keys.js'
import type { StoredKey } from '../../src/ports/keys.js'
import type { Store } from '../../src/ports/stores.js'
import { Breaker } from '../../src/runtime/breaker.js'
import type { CrashPlan } from './crash-plan.js'
import { ALICE, DEFAULT_LIMITS } from './keys.js'
import { ManualClock } from './manual-clock.js'
import { StoreFile } from './store-file.js'
import { EVENING_MS } from './usage.js'

export const OPERATOR: KeyOrder = { by: 'ops', reason: 'asked for', isCustomer: false }
export const CUSTOMER: KeyOrder = { by: 'token fm_1', reason: 'over HTTP', isCustomer: true }
export const MINUTE_MS = 60_000
const STEPS_MAX = 100

/** A LiteLLM over HTTP behind a proxy that may lose things, and a store: all that keys live on. */
export class KeysWorld {
  readonly clock = new ManualClock(EVENING_MS)
  readonly file = new StoreFile(this.clock)
  /** What the worker would have logged. */
  readonly told: string[] = []
  litellm!: Litellm
  proxy!: FaultProxy
  store!: Store
  ceiling: KeyLimits = DEFAULT_LIMITS
  perCustomer = 3
  /** A step that waits goes on here at once; false: the LiteLLM that is down stays down. */
  readonly signal = new AbortController().signal

  static async start(): Promise<KeysWorld> {
    const world = new KeysWorld()
    world.litellm = await startLitellm({ nowMs: () => world.clock.now() })
    world.proxy = await startFaultProxy(world.litellm.url)
    world.store = await world.file.open()
    return world
  }

  async stop(): Promise<void> {
    await this.proxy.stop()
    await this.litellm.stop()
    await this.file.remove()
  }

  /** @param plan ends the daemon at one of its points */
  parts(plan?: CrashPlan): KeysParts {
    const { store, clock } = this
    const gateway = new LitellmGateway({
      name: 'main',
      apiUrl: this.proxy.url,
      adminKey: this.litellm.masterKey,
      timeoutMs: 60_000,
      breaker: new Breaker(() => clock.now(), FAILURES_TOLERATED),
    })
    const settings = attributionSettings({
      mapping: mappingConfig.parse({}),
      modelAliases: {},
      holdUnknownModels: false,
    })
    const map = { ...settings, map: createMapping(mappingConfig.parse({})) }
    return {
      store: plan === undefined ? store : plan.watch(store),
      gateway: plan === undefined ? gateway : plan.watch(gateway),
      clock,
      checkEveryMs: 5 * MINUTE_MS,
      whyNotCharged: (key) => whyNotCharged(key, { ...store, settings: map }),
      tell: ({ alias }, what) => this.told.push(`${alias}: ${what}`),
      // Asks the store, as the daemon's does.
      ceiling: async (account) =>
        (await store.budgetTerms.tier(account)) === undefined ? this.ceiling : DEFAULT_LIMITS,
      perCustomer: this.perCustomer,
    }
  }

  create(name: string, more: Partial<NewKeyWish & { order: KeyOrder }> = {}): Promise<MadeKey> {
    const { account = ALICE, order = OPERATOR, limits = {}, userId = `vault_${account}` } = more
    return createKey(this.parts(), { account, name, userId, limits }, order, this.signal)
  }

  /** Steps until nothing is due now. */
  async sync(plan?: CrashPlan): Promise<void> {
    const { store: stores, ...rest } = this.parts(plan)
    for (let steps = 0; steps < STEPS_MAX; steps += 1) {
      if ((await syncKeysNext({ ...rest, stores }, this.signal)) === 'idle') return
    }
    throw new Error('the sync step never comes to rest')
  }

  async key(id: KeyId): Promise<StoredKey> {
    const key = await this.store.keys.get(id)
    if (key === undefined) throw new Error(`there is no key ${id}`)
    return key
  }

  /** As operators do it in LiteLLM itself. */
  async byHand(path: string, body?: object): Promise<Record<string, unknown>> {
    const answer = await fetch(new URL(path, this.litellm.url), {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${this.litellm.masterKey}`,
        'content-type': 'application/json',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return (await answer.json()) as Record<string, unknown>
  }

  async info(id: KeyId): Promise<Record<string, unknown>> {
    return (await this.byHand(`/key/info?key=${id}`)).info as Record<string, unknown>
  }

  async isBlocked(id: KeyId): Promise<boolean> {
    return (await this.info(id)).blocked === true
  }

  /** Ids of all keys in LiteLLM. */
  async idsThere(): Promise<string[]> {
    const { keys } = await this.byHand('/key/list?size=100')
    return keys as string[]
  }

  /** Uses a key as its owner does. */
  async call(secret: string): Promise<number> {
    const answer = await fetch(new URL('/v1/chat/completions', this.litellm.url), {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-4o', messages: [] }),
    })
    await answer.body?.cancel()
    return answer.status
  }

  hold(text = 'dry', account: AccountNumber = ALICE): Promise<boolean> {
    const hold = { account, key: undefined, reason: 'balance', untilMs: undefined } as const
    return this.store.holds.place({ ...hold, text })
  }

  async log(): Promise<readonly { verb: string; arguments: Readonly<Record<string, string>> }[]> {
    return this.store.operatorLog.entries(1, 100)
  }

  /** The next requests to a path go wrong, and then it is as before. */
  fault(path: string, kind: 'lostRequest' | 'lostAnswer', times = 1): void {
    let left = times
    this.proxy.faultOf = (request) => {
      if (left === 0 || !request.path.startsWith(path)) return undefined
      left -= 1
      return { kind }
    }
  }

  down(): void {
    this.proxy.faultOf = () => ({ kind: 'lostRequest' })
  }

  up(): void {
    this.proxy.faultOf = () => undefined
  }
}

/** What an order is refused for. */
export async function refusalOf(order: Promise<unknown>): Promise<string> {
  const error = await order.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(Error)
  return (error as { code?: string }).code ?? `${error}`
}
