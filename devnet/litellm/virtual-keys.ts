import { createHash } from 'node:crypto'

/** One virtual key, under the names that LiteLLM's answers have. Money is in dollars, a float. */
export interface VirtualKey {
  /** sha256 of the key in hex: what every answer but that of its making calls it. */
  readonly token: string
  readonly key_name: string
  readonly key_alias: string | null
  readonly user_id: string | null
  readonly team_id: string | null
  readonly models: readonly string[]
  readonly spend: number
  readonly max_budget: number | null
  readonly soft_budget: number | null
  readonly budget_duration: string | null
  readonly budget_reset_at: string | null
  readonly budget_id: string | null
  readonly rpm_limit: number | null
  readonly tpm_limit: number | null
  readonly max_parallel_requests: number | null
  /** Null on a key that was never blocked. */
  readonly blocked: boolean | null
  readonly expires: string | null
  readonly key_type: string
  readonly metadata: Readonly<Record<string, unknown>>
  readonly created_at: string
  readonly updated_at: string
}

/** One user. A user without a budget has `max_budget: null`. */
export interface KeyOwner {
  readonly user_id: string
  readonly user_role: string
  readonly user_alias: string | null
  readonly spend: number
  readonly max_budget: number | null
  readonly budget_duration: string | null
  readonly rpm_limit: number | null
  readonly tpm_limit: number | null
  readonly models: readonly string[]
  readonly metadata: Readonly<Record<string, unknown>>
}

/** A named budget that keys can share. */
export interface NamedBudget {
  readonly budget_id: string
  readonly max_budget: number | null
  readonly soft_budget: number | null
  readonly tpm_limit: number | null
  readonly rpm_limit: number | null
  readonly max_parallel_requests: number | null
  readonly budget_duration: string | null
}

/** How long a proxy goes by the key object that it has in memory. Measured: 59 to 60 s. */
export const KEY_CACHE_MS = 60_000

/**
 * Keys, users and budgets as the database has them, and as each proxy that stands on it has them in
 * memory: one that was not asked goes on serving a key that another one blocked, for a minute.
 */
export class VirtualKeys {
  readonly #keys = new Map<string, VirtualKey>()
  readonly #caches = new Map<number, Map<string, { key: VirtualKey; untilMs: number }>>()
  readonly users = new Map<string, KeyOwner>()
  readonly budgets = new Map<string, NamedBudget>()

  put(key: VirtualKey): void {
    this.#keys.set(key.token, key)
  }

  /** As the database has it. */
  stored(token: string): VirtualKey | undefined {
    return this.#keys.get(token)
  }

  all(): VirtualKey[] {
    return [...this.#keys.values()]
  }

  /** The deleted ones are served for as long as a memory has them, too. */
  delete(token: string): boolean {
    return this.#keys.delete(token)
  }

  /** As a proxy sees it that is asked for a model with it: from memory for up to a minute. */
  cached(token: string, replica: number, nowMs: number): VirtualKey | undefined {
    const cache = this.#cacheOf(replica)
    const known = cache.get(token)
    if (known !== undefined && nowMs < known.untilMs) return known.key
    const key = this.#keys.get(token)
    if (key === undefined) cache.delete(token)
    else cache.set(token, { key, untilMs: nowMs + KEY_CACHE_MS })
    return key
  }

  /** What a change does on the proxy that was asked for it, and on no other. */
  evict(token: string, replica: number): void {
    this.#cacheOf(replica).delete(token)
  }

  /**
   * Writes the object that a call began with back into the memory of every proxy, with its minute
   * starting anew: what the spend update of a shared cache does to a key that was blocked meanwhile.
   */
  resurrect(stale: VirtualKey, nowMs: number): void {
    for (const cache of this.#caches.values()) {
      cache.set(stale.token, { key: stale, untilMs: nowMs + KEY_CACHE_MS })
    }
  }

  /** Adds what a call cost, in the database and in the memories, without renewing them. */
  addSpend(token: string, spend: number): void {
    const add = (key: VirtualKey): VirtualKey => ({ ...key, spend: key.spend + spend })
    const stored = this.#keys.get(token)
    if (stored !== undefined) this.#keys.set(token, add(stored))
    for (const cache of this.#caches.values()) {
      const known = cache.get(token)
      if (known !== undefined) cache.set(token, { ...known, key: add(known.key) })
    }
  }

  #cacheOf(replica: number): Map<string, { key: VirtualKey; untilMs: number }> {
    const cache = this.#caches.get(replica) ?? new Map()
    this.#caches.set(replica, cache)
    return cache
  }
}

/** As LiteLLM hashes a key; a hash is taken as it is. */
export function tokenOf(key: string): string {
  return key.startsWith('sk-') ? createHash('sha256').update(key).digest('hex') : key
}
