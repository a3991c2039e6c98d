import { payerFieldOf, whyUnmapped } from '../mapping/index.js'
import type { StoredKey } from '../ports/keys.js'
import { type MapParts, mapPayers } from './attribute.js'

export type OwnedKey = Pick<StoredKey, 'id' | 'gateway' | 'userId' | 'account'>

/**
 * Why the usage of a key would not be charged to its account, as attribution will look at it;
 * undefined where it would.
 */
export async function whyNotCharged(key: OwnedKey, parts: MapParts): Promise<string | undefined> {
  const { payerField, sources = {} } = parts.settings
  const field = payerFieldOf({ payerField, sources }, key.gateway)
  if (field !== 'user' && field !== 'api_key') {
    return `usage of ${key.gateway} is charged by ${field}, which a key does not decide`
  }
  const payer = field === 'user' ? key.userId : key.id
  const mapped = (await mapPayers([payer], parts))(payer)
  if (mapped.account === key.account) return undefined
  const who = field === 'user' ? `user "${key.userId}"` : 'this key'
  if (mapped.account !== undefined) return `${who} is charged to account ${mapped.account}`
  return `${who} is charged to no account: ${whyUnmapped(mapped)}`
}
