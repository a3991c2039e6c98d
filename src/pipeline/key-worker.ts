import type { KeyLimits } from '../domain/key-limits.js'
import type { Clock } from '../ports/clock.js'
import type { KeyGateway } from '../ports/key-gateway.js'
import type { Store } from '../ports/stores.js'
import { Bell } from '../runtime/bell.js'
import type { Logger } from '../runtime/log.js'
import type { Worker } from '../runtime/worker.js'
import { tierOf } from './account-state.js'
import type { AttributeSettings } from './attribute.js'
import type { BudgetSettings } from './budget-settings.js'
import { limitsUnder } from './key-ceilings.js'
import type { KeysParts } from './key-orders.js'
import { whyNotCharged } from './key-owner.js'
import { syncKeysNext } from './sync-keys.js'

/** As `budgets.keys` of flowmeter.config.json says it. */
export interface KeySettings extends KeyLimits {
  readonly perCustomer: number
  readonly checkEveryMs: number
}

export interface KeysOfParts {
  readonly store: Store
  readonly gateway: KeyGateway
  readonly clock: Clock
  readonly attribution: AttributeSettings
  readonly keys: KeySettings
  readonly terms: Pick<BudgetSettings, 'tiers' | 'defaultTier'>
  readonly log?: Logger
}

/** All that orders about keys and the worker that carries them out are made of. */
export function keysOf(parts: KeysOfParts): KeysParts {
  const { store, gateway, clock, attribution, keys, terms, log } = parts
  const { perCustomer, checkEveryMs, ...limits } = keys
  return {
    ...{ store, gateway, clock, perCustomer, checkEveryMs },
    whyNotCharged: (key) => whyNotCharged(key, { ...store, settings: attribution }),
    async ceiling(account) {
      const tier = tierOf({ tier: await store.budgetTerms.tier(account) }, terms)
      return limitsUnder(limits, tier, await store.budgetTerms.budget(account))
    },
    tell: ({ id, alias, account }, what) =>
      log?.warn({ key: id, alias, account: `${account}` }, what),
  }
}

/** Makes the gateway follow. Its first step looks whether the admin key may do that at all. */
export function keyWorker({ store, ...parts }: KeysParts, idleMs: number): Worker {
  let isChecked = false
  return {
    name: 'keys',
    async step(signal) {
      if (!isChecked) await parts.gateway.check(signal)
      isChecked = true
      return syncKeysNext({ ...parts, stores: store }, signal)
    },
    idleMs,
    bell: new Bell(),
  }
}
