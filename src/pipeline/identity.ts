import { ConfigError } from '../domain/errors.js'
import type { Attestor } from '../ports/attestor.js'
import type { MeterKey } from '../ports/meter-key.js'
import type { Settler } from '../ports/settler.js'
import type { Identity } from '../ports/stores.js'

/** What a store is bound to, by name. */
export function identityOf(
  attestor: Pick<Attestor, 'identity'>,
  settler: Pick<Settler, 'identity'>,
  meterKey: Pick<MeterKey, 'address'>,
): Readonly<Record<string, string>> {
  return {
    flare_chain: attestor.identity.chainId.toString(),
    anchor: attestor.identity.anchorAddress,
    flow_network: settler.identity.network,
    target: settler.identity.target,
    provider: settler.identity.provider.toString(),
    meter: meterKey.address,
  }
}

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
      'made with, or give this network a store of its own (DATABASE_URL). For the next meter of the same ' +
      'provider, say so: flowmeter rotate-meter',
  )
}
