import { randomBytes } from 'node:crypto'
import { RetryableError, TerminalError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import { durationSeconds, type KeyLimits } from '../domain/key-limits.js'
import { KEY_NAME, type KeyId, keyAlias, keyIdOf } from '../domain/virtual-key.js'
import type { StoredKey } from '../ports/keys.js'
import type { Stores } from '../ports/stores.js'
import {
  allowedLimits,
  isBlockedByOperator,
  type KeyOrder,
  type KeysParts,
  knownKey,
  noteKey,
  wishText,
} from './key-orders.js'
import type { OwnedKey } from './key-owner.js'
import { holdsOn, isForeignBlock, syncKey } from './sync-keys.js'

export interface NewKeyWish {
  readonly account: AccountNumber
  /** Letters, digits and `-`; of no other key of the account. */
  readonly name: string
  /** Whose usage LiteLLM will log: one that the mapping sends to the account. */
  readonly userId: string
  /** What is absent is as the account's ceiling says. */
  readonly limits: Partial<KeyLimits>
}

/** The only time that the secret is seen. */
export interface MadeKey {
  readonly key: StoredKey
  readonly secret: string
}

const SECRET_BYTES = 32
const MARK_BYTES = 12
const USER_CHARACTERS_MAX = 256
/** Then a key that is still being made was given up: longer than all its requests may take. */
const MAKING_MS_MAX = 120_000
const TRIES_MAX = 2
/** By a customer, for an account that may not have more: each begins its minutes of limits anew. */
const MADE_AN_HOUR = 10
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
/** How long a deleted key counts where its budget never starts anew. */
const WINDOW_DAYS = 30

/**
 * Makes a key: saved first, then made at the gateway with a secret of ours, then handed over. What
 * fails on the way leaves a key that nobody has the secret of, and the sync step deletes it.
 *
 * A customer stays below the account's ceiling and gets so many keys, deleted ones included until
 * the time of a budget has passed since; none while the operator has blocked the account or a key of it.
 *
 * @throws TerminalError `bad_key`, `above_ceiling`, `wrong_account`, `key_exists`, `too_many_keys`,
 *   `made_too_often`, `account_blocked`, and what the gateway refuses
 * @throws RetryableError where the gateway does not answer: nothing was made
 */
export async function createKey(
  parts: KeysParts,
  wish: NewKeyWish,
  order: KeyOrder,
  signal: AbortSignal,
): Promise<MadeKey> {
  const { store, gateway } = parts
  const { account, name, userId } = wish
  const problem = problemOf(wish)
  if (problem !== undefined) throw new TerminalError('bad_key', problem)
  const most = await parts.ceiling(account)
  const limits = allowedLimits(most, { wish: wish.limits }, order)
  const secret = `sk-${randomBytes(SECRET_BYTES).toString('base64url')}`
  const id = keyIdOf(secret)
  await checkOwner(parts, { id, gateway: gateway.name, userId, account }, order)
  await store.transaction(async (stores) => {
    await checkRoom(stores, wish, order, { ...parts, most })
    await stores.keys.add({
      ...{ id, account, name, userId, limits, gateway: gateway.name },
      alias: await freeAlias(stores, { account, name, alias: '' }),
      replaces: undefined,
      isCustomers: order.isCustomer,
      ...beingMade(parts),
    })
  })
  await makeAtGateway(parts, { id, secret, spend: undefined }, signal)
  const key = await store.transaction(async (stores) => {
    const made = await handOver(stores, id)
    await noteKey(stores, 'create', { key: made, before: 'none', after: wishText(made) }, order)
    return made
  })
  return { key: await followed(parts, key, signal), secret }
}

/**
 * Makes another key in the place of one: same owner and limits, what was spent carried over, so that
 * no budget starts anew by it. The old one is deleted once the new one is there.
 *
 * @throws TerminalError `no_key`; `key_blocked` where the operator has blocked it, here or at the
 *   gateway; `made_too_often`; and what the gateway refuses
 * @throws RetryableError where the gateway does not answer: the old key stays
 */
export async function rotateKey(
  parts: KeysParts,
  oldId: KeyId,
  order: KeyOrder,
  signal: AbortSignal,
): Promise<MadeKey> {
  const { store, gateway } = parts
  const old = await knownKey(store, oldId)
  const shown = await gateway.find(oldId, signal)
  if (shown !== undefined && isForeignBlock(shown, old)) throw blockedByOperator()
  await checkNotBlocked(old, store)
  const secret = `sk-${randomBytes(SECRET_BYTES).toString('base64url')}`
  const id = keyIdOf(secret)
  await checkOwner(parts, { ...old, id }, order)
  await store.transaction(async (stores) => {
    const { account, name, userId, limits, isCustomers } = await knownKey(stores, oldId)
    if (order.isCustomer) await checkPace(stores, account, parts)
    await stores.keys.add({
      ...{ id, account, name, userId, limits, isCustomers, gateway: gateway.name },
      alias: await freeAlias(stores, old),
      replaces: oldId,
      ...beingMade(parts),
    })
  })
  await makeAtGateway(parts, { id, secret, spend: shown?.spend ?? old.seen?.spend }, signal)
  const key = await orGone(store, id, () =>
    store.transaction(async (stores) => {
      const before = await knownKey(stores, oldId)
      // Again: making took its time, and what holds the old key is to hold the new one.
      await checkNotBlocked(before, stores)
      const made = await handOver(stores, id)
      await passOnHolds(before, made, stores)
      await stores.keys.change(oldId, { state: 'deleted' })
      const names = { before: `key ${before.id}`, after: `key ${made.id}` }
      await noteKey(stores, 'rotate', { key: before, ...names }, order)
      return knownKey(stores, id)
    }),
  )
  const replaced = await store.keys.get(oldId)
  if (replaced !== undefined) await followed(parts, replaced, signal)
  return { key: await followed(parts, key, signal), secret }
}

/** One look at the gateway at once, so that the answer can say how it went; else the worker does it. */
export async function followed(
  parts: KeysParts,
  key: StoredKey,
  signal: AbortSignal,
): Promise<StoredKey> {
  const { store } = parts
  try {
    await syncKey({ ...parts, stores: store }, key, signal)
  } catch (error) {
    if (!(error instanceof RetryableError)) throw error
  }
  return (await store.keys.get(key.id)) ?? key
}

/** @throws TerminalError `wrong_account`; a customer is not told whose the user is */
export async function checkOwner(
  { whyNotCharged }: Pick<KeysParts, 'whyNotCharged'>,
  owned: OwnedKey,
  { isCustomer }: KeyOrder,
): Promise<void> {
  const problem = await whyNotCharged(owned)
  if (problem === undefined) return
  const hidden = `user "${owned.userId}" is not charged to account ${owned.account}`
  throw new TerminalError('wrong_account', isCustomer ? hidden : problem)
}

export function newMark(): string {
  return `flowmeter-${randomBytes(MARK_BYTES).toString('hex')}`
}

function beingMade({ clock }: KeysParts) {
  return {
    state: 'making',
    blockMark: newMark(),
    nextTryAtMs: clock.now() + MAKING_MS_MAX,
  } as const
}

async function checkRoom(
  stores: Pick<Stores, 'keys' | 'holds'>,
  { account, name }: NewKeyWish,
  { isCustomer }: KeyOrder,
  { perCustomer, most, clock }: KeysParts & { readonly most: KeyLimits },
): Promise<void> {
  if ((await stores.keys.findNamed(account, name)) !== undefined) {
    const how = 'take another name, or rotate that key to get a secret'
    throw new TerminalError('key_exists', `account ${account} has a key "${name}": ${how}`)
  }
  if (!isCustomer) return
  await checkPace(stores, account, { perCustomer, clock })
  if (await isBlockedByOperator(stores, account)) {
    const why = 'the operator has blocked this account or a key of it'
    throw new TerminalError('account_blocked', `${why}: no key is made until that ends`)
  }
  const seconds = durationSeconds(most.budgetDuration ?? '') ?? 0
  const windowMs = Math.max(seconds * 1_000, WINDOW_DAYS * DAY_MS)
  const made = await stores.keys.customersSince(account, clock.now() - windowMs)
  if (made < perCustomer) return
  const days = Math.ceil(windowMs / DAY_MS)
  const counted = `keys deleted in the last ${days} days count`
  throw new TerminalError('too_many_keys', `an account gets ${perCustomer} keys, and ${counted}`)
}

/** @throws TerminalError `made_too_often` */
async function checkPace(
  { keys }: Pick<Stores, 'keys'>,
  account: AccountNumber,
  { perCustomer, clock }: Pick<KeysParts, 'perCustomer' | 'clock'>,
): Promise<void> {
  const most = Math.max(MADE_AN_HOUR, perCustomer)
  if ((await keys.madeSince(account, clock.now() - HOUR_MS)) < most) return
  const what = `an account gets ${most} new keys an hour, rotations included`
  throw new TerminalError('made_too_often', what)
}

interface Making {
  readonly id: KeyId
  readonly secret: string
  readonly spend: string | undefined
}

function makeAtGateway(parts: KeysParts, making: Making, signal: AbortSignal): Promise<void> {
  return orGone(parts.store, making.id, () => tryToMake(parts, making, signal))
}

/** Whatever fails here, the key is to be gone: its secret is handed to nobody. */
async function orGone<Result>(
  { keys }: Pick<Stores, 'keys'>,
  id: KeyId,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    await keys.change(id, { state: 'deleted' })
    throw error
  }
}

