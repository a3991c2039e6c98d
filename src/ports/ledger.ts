import type { LedgerAccount, LedgerTransaction, Millicredits } from '../domain/ledger.js'

/** One line of a customer's statement. */
export interface StatementLine {
  readonly transaction: LedgerTransaction
  /** What the transaction did to the account. */
  readonly amount: Millicredits
  /** The account's balance after it. */
  readonly balance: Millicredits
}

/** Prepaid credits, double entry. Only ever appended to. */
export interface Ledger {
  /**
   * Posts a transaction once: with an id that is there, nothing happens and false comes back.
   *
   * @throws Error where what is there under this id says something else: a bug or a tampered store
   */
  post(transaction: LedgerTransaction): Promise<boolean>
  transaction(id: string): Promise<LedgerTransaction | undefined>
  balance(account: LedgerAccount): Promise<Millicredits>
  /** What was charged so far for a period of an account, counter-entries included. */
  charged(account: LedgerAccount, periodStart: number): Promise<Millicredits>
  /** What refunds of a payment took back so far. */
  refunded(paymentId: string): Promise<Millicredits>
  /** In the order of posting, from the line after `afterLine`; lines count from 1 per account. */
  statement(
    account: LedgerAccount,
    afterLine: number,
    limit: number,
  ): Promise<readonly StatementLine[]>
  /** All postings together: what must be 0. */
  difference(): Promise<Millicredits>
}
