import { sha256 } from '@noble/hashes/sha2.js'
import { toHex, utf8 } from './bytes.js'
import { assert } from './errors.js'
import type { AccountNumber, Brand } from './ids.js'

/** SHA-256 of a key that opens models at a gateway, 64 hex digits. Tells keys apart, opens nothing. */
export type KeyId = Brand<string, 'KeyId'>

const KEY_ID = /^[0-9a-f]{64}$/

export function isKeyId(text: string): text is KeyId {
  return KEY_ID.test(text)
}

export function keyId(text: string): KeyId {
  assert(isKeyId(text), 'a key is named by 64 hex digits')
  return text
}

/** As LiteLLM names a key: so an id is known before the key is made. */
export function keyIdOf(secret: string): KeyId {
  return keyId(toHex(sha256(utf8(secret))).slice(2))
}

/** What a customer calls one of their keys. */
export const KEY_NAME = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/

/**
 * The name of a key at the gateway, where no two may have the same: `fm-7-laptop`, and
 * `fm-7-laptop.2` for the one that took its place. Never given twice.
 */
export function keyAlias(account: AccountNumber, name: string, generation: number): string {
  assert(KEY_NAME.test(name), 'the name of a key has letters, digits and -')
  return `fm-${account}-${name}${generation === 1 ? '' : `.${generation}`}`
}

/**
 * Why Flowmeter keeps a key blocked.
 *
 * - `balance`: the vault, less what is owed and not yet settled, is at its reserve
 * - `budget`: the hard budget of the account, or of the operator, is used up
 * - `quota`: the quota of the account's tier is used up until its window turns
 * - `operator`: an operator said so (`flowmeter keys block`)
 * - `owner`: the customer said so, for a key of their own
 */
export const HOLD_REASONS = ['balance', 'budget', 'quota', 'operator', 'owner'] as const
export type HoldReason = (typeof HOLD_REASONS)[number]

/** One reason for which an account's keys, or one of them, are blocked. */
export interface Hold {
  readonly account: AccountNumber
  /** Undefined: every key of the account. */
  readonly key: KeyId | undefined
  readonly reason: HoldReason
  /** One line that the customer may read, such as `balance 0.40, reserve 0.50: deposit to go on`. */
  readonly text: string
  readonly sinceMs: number
  /** From then on it no longer stands; undefined: until it is lifted. */
  readonly untilMs: number | undefined
}

/** That a hold began to stand, or ended: kept with it in one step, until somebody was told. */
export interface HoldChange extends Pick<Hold, 'account' | 'key' | 'reason' | 'text' | 'sinceMs'> {
  /** Counts up, and never comes again. */
  readonly number: number
  readonly change: 'blocked' | 'unblocked'
  readonly atMs: number
  /** Other reasons that stood for the same at that moment. */
  readonly others: readonly HoldReason[]
}