/** @throws TerminalError `key_blocked` */
async function checkNotBlocked(key: StoredKey, stores: Pick<Stores, 'holds'>): Promise<void> {
  const holds = await holdsOn(key, stores)
  if (holds.some(({ reason }) => reason === 'operator')) throw blockedByOperator()
}

function blockedByOperator(): TerminalError {
  const how = 'unblock it first, or delete it and make another'
  return new TerminalError('key_blocked', `the operator has blocked this key: ${how}`)
}

/** The owner's own is not among them: a new secret is what they rotate a key for that leaked. */
async function passOnHolds(
  old: StoredKey,
  { id }: StoredKey,
  { holds }: Pick<Stores, 'holds'>,
): Promise<void> {
  for (const { account, key, reason, text, untilMs } of await holds.of(old.account)) {
    if (key !== old.id || reason === 'owner') continue
    await holds.place({ account, key: id, reason, text, untilMs })
  }
}

async function tryToMake(
  { store, gateway }: KeysParts,
  { id, secret, spend }: Making,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const key = await store.keys.get(id)
    if (key === undefined) throw new Error(`key ${id} is not in the store`)
    const { alias, userId, limits, blockMark } = key
    const isHeld = (await holdsOn(key, store)).length > 0
    const wish = { alias, userId, limits, spend, blockMark: isHeld ? blockMark : undefined }
    try {
      await gateway.create(secret, wish, signal)
      return
    } catch (error) {
      // It may be there all the same: the same again is no second key.
      if (!(error instanceof RetryableError) || tries === TRIES_MAX) throw error
    }
  }
}

