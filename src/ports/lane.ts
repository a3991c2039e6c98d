import type { Brand } from '../domain/ids.js'

/** What is to be done on a chain. Only the adapter that made it looks into `body`. */
export interface Call {
  /** For logs. */
  readonly what: string
  readonly body: unknown
}

export type TxId = Brand<string, 'TxId'>

/** A transaction ready to be sent, any number of times. */
export interface SignedTx {
  readonly id: TxId
  /** All that `send` and `fate` need, as text: the store keeps it without looking inside. */
  readonly bytes: string
  /** What it spends beside gas, in the chain's smallest unit; nothing unless told. */
  readonly cost?: bigint
}

/** What gets a transaction that waits too long on its way again. */
export interface Rescue {
  /**
   * A `variant` does the same under the same number and pays more: of all variants one can land. A
   * `filler` does nothing, under a number before it that would else never be used.
   */
  readonly role: 'variant' | 'filler'
  readonly tx: SignedTx
}

/** `open` may still land, `refused` landed and failed, `gone` never will (height, sequence). */
export type Fate = 'open' | 'landed' | 'refused' | 'gone'

/** One key's way onto a chain. `sign` changes nothing outside; `send` may be repeated. */
export interface Lane {
  /** Unique among all chains and keys, the same after a restart. One open transaction each. */
  readonly name: string
  /** Why the transaction last found `refused` failed, in the chain's words. For logs. */
  readonly lastRefusal?: string | undefined
  /** How much of what one transaction may use the last one with a fate used: 0 to 1. */
  readonly lastUse?: number | undefined
  /** @throws RetryableError where the chain cannot be asked; TerminalError where it refuses. */
  sign(call: Call, signal: AbortSignal): Promise<SignedTx>
  /** Returns when the node took it or had it already. @throws RetryableError */
  send(tx: SignedTx, signal: AbortSignal): Promise<void>
  /** Says what became of the transaction, not of its effect: only contract state knows that. */
  fate(tx: SignedTx, signal: AbortSignal): Promise<Fate>
  /**
   * Asked for an open transaction; undefined while it only has to be waited for. Chains where
   * nothing can be outbid have none.
   *
   * @param variants the transaction and its variants so far, oldest first
   * @throws RetryableError
   */
  rescue?(variants: readonly SignedTx[], signal: AbortSignal): Promise<Rescue | undefined>
}
