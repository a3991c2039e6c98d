import type { Scope } from '../domain/access.js'
import type { AccountNumber } from '../domain/ids.js'
import { formatDollars } from '../domain/key-limits.js'
import type { Hold, KeyId } from '../domain/virtual-key.js'
import type { StoredKey } from '../ports/keys.js'
import type { Stores } from '../ports/stores.js'

/** A key as people and programs see it: nothing in it opens anything. */
export interface ShownKey {
  readonly id: string
  readonly alias: string
  readonly name: string
  readonly account: string
  readonly userId: string
  /** Dollars; null: none. */
  readonly maxBudget: string | null
  readonly budgetDuration: string | null
  readonly rpmLimit: number | null
  readonly tpmLimit: number | null
  /** None: every model. */
  readonly models: readonly string[]
  readonly state: StoredKey['state']
  readonly syncStatus: StoredKey['syncStatus']
  readonly problem: string | null
  readonly lastSyncedAt: string | null
  /** At the gateway, as last seen; null: not seen yet. */
  readonly isBlocked: boolean | null
  /** Whose block that is. */
  readonly blockedBy: 'flowmeter' | 'gateway' | null
  /** Why Flowmeter holds it; the gateway follows within a moment. */
  readonly holds: readonly {
    readonly reason: Hold['reason']
    readonly text: string
    readonly since: string
    readonly until: string | null
  }[]
  /** What the gateway believes was spent, in dollars: for display. */
  readonly spend: string | null
  readonly createdAt: string
  readonly replaces: string | null
}

export function shownKey(key: StoredKey, holdsOfAccount: readonly Hold[]): ShownKey {
  const { id, alias, name, userId, state, syncStatus, seen, limits } = key
  const { maxBudget, ...rates } = limits
  const holds = holdsOfAccount.filter((hold) => hold.key === undefined || hold.key === id)
  const blocker = seen?.isForeignBlock === true ? 'gateway' : 'flowmeter'
  return {
    ...{ id, alias, name, account: `${key.account}`, userId },
    maxBudget: maxBudget === null ? null : formatDollars(maxBudget),
    ...rates,
    ...{ state, syncStatus, problem: key.problem ?? null },
    lastSyncedAt: instant(key.lastSyncedAtMs),
    isBlocked: seen?.isBlocked ?? null,
    blockedBy: seen?.isBlocked === true ? blocker : null,
    holds: holds.map(({ reason, text, sinceMs, untilMs }) => ({
      ...{ reason, text },
      since: new Date(sinceMs).toISOString(),
      until: instant(untilMs),
    })),
    spend: seen?.spend ?? null,
    createdAt: new Date(key.createdAtMs).toISOString(),
    replaces: key.replaces ?? null,
  }
}

export interface KeysAsked {
  readonly accounts: Scope
  readonly after?: KeyId | undefined
  readonly limit: number
  readonly withDeleted?: boolean
}

/** In order of their ids; `next` is where to go on, null at the end. */
export async function shownKeys(
  asked: KeysAsked,
  { keys, holds }: Pick<Stores, 'keys' | 'holds'>,
): Promise<{ readonly items: readonly ShownKey[]; readonly next: string | null }> {
  const found = await keys.list({ ...asked, limit: asked.limit + 1 })
  const shown = found.slice(0, asked.limit)
  const byAccount = new Map<AccountNumber, readonly Hold[]>()
  for (const account of new Set(shown.map((key) => key.account))) {
    byAccount.set(account, await holds.of(account))
  }
  const items = shown.map((key) => shownKey(key, byAccount.get(key.account) ?? []))
  return { items, next: found.length > asked.limit ? (shown.at(-1)?.id ?? null) : null }
}

export interface ShownSync {
  readonly pending: number
  readonly synced: number
  readonly failed: number
  /** At the gateway, as last seen. */
  readonly blocked: number
  readonly foreignBlocked: number
  /** Of the oldest change that the gateway does not follow. */
  readonly waitingSince: string | null
  /** Some of those that fail, longest first. */
  readonly failing: readonly Pick<ShownKey, 'id' | 'alias' | 'account' | 'problem'>[]
}

const FAILING_SHOWN = 50

/** How far the gateway follows, for some accounts or all. */
export async function shownSync(
  accounts: Scope,
  { keys }: Pick<Stores, 'keys'>,
): Promise<ShownSync> {
  const { states, blocked, foreignBlocked, waitingSinceMs } = await keys.counts(accounts)
  const failing = await keys.failing(accounts, FAILING_SHOWN)
  return {
    ...{ ...states, blocked, foreignBlocked, waitingSince: instant(waitingSinceMs) },
    failing: failing.map(({ id, alias, account, problem }) => ({
      ...{ id, alias, account: `${account}`, problem: problem ?? null },
    })),
  }
}

function instant(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}
