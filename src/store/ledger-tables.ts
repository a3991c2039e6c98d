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

export interface LedgerTables {
  ledger_transactions: LedgerTransactionsTable
  ledger_postings: LedgerPostingsTable
}
