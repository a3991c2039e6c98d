export interface LedgerTransactionsTable {
  transaction_id: string
  kind: string
  at_ms: bigint
  memo: string
}

export interface LedgerPostingsTable {
  ledger_account: string
  line: bigint
  posted_by: string
  /** Millicredits. */
  amount: bigint
  balance: bigint
}

export interface CreditAccountsTable {
  account: string
  opened_at_ms: bigint
}

export interface PaymentsTable {
  payment_id: string
  alias: string | null
  account: string | null
  amount_minor: bigint
  currency: string
  seen_at_ms: bigint
  set_aside: string | null
}

export interface PaymentRefundsTable {
  payment: string
  refund_id: string
  amount_minor: bigint
  /** Empty for one that was told before currencies were kept. */
  currency: string
}

export interface LedgerTables {
  credit_accounts: CreditAccountsTable
  payments: PaymentsTable
  payment_refunds: PaymentRefundsTable
  ledger_transactions: LedgerTransactionsTable
  ledger_postings: LedgerPostingsTable
}
