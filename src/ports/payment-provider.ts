import type { PaymentEvent } from '../domain/payment.js'

/** A webhook as it came: the body byte by byte, since that is what was signed. */
export interface SignedEvent {
  readonly body: Buffer
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/**
 * Who takes a customer's money and tells us by webhook. Anybody can send one: nothing of an event is
 * believed before its signature is checked.
 */
export interface PaymentProvider {
  readonly name: string
  /**
   * @throws TerminalError `payment_signature` where it is missing, wrong or too old: answered with
   * 401, and nothing was changed; `payment_event` where what was signed cannot be read: 400
   */
  read(event: SignedEvent, nowMs: number): PaymentEvent
}
