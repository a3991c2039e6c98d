import type { AccountNumber } from '../domain/ids.js'
import type { Payment, Refund } from '../domain/payment.js'

/** Why money that came bought nothing yet. An operator decides. */
export type SetAsideReason = 'no_account' | 'unknown_account' | 'no_package'

export interface StoredPayment extends Payment {
  readonly seenAtMs: number
  /** Absent once its credits are posted. */
  readonly setAside: SetAsideReason | undefined
}

/** Payments and refunds as providers told them, and the accounts that live on credits. */
export interface Payments {
  /** Opens an account for credits; false, and nothing changes, where it is open. */
  openAccount(account: AccountNumber): Promise<boolean>
  isAccount(account: AccountNumber): Promise<boolean>
  /** In order, from after a number. */
  accounts(after: AccountNumber | undefined, limit: number): Promise<readonly AccountNumber[]>

  /** By its id or its alias. */
  payment(name: string): Promise<StoredPayment | undefined>
  /** Keeps a payment that is new; a known id changes nothing. */
  savePayment(payment: Payment, setAside: SetAsideReason | undefined): Promise<void>
  /** What an operator decided for one that was set aside. */
  resolve(id: string, account: AccountNumber): Promise<void>
  /** Set aside and not wholly given back since, oldest first. */
  setAside(limit: number): Promise<readonly StoredPayment[]>

  /** Keeps the highest amount told of a refund, for each currency that was told. */
  saveRefund(refund: Refund): Promise<void>
  /** What went back of a kept payment in its currency, whichever of its names the refunds used. */
  refunded(id: string): Promise<bigint>
}
