import type { KeyLimits } from '../domain/key-limits.js'
import type { KeyId } from '../domain/virtual-key.js'

/** A key as its gateway shows it. */
export interface GatewayKey {
  readonly id: KeyId
  /** Empty text where it has none. */
  readonly alias: string
  /** Empty text where it has none. */
  readonly userId: string
  /** Undefined where the gateway's numbers are none that Flowmeter could have set. */
  readonly limits: KeyLimits | undefined
  readonly isBlocked: boolean
  /** The mark that a block of ours leaves; undefined on a key without one. */
  readonly blockMark: string | undefined
  /** What the gateway believes was spent with it, as text: for display and to see use, never money. */
  readonly spend: string
}

/** What a key is made of. */
export interface KeyWish {
  readonly alias: string
  readonly userId: string
  readonly limits: KeyLimits
  /** Blocked from the first moment, and marked so. */
  readonly blockMark: string | undefined
  /** What counts as spent already, as a gateway showed it; undefined: nothing. */
  readonly spend: string | undefined
}

/** What differs, and is to be as said. What is absent stays as it is. */
export type KeyChange = Partial<KeyLimits> & { readonly userId?: string }

/**
 * A gateway in which Flowmeter manages keys. Every call may be repeated: what is so already is a
 * success. None of them decides anything.
 *
 * All throw RetryableError: `keys_unreachable` (down, too slow, or rested after failures),
 * `keys_refused` (the admin key is unknown), `keys_role` (it may not manage keys), `keys_no_database`,
 * `keys_nonsense` (an answer that cannot be understood); and TerminalError `key_refused` for what the
 * gateway will never take.
 */
export interface KeyGateway {
  /** The name of the source whose usage these keys make. */
  readonly name: string
  /** Whether the admin key may manage keys; throws where it may not. */
  check(signal: AbortSignal): Promise<void>
  /**
   * Makes a key whose secret the caller chose, so that its id is known before anything is sent and a
   * lost answer costs nothing.
   *
   * @throws TerminalError `key_alias_taken` where another key has the alias
   */
  create(secret: string, wish: KeyWish, signal: AbortSignal): Promise<void>
  /** As it is now; undefined where there is none. */
  find(id: KeyId, signal: AbortSignal): Promise<GatewayKey | undefined>
  /** @throws TerminalError `key_alias_taken` where several have it */
  findByAlias(alias: string, signal: AbortSignal): Promise<GatewayKey | undefined>
  /** In the gateway's order; `page` from 1. */
  listOfUser(
    userId: string,
    page: number,
    signal: AbortSignal,
  ): Promise<{ readonly keys: readonly GatewayKey[]; readonly isLast: boolean }>
  /** @throws TerminalError `key_unknown` where there is no such key */
  update(id: KeyId, change: KeyChange, signal: AbortSignal): Promise<void>
  /**
   * Blocks and leaves the mark in one step, so that whoever finds the mark knows whose block it is.
   * At once on the proxy that was asked; others follow within a minute.
   *
   * @throws TerminalError `key_unknown`
   */
  block(id: KeyId, mark: string, signal: AbortSignal): Promise<void>
  /**
   * Lifts the block and takes the mark away in one step. Proxies follow within a minute.
   *
   * @throws TerminalError `key_unknown`
   */
  unblock(id: KeyId, signal: AbortSignal): Promise<void>
  /** Takes the mark away and leaves the rest. @throws TerminalError `key_unknown` */
  unmark(id: KeyId, signal: AbortSignal): Promise<void>
  /** One that is gone already is a success. */
  delete(id: KeyId, signal: AbortSignal): Promise<void>
}
