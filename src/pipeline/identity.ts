import { ConfigError } from '../domain/errors.js'
import type { Identity } from '../ports/stores.js'

/**
 * Binds a new store to chain, anchor, target and meter, and holds every later start to them.
 *
 * @throws ConfigError `another_identity`
 */
export async function bindIdentity(
  identity: Identity,
  facts: Readonly<Record<string, string>>,
): Promise<void> {
  const differing: string[] = []
  for (const [name, value] of Object.entries(facts)) {
    const kept = await identity.bind(name, value)
    if (kept !== value) differing.push(`${name} is ${value}, and the store was made for ${kept}`)
  }
  if (differing.length === 0) return
  throw new ConfigError(
    'another_identity',
    `The settings do not belong to this store: ${differing.join('; ')}. Use the settings it was ` +
      'made with, or give this network a store of its own (DATABASE_URL).',
  )
}
