import { RetryableError, TerminalError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import { type KeyLimits, limitsText } from '../domain/key-limits.js'
import { type HoldReason, isKeyId, KEY_NAME, type KeyId } from '../domain/virtual-key.js'
import type { GatewayKey } from '../ports/key-gateway.js'
import type { StoredKey } from '../ports/keys.js'
import type { Store, Stores } from '../ports/stores.js'
import {
  allowedLimits,
  type KeyOrder,
  type KeysParts,
  knownKey,
  noteKey,
  wishText,
} from './key-orders.js'
import { checkOwner, followed, newMark } from './make-key.js'
import { note } from './operator-log.js'
import type { Ordered } from './record-correction.js'
import { isForeignBlock } from './sync-keys.js'

/**
 * Wants other limits of a key. Kept, whatever the gateway says now; what it says is in the answer.
 *
 * @throws TerminalError `no_key`, `bad_key`, `above_ceiling`
 */
export async function updateKey(
  parts: KeysParts,
  { id, wish }: { readonly id: KeyId; readonly wish: Partial<KeyLimits> },
  order: KeyOrder,
  signal: AbortSignal,
): Promise<StoredKey> {
  const most = await parts.ceiling((await knownKey(parts.store, id)).account)
  const key = await parts.store.transaction(async (stores) => {
    const before = await knownKey(stores, id)
    const limits = allowedLimits(most, { wish, before: before.limits }, order)
    const [was, is] = [limitsText(before.limits), limitsText(limits)]
    if (was === is) return before
    await stores.keys.change(id, { limits })
    await noteKey(stores, 'update', { key: before, before: was, after: is }, order)
    return knownKey(stores, id)
  })
  return followed(parts, key, signal)
}

/**
 * Wants a key to be gone. For good: to be deleted again is no error.
 *
 * @throws TerminalError `no_key`; `key_blocked` for a customer whose operator has blocked it
 */
export async function deleteKey(
  parts: KeysParts,
  id: KeyId,
  order: KeyOrder,
  signal: AbortSignal,
): Promise<StoredKey> {
  const { store } = parts
  const known = await store.keys.get(id)
  if (known?.state === 'deleted') return followed(parts, known, signal)
  const shown = order.isCustomer ? await shownNow(parts, id, signal) : undefined
  const key = await store.transaction(async (stores) => {
    const before = await knownKey(stores, id)
    const isForeign =
      shown === undefined ? before.seen?.isForeignBlock : isForeignBlock(shown, before)
    const holds = await stores.holds.of(before.account)
    const isBlocked = holds.some((hold) => hold.reason === 'operator' && hold.key === id)
    if (order.isCustomer && (isForeign === true || isBlocked)) {
      throw new TerminalError('key_blocked', 'the operator has blocked this key, and keeps it')
    }
    await stores.keys.change(id, { state: 'deleted' })
    for (const reason of holdsOf(order)) await stores.holds.lift(before.account, reason, id)
    const words = { before: wishText(before), after: 'deleted' }
    await noteKey(stores, 'delete', { key: before, ...words }, order)
    return { ...before, ...(await stores.keys.get(id)) }
  })
  return followed(parts, key, signal)
}

/** As the gateway shows it now; what was seen last counts where it does not answer. */
async function shownNow(
  { gateway }: KeysParts,
  id: KeyId,
  signal: AbortSignal,
): Promise<GatewayKey | undefined> {
  try {
    return await gateway.find(id, signal)
  } catch (error) {
    if (error instanceof RetryableError) return undefined
    throw error
  }
}

/**
 * Blocks a key until whoever blocked it unblocks it: an operator's hold is not a customer's to lift.
 *
 * @throws TerminalError `no_key`
 */
export async function blockKey(
  parts: KeysParts,
  id: KeyId,
  order: KeyOrder,
  signal: AbortSignal,
): Promise<StoredKey> {
  const reason = holdReasonOf(order)
  const key = await parts.store.transaction(async (stores) => {
    const before = await knownKey(stores, id)
    const { account } = before
    const text = order.reason
    const isNew = await stores.holds.place({ account, key: id, reason, text, untilMs: undefined })
    const words = { before: isNew ? 'not held' : 'held', after: `held by ${reason}` }
    if (isNew) await noteKey(stores, 'block', { key: before, ...words }, order)
    return knownKey(stores, id)
  })
  return followed(parts, key, signal)
}

/**
 * Takes the hold away that `blockKey` placed. What else holds the key goes on to do so, and a block
 * that somebody set at the gateway stays.
 *
 * @throws TerminalError `no_key`; `not_held` where this caller holds nothing
 */
export async function unblockKey(
  parts: KeysParts,
  id: KeyId,
  order: KeyOrder,
  signal: AbortSignal,
): Promise<StoredKey> {
  const key = await parts.store.transaction(async (stores) => {
    const before = await knownKey(stores, id)
    let lifted = 0
    for (const reason of holdsOf(order)) {
      if (await stores.holds.lift(before.account, reason, id)) lifted += 1
    }
    if (lifted === 0) {
      const how = order.isCustomer ? 'by you' : 'with `flowmeter keys block`'
      throw new TerminalError('not_held', `this key is not blocked ${how}: see why it is blocked`)
    }
    await noteKey(stores, 'unblock', { key: before, before: 'held', after: 'not held' }, order)
    return knownKey(stores, id)
  })
  return followed(parts, key, signal)
}

/** Holds all keys of an account, or no longer; false where that is so already. For operators. */
export function holdAccount(
  store: Store,
  account: AccountNumber,
  isHeld: boolean,
  ordered: Ordered,
): Promise<boolean> {
  return store.transaction(async (stores) => {
    const hold = { account, key: undefined, reason: 'operator', untilMs: undefined } as const
    const isChanged = isHeld
      ? await stores.holds.place({ ...hold, text: ordered.reason })
      : await stores.holds.lift(account, 'operator')
    const [before, after] = isHeld ? ['not held', 'held'] : ['held', 'not held']
    const verb = `keys ${isHeld ? 'block' : 'unblock'}`
    const args = { account: `${account}`, before, after }
    if (isChanged) await note(stores, verb, args, ordered)
    return isChanged
  })
}

/**
 * Manages a key that somebody made at the gateway, as it is there now: nothing of it changes, and a
 * block that it has stays.
 *
 * @param named its SHA-256 or its alias
 * @throws TerminalError `key_unknown`, `key_exists`, `key_alias_taken`, `bad_key`, `wrong_account`
 * @throws RetryableError where the gateway does not answer
 */
export async function adoptKey(
  parts: KeysParts,
  { named, account }: { readonly named: string; readonly account: AccountNumber },
  order: Ordered,
  signal: AbortSignal,
): Promise<StoredKey> {
  const { gateway, store, clock } = parts
  const found = isKeyId(named)
    ? await gateway.find(named, signal)
    : await gateway.findByAlias(named, signal)
  if (found === undefined) throw new TerminalError('key_unknown', `the gateway has no key ${named}`)
  const { id, alias, userId, limits } = found
  if (limits === undefined) {
    const how = 'set one there that is a whole number of microdollars'
    throw new TerminalError('bad_key', `its budget cannot be kept exactly: ${how}`)
  }
  await checkOwner(
    parts,
    { id, gateway: gateway.name, userId, account },
    { ...order, isCustomer: false },
  )
  const key = await store.transaction(async (stores) => {
    if ((await stores.keys.get(id)) !== undefined) {
      throw new TerminalError('key_exists', `key ${id} is managed already`)
    }
    if (alias !== '' && (await stores.keys.findByAlias(alias)) !== undefined) {
      const how = 'give it another alias in LiteLLM'
      throw new TerminalError('key_alias_taken', `another key had the alias ${alias}: ${how}`)
    }
    await stores.keys.add({
      ...{ id, alias, account, userId, limits, gateway: gateway.name },
      name: await nameFor(alias, id, account, stores),
      state: 'wanted',
      replaces: undefined,
      isCustomers: false,
      blockMark: newMark(),
      nextTryAtMs: clock.now(),
    })
    const adopted = await knownKey(stores, id)
    const words = { before: 'not managed', after: wishText(adopted) }
    await noteKey(stores, 'adopt', { key: adopted, ...words }, order)
    return adopted
  })
  return followed(parts, key, signal)
}

const ID_SHOWN = 8

/** What it is called there, where that can be a name and is free. */
async function nameFor(
  alias: string,
  id: KeyId,
  account: AccountNumber,
  { keys }: Pick<Stores, 'keys'>,
): Promise<string> {
  const isFree = KEY_NAME.test(alias) && (await keys.generations(account, alias)) === 0
  return isFree ? alias : `adopted-${id.slice(0, ID_SHOWN)}`
}

/** An operator may lift what a customer placed, and never the other way round. */
function holdsOf({ isCustomer }: KeyOrder): readonly HoldReason[] {
  return isCustomer ? ['owner'] : ['operator', 'owner']
}

function holdReasonOf({ isCustomer }: KeyOrder): HoldReason {
  return isCustomer ? 'owner' : 'operator'
}
