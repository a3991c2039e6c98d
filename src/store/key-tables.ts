import type { Generated } from 'kysely'

/** Keys at gateways: see ports/keys.ts. */
export interface VirtualKeysTable {
  key_id: string
  gateway: string
  alias: string | null
  account: string
  name: string
  user_id: string
  max_budget_micros: bigint | null
  budget_duration: string | null
  rpm_limit: bigint | null
  tpm_limit: bigint | null
  /** A JSON list. */
  models: string
  state: string
  replaces: string | null
  is_customers: bigint
  is_handed_over: bigint
  block_mark: string
  created_at_ms: bigint
  changed_at_ms: bigint
  revision: bigint
  sync_status: string
  problem: string | null
  failures: bigint
  next_try_at_ms: bigint | null
  last_synced_at_ms: bigint | null
  seen_at_ms: bigint | null
  seen_blocked: bigint | null
  seen_foreign: bigint | null
  seen_spend: string | null
}

export interface KeyHoldsTable {
  account: string
  /** Empty for a hold on all keys of the account. */
  key_id: string
  reason: string
  text: string
  since_ms: bigint
  until_ms: bigint | null
}

/** See HoldChange. */
export interface HoldChangesTable {
  number: Generated<bigint>
  change: string
  account: string
  key_id: string
  reason: string
  text: string
  since_ms: bigint
  at_ms: bigint
  /** A JSON list. */
  others: string
}

export interface KeyTables {
  virtual_keys: VirtualKeysTable
  key_holds: KeyHoldsTable
  hold_changes: HoldChangesTable
}
