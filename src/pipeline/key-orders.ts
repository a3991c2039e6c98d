import { TerminalError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import { beyondCeiling, type KeyLimits, limitsProblem, limitsText } from '../domain/key-limits.js'
import type { KeyId } from '../domain/virtual-key.js'
import type { StoredKey } from '../ports/keys.js'
import type { Store, Stores } from '../ports/stores.js'
import { note } from './operator-log.js'
import type { Ordered } from './record-correction.js'
import type { SyncKeysParts } from './sync-keys.js'

/** Who orders something of a key. A customer may do less: see `ceiling`, and what each order says. */
export interface KeyOrder extends Ordered {
  readonly isCustomer: boolean
}

/** What orders about keys are made of. */
export interface KeysParts extends Omit<SyncKeysParts, 'stores'> {
  readonly store: Store
  /**
   * What a key of this account gets unless told, and the most that its customer may give one. Asks
   * the store: not to be called within a transaction, which has its own.
   */
  readonly ceiling: (account: AccountNumber) => Promise<KeyLimits>
  /** How many keys a customer may make for an account. */
  readonly perCustomer: number
}

/** @throws TerminalError `no_key` */
export async function knownKey(stores: Pick<Stores, 'keys'>, id: KeyId): Promise<StoredKey> {
  const key = await stores.keys.get(id)
  if (key !== undefined && key.state === 'wanted') return key
  throw new TerminalError('no_key', `there is no key ${id}`)
}

/**
 * What somebody asks for, on top of what stands otherwise.
 *
 * @param most see `KeysParts.ceiling`
 * @throws TerminalError `bad_key` for what is no limit, `above_ceiling` for what is not a customer's
 */
export function allowedLimits(
  most: KeyLimits,
  { wish, before = most }: { readonly wish: Partial<KeyLimits>; readonly before?: KeyLimits },
  order: KeyOrder,
): KeyLimits {
  const limits = { ...before, ...wish }
  // What stands and is not wished for may be what a gateway had, and need not be what is made here.
  const problem = limitsProblem({ ...most, ...wish })
  if (problem !== undefined) throw new TerminalError('bad_key', problem)
  if (!order.isCustomer) return limits
  // What an operator gave and the customer does not touch may be above. A budget and its time are one
  // thing: of an operator's, either alone could be taken for a part of another.
  const budget = budgetOf(limits)
  const isLower = beyondCeiling({ ...before, ...budget }, before) === undefined
  const asked = { ...most, ...wish, ...(isLower ? budgetOf(most) : budget) }
  const beyond = beyondCeiling(asked, most)
  if (beyond === undefined) return limits
  throw new TerminalError('above_ceiling', `${beyond}: the operator can give more`)
}

function budgetOf({ maxBudget, budgetDuration }: KeyLimits) {
  return { maxBudget, budgetDuration }
}

/**
 * Whether an operator blocked the account, or a key of it, here or at the gateway: then its customer
 * gets no key that works in its place.
 */
export async function isBlockedByOperator(
  stores: Pick<Stores, 'keys' | 'holds'>,
  account: AccountNumber,
): Promise<boolean> {
  const holds = await stores.holds.of(account)
  if (holds.some(({ reason }) => reason === 'operator')) return true
  const keys = await stores.keys.list({ accounts: [account], limit: KEYS_LOOKED_AT })
  return keys.some(({ seen }) => seen?.isForeignBlock === true)
}

const KEYS_LOOKED_AT = 10_000

/** What changed, in the operators' log: who, what, before and after. */
export async function noteKey(
  stores: Pick<Stores, 'operatorLog'>,
  verb: string,
  { key, before, after }: { key: StoredKey; before: string; after: string },
  order: Ordered,
): Promise<void> {
  const which = { key: key.id, alias: key.alias, account: `${key.account}` }
  await note(stores, `keys ${verb}`, { ...which, before, after }, order)
}

export function wishText({ userId, limits }: Pick<StoredKey, 'userId' | 'limits'>): string {
  return `user ${userId}, ${limitsText(limits)}`
}
