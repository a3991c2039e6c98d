import { createHash } from 'node:crypto'
import { type AccountNumber, accountNumber } from '../../src/domain/ids.js'
import { type KeyLimits, microdollars } from '../../src/domain/key-limits.js'
import { type KeyId, keyAlias, keyId } from '../../src/domain/virtual-key.js'
import type { NewKey } from '../../src/ports/keys.js'

export const ALICE = accountNumber(7n)
export const BOB = accountNumber(8n)

export const DEFAULT_LIMITS: KeyLimits = {
  maxBudget: microdollars(10_000_000n),
  budgetDuration: '30d',
  rpmLimit: 100,
  tpmLimit: 10_000,
  models: [],
}

/** The id of a key that nobody has: of a text that is no key. */
export function idOf(text: string): KeyId {
  return keyId(createHash('sha256').update(text).digest('hex'))
}

/** A row as the making of a key leaves it once the key is there. */
export function newKey(
  name: string,
  { account = ALICE, ...more }: Partial<NewKey> & { account?: AccountNumber } = {},
): NewKey {
  return {
    id: idOf(`${account}/${name}`),
    gateway: 'main',
    alias: keyAlias(account, name, 1),
    account,
    name,
    userId: `vault_${account}`,
    limits: DEFAULT_LIMITS,
    state: 'wanted',
    replaces: undefined,
    isCustomers: false,
    blockMark: `mark of ${name}`,
    nextTryAtMs: 0,
    ...more,
  }
}
