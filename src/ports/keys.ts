import type { Scope } from '../domain/access.js'
import type { AccountNumber } from '../domain/ids.js'
import type { KeyLimits } from '../domain/key-limits.js'
import type { Hold, HoldChange, HoldReason, KeyId } from '../domain/virtual-key.js'

/**
 * - `making`: saved, on its way to the gateway, its secret not handed over yet
 * - `wanted`: to be at the gateway, with these limits
 * - `deleted`: to be gone from there
 */
export type KeyState = 'making' | 'wanted' | 'deleted'

/** How far the gateway follows. `failed` comes with its reason, and is tried again. */
export type SyncStatus = 'pending' | 'synced' | 'failed'

/** What the gateway showed of a key when it was last asked. */
export interface SeenKey {
  readonly atMs: number
  readonly isBlocked: boolean
  /** Blocked by somebody else, such as the operator in LiteLLM: never lifted by Flowmeter. */
  readonly isForeignBlock: boolean
  /** As the gateway told it. */
  readonly spend: string
}

/** A key as it is wanted, and how far its gateway follows. Its secret is nowhere in here. */
export interface StoredKey {
  readonly id: KeyId
  /** The name of its gateway. */
  readonly gateway: string
  /** At the gateway; empty for an adopted key without one. */
  readonly alias: string
  readonly account: AccountNumber
  /** What its owner calls it. */
  readonly name: string
  readonly userId: string
  readonly limits: KeyLimits
  readonly state: KeyState
  /** The key whose place this one takes. */
  readonly replaces: KeyId | undefined
  /** Made by a customer: counts against how many they may have. */
  readonly isCustomers: boolean
  /** What a block of ours leaves on the key, and nobody else's: see sync-keys.ts. */
  readonly blockMark: string
  readonly createdAtMs: number
  readonly changedAtMs: number
  /** Counts up with every change of what is wanted, holds included. */
  readonly revision: number

  readonly syncStatus: SyncStatus
  /** Why it failed; absent unless it did. */
  readonly problem: string | undefined
  /** Tries in a row that failed. */
  readonly failures: number
  /** When it is looked at next; undefined: never again, as for one that is gone. */
  readonly nextTryAtMs: number | undefined
  readonly lastSyncedAtMs: number | undefined
  readonly seen: SeenKey | undefined
}

export type NewKey = Pick<
  StoredKey,
  | ('id' | 'gateway' | 'alias' | 'account' | 'name' | 'userId' | 'limits')
  | ('state' | 'replaces' | 'isCustomers' | 'blockMark')
> & {
  /** When the sync step looks at it for the first time. */
  readonly nextTryAtMs: number
}

/** What came of one look at the gateway. */
export type SyncOutcome =
  | {
      readonly status: 'synced'
      readonly seen: SeenKey | undefined
      readonly nextTryAtMs: number | undefined
    }
  | {
      readonly status: 'failed'
      readonly problem: string
      readonly seen: SeenKey | undefined
      readonly nextTryAtMs: number
    }

/** Keys as they are wanted. Rows stay when a key is deleted: its usage is still to be told apart. */
export interface Keys {
  /** @throws Error where its id or its alias is there: check first, in the same transaction */
  add(key: NewKey): Promise<void>
  get(id: KeyId): Promise<StoredKey | undefined>
  findByAlias(alias: string): Promise<StoredKey | undefined>
  /** Without deleted ones unless told; in order of their ids, from after one. */
  list(choice: KeyChoice): Promise<readonly StoredKey[]>
  /** The one of an account that has this name and is not deleted. */
  findNamed(account: AccountNumber, name: string): Promise<StoredKey | undefined>
  /**
   * Of these accounts, all that may open a model: the deleted ones too, until they are gone from
   * the gateway, and those that went since.
   */
  usable(accounts: readonly AccountNumber[], goneSinceMs: number): Promise<readonly StoredKey[]>
  /** Those with a key that is not deleted, or was deleted since an instant; in order, from after one. */
  accounts(
    after: AccountNumber | undefined,
    limit: number,
    deletedSinceMs?: number,
  ): Promise<readonly AccountNumber[]>
  /** How many keys of an account had this name so far: the next generation is one more. */
  generations(account: AccountNumber, name: string): Promise<number>
  /**
   * Keys that customers made for an account: those that stand, and those handed over that were deleted
   * since an instant without another in their place. So a key that is deleted and made again does not
   * start with a new budget.
   */
  customersSince(account: AccountNumber, sinceMs: number): Promise<number>
  /** How many keys were made for an account since, or were begun, whoever made them. */
  madeSince(account: AccountNumber, sinceMs: number): Promise<number>
  /**
   * Changes what is wanted: due at once, without failures. From `making` to `wanted` its secret is
   * handed over.
   */
  change(id: KeyId, change: Partial<Pick<StoredKey, 'limits' | 'state' | 'userId'>>): Promise<void>
  /** Has the gateway compared again at once. */
  touch(id: KeyId): Promise<void>
  /**
   * To be looked at now: changes first, then what failed before, then what is only compared again; oldest
   * first. So a block waits for nothing that has long been refused.
   */
  due(nowMs: number, limit: number): Promise<readonly StoredKey[]>
  /**
   * Keeps what came of a look at a revision. False, and the key stays due, where something else is
   * wanted meanwhile.
   */
  saveSync(id: KeyId, revision: number, outcome: SyncOutcome): Promise<boolean>
  /** Those whose newest try failed, longest first. */
  failing(accounts: Scope, limit: number): Promise<readonly StoredKey[]>
  counts(accounts: Scope): Promise<KeyCounts>
}

export interface KeyChoice {
  readonly accounts: Scope
  readonly withDeleted?: boolean
  readonly after?: KeyId | undefined
  readonly limit: number
}

export interface KeyCounts {
  /** Those that are not gone from the gateway. */
  readonly states: Readonly<Record<SyncStatus, number>>
  /** Blocked at the gateway, as last seen: by us and by others. */
  readonly blocked: number
  readonly foreignBlocked: number
  /** When the oldest that is pending or failed was changed. */
  readonly waitingSinceMs: number | undefined
}

/**
 * Why keys are blocked. A key is wanted blocked while at least one hold stands for it or for its
 * account. Whoever decides places and lifts; the sync step alone talks to the gateway, and finds a
 * change here by itself.
 */
export interface Holds {
  /**
   * Lets a hold stand. One of the same reason that stands already keeps its `sinceMs` and gets the
   * new text and end. True where the reason did not stand before.
   */
  place(hold: Omit<Hold, 'sinceMs'>): Promise<boolean>
  /** True where it stood. @param key of a hold on one key; undefined: that on the account */
  lift(account: AccountNumber, reason: HoldReason, key?: KeyId): Promise<boolean>
  /** Those that stand now for an account, its keys included. */
  of(account: AccountNumber): Promise<readonly Hold[]>
  /** All that stand now, by account, from after one. */
  accounts(after: AccountNumber | undefined, limit: number): Promise<readonly AccountNumber[]>
  /** How many accounts have a hold of a reason now. */
  counts(): Promise<Readonly<Partial<Record<HoldReason, number>>>>
  /** Takes away those that have come to their end, so that their keys are due; returns how many. */
  expire(limit: number): Promise<number>
  /** What began or ended and nobody took note of yet, oldest first. */
  changes(limit: number): Promise<readonly HoldChange[]>
  /** Up to a number, or before an instant: they were told, or are too old for that. */
  forgetChanges(which: { readonly upTo: number } | { readonly beforeMs: number }): Promise<void>
}
