/** See ports/runways.ts and ports/spending.ts. Money is decimal text, in wad. */
export interface BudgetsTable {
  /** An account, or `operator`. */
  subject: string
  hard: string
  soft: string | null
  currency: string
  days: bigint
  from_day: bigint
  /** Of the operator's alone. */
  seen_from_day: bigint | null
  seen_spent: string | null
}

export interface AccountTiersTable {
  account: string
  tier: string
}

export interface SpendMarksTable {
  account: string
  day: bigint
  spent_before: string
}

export interface OperatorDaysTable {
  day: bigint
  currency: string
  spent: string
}

export interface RunwaysTable {
  account: string
  level: string
  /** 1 where it could not be looked at anew. */
  is_stale: bigint
  looked_at_ms: bigint
  budget_level: string
  /** A JSON document. */
  runway: string
}

export interface BudgetTables {
  budgets: BudgetsTable
  account_tiers: AccountTiersTable
  spend_marks: SpendMarksTable
  operator_days: OperatorDaysTable
  runways: RunwaysTable
}