async function handOver({ keys }: Pick<Stores, 'keys'>, id: KeyId): Promise<StoredKey> {
  const key = await keys.get(id)
  if (key?.state !== 'making') {
    throw new TerminalError('key_took_too_long', 'the gateway took too long: ask for a key again')
  }
  await keys.change(id, { state: 'wanted' })
  return knownKey({ keys }, id)
}

/** The next that was never given; one of ours may stand on a key that was adopted. */
async function freeAlias(
  { keys }: Pick<Stores, 'keys'>,
  { account, name, alias }: Pick<StoredKey, 'account' | 'name' | 'alias'>,
): Promise<string> {
  for (let generation = (await keys.generations(account, name)) + 1; ; generation += 1) {
    // An adopted key keeps the name that it had, as far as there can be two of it.
    const free = KEY_NAME.test(name)
      ? keyAlias(account, name, generation)
      : `${alias === '' ? name : alias}.${generation}`
    if ((await keys.findByAlias(free)) === undefined) return free
  }
}

function problemOf({ name, userId }: NewKeyWish): string | undefined {
  if (!KEY_NAME.test(name)) return 'a name has up to 40 of a-z, 0-9 and -, and no - at its ends'
  if (userId === '' || userId.length > USER_CHARACTERS_MAX || /\p{Cc}/u.test(userId)) {
    return `a user id has 1 to ${USER_CHARACTERS_MAX} characters, on one line`
  }
  return undefined
}
