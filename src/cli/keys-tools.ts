import { loadConfig } from '../config.js'
import { ConfigError, TerminalError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import type { KeyLimits } from '../domain/key-limits.js'
import { isKeyId, type KeyId } from '../domain/virtual-key.js'
import { createKeyGateway } from '../gateways/index.js'
import { attributionSettings } from '../pipeline/attribution-settings.js'
import { budgetSettings } from '../pipeline/budget-settings.js'
import {
  adoptKey,
  blockKey,
  deleteKey,
  holdAccount,
  unblockKey,
  updateKey,
} from '../pipeline/change-key.js'
import { type KeysParts, knownKey } from '../pipeline/key-orders.js'
import { keysOf } from '../pipeline/key-worker.js'
import { createKey, type MadeKey, type NewKeyWish, rotateKey } from '../pipeline/make-key.js'
import type { Ordered } from '../pipeline/record-correction.js'
import {
  type ShownKey,
  type ShownSync,
  shownKey,
  shownKeys,
  shownSync,
} from '../pipeline/shown-keys.js'
import { syncKey } from '../pipeline/sync-keys.js'
import { unmanagedKeys } from '../pipeline/unmanaged-keys.js'
import type { GatewayKey } from '../ports/key-gateway.js'
import type { StoredKey } from '../ports/keys.js'
import { systemClock as clock } from '../runtime/clock.js'
import { withOpenedStore } from './stored.js'

/** What the operator can do with keys; named by their SHA-256 or their alias. */
export interface KeysTools {
  create(wish: NewKeyWish, ordered: Ordered): Promise<SecretKey>
  list(choice: ListChoice): AsyncIterable<ShownKey>
  show(named: string): Promise<ShownKey>
  update(named: string, wish: Partial<KeyLimits>, ordered: Ordered): Promise<ShownKey>
  rotate(named: string, ordered: Ordered): Promise<SecretKey>
  block(named: string, ordered: Ordered): Promise<ShownKey>
  unblock(named: string, ordered: Ordered): Promise<ShownKey>
  /** All keys of an account, also those to come; false where it is so already. */
  holdAccount(account: AccountNumber, isHeld: boolean, ordered: Ordered): Promise<boolean>
  delete(named: string, ordered: Ordered): Promise<ShownKey>
  adopt(named: string, account: AccountNumber, ordered: Ordered): Promise<ShownKey>
  /** Compares one key with LiteLLM now, or all of them. */
  sync(named: string | undefined): Promise<ShownSync>
  unmanaged(user: string | undefined): AsyncIterable<GatewayKey>
}

export interface SecretKey {
  readonly secret: string
  readonly key: ShownKey
}

export interface ListChoice {
  readonly account: AccountNumber | undefined
  readonly withDeleted: boolean
}

const KEYS_A_PAGE = 500

/** @throws ConfigError `no_budgets` where the settings manage no keys */
export function keysTools(
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
  signal: AbortSignal,
): KeysTools {
  const config = loadConfig(env, folder)
  const { budgets, sources, secretOf, databaseUrl, workerIntervalMs } = config
  if (budgets === undefined) {
    const how = 'add it, `{}` is enough, and put a LiteLLM key of the role proxy_admin'
    throw new ConfigError(
      'no_budgets',
      `flowmeter.config.json has no \`budgets\`: ${how} into BUDGETS_ADMIN_KEY.`,
    )
  }
  const withKeys = <Result>(work: (parts: KeysParts) => Promise<Result>): Promise<Result> =>
    withOpenedStore(databaseUrl, async (store) => {
      const gateway = await createKeyGateway(budgets, sources, secretOf)
      const terms = budgetSettings(budgets, workerIntervalMs)
      const attribution = attributionSettings(config)
      return work(keysOf({ store, gateway, clock, attribution, keys: budgets.keys, terms }))
    })
  const about = (named: string, work: (parts: KeysParts, id: KeyId) => Promise<StoredKey>) =>
    withKeys(async (parts) => {
      const { id } = await namedKey(named, parts)
      return shown(await work(parts, id), parts)
    })
  const secret = async ({ key, secret }: MadeKey, parts: KeysParts): Promise<SecretKey> => ({
    secret,
    key: await shown(key, parts),
  })
  const operator = (ordered: Ordered) => ({ ...ordered, isCustomer: false })

  return {
    create: (wish, ordered) =>
      withKeys(async (parts) =>
        secret(await createKey(parts, wish, operator(ordered), signal), parts),
      ),
    async *list({ account, withDeleted }) {
      const accounts = account === undefined ? 'all' : [account]
      for (let after: KeyId | undefined; ; ) {
        const asked = { accounts, withDeleted, after, limit: KEYS_A_PAGE } as const
        const { items, next } = await withKeys(({ store }) => shownKeys(asked, store))
        yield* items
        if (next === null) return
        after = next as KeyId
      }
    },
    show: (named) => withKeys(async (parts) => shown(await namedKey(named, parts, true), parts)),
    update: (named, wish, ordered) =>
      about(named, (parts, id) => updateKey(parts, { id, wish }, operator(ordered), signal)),
    rotate: (named, ordered) =>
      withKeys(async (parts) => {
        const { id } = await namedKey(named, parts)
        return secret(await rotateKey(parts, id, operator(ordered), signal), parts)
      }),
    block: (named, ordered) =>
      about(named, (parts, id) => blockKey(parts, id, operator(ordered), signal)),
    unblock: (named, ordered) =>
      about(named, (parts, id) => unblockKey(parts, id, operator(ordered), signal)),
    holdAccount: (account, isHeld, ordered) =>
      withKeys(({ store }) => holdAccount(store, account, isHeld, ordered)),
    delete: (named, ordered) =>
      about(named, (parts, id) => deleteKey(parts, id, operator(ordered), signal)),
    adopt: (named, account, ordered) =>
      withKeys(async (parts) =>
        shown(await adoptKey(parts, { named: nameOf(named), account }, ordered, signal), parts),
      ),
    sync: (named) =>
      withKeys(async (parts) => {
        if (named !== undefined) await syncOne(await namedKey(named, parts), parts, signal)
        else await syncAll(parts, signal)
        return shownSync('all', parts.store)
      }),
    async *unmanaged(user) {
      yield* await withKeys(async (parts) => {
        const found: GatewayKey[] = []
        for await (const key of unmanagedKeys(parts, user, signal)) found.push(key)
        return found
      })
    },
  }
}

async function syncAll(parts: KeysParts, signal: AbortSignal): Promise<void> {
  for (let after: KeyId | undefined; ; ) {
    const asked = { accounts: 'all', withDeleted: true, after, limit: KEYS_A_PAGE } as const
    const page = await parts.store.keys.list(asked)
    for (const key of page) {
      // What is gone from the gateway stays gone, and what is being made is its maker's.
      if (key.nextTryAtMs !== undefined && key.state !== 'making') {
        await syncOne(key, parts, signal)
      }
    }
    after = page.at(-1)?.id
    if (page.length < KEYS_A_PAGE) return
  }
}

function syncOne(key: StoredKey, parts: KeysParts, signal: AbortSignal): Promise<void> {
  return syncKey({ ...parts, stores: parts.store }, key, signal)
}

/** @throws TerminalError `no_key` */
async function namedKey(
  named: string,
  { store }: KeysParts,
  mayBeDeleted = false,
): Promise<StoredKey> {
  const name = nameOf(named)
  const key = isKeyId(name) ? await store.keys.get(name) : await store.keys.findByAlias(name)
  if (key === undefined) {
    throw new TerminalError('no_key', `there is no key ${name}: see flowmeter keys list`)
  }
  return mayBeDeleted ? key : knownKey(store, key.id)
}

/** Somebody may paste the key itself: it must not go into any message. */
function nameOf(named: string): string {
  if (!named.startsWith('sk-')) return named
  throw new TerminalError('bad_key', 'name the key by its alias or its id, not by the key itself')
}

async function shown(key: StoredKey, { store }: KeysParts): Promise<ShownKey> {
  return shownKey(key, await store.holds.of(key.account))
}
