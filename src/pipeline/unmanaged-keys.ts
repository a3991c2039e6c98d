import type { GatewayKey } from '../ports/key-gateway.js'
import type { KeysParts } from './key-orders.js'

const KEYS_A_PAGE = 500
/** Of one user, at the gateway. */
const PAGES_MAX = 100

/**
 * Keys at the gateway of users whose keys are managed, or of one user, that are not: their use is
 * charged to the account all the same, and no hold stops it. `keys adopt` takes them in.
 */
export async function* unmanagedKeys(
  { store, gateway }: Pick<KeysParts, 'store' | 'gateway'>,
  user: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<GatewayKey> {
  const users = user === undefined ? await managedUsers(store) : [user]
  for (const userId of users) {
    for (let page = 1; page <= PAGES_MAX; page += 1) {
      const { keys, isLast } = await gateway.listOfUser(userId, page, signal)
      for (const key of keys) {
        if ((await store.keys.get(key.id)) === undefined) yield key
      }
      if (isLast) break
    }
  }
}

async function managedUsers({ keys }: KeysParts['store']): Promise<ReadonlySet<string>> {
  const users = new Set<string>()
  for (let after: GatewayKey['id'] | undefined; ; ) {
    const page = await keys.list({ accounts: 'all', after, limit: KEYS_A_PAGE })
    for (const { userId } of page) users.add(userId)
    after = page.at(-1)?.id
    if (page.length < KEYS_A_PAGE) return users
  }
}
