import type { AccessTokensTable } from './access-tokens.js'
import type { BudgetTables } from './budget-tables.js'
import type { KeyTables } from './key-tables.js'
import type { LedgerTables } from './ledger-tables.js'
import type { NoticeTables } from './notice-tables.js'
import type { ReportTables } from './report-facts.js'

/**
 * The rows. Integers are bigint; account numbers reach 2^64 and are text of 20 digits, so that they
 * sort; money is decimal text. Instants are ms since 1970, periods seconds.
 */
export interface SourcesTable {
  name: string
  read_until_ms: bigint
  /** Null for sources that are older than this column: they began at no known instant. */
  collect_from_ms: bigint | null
  rescanned_at_ms: bigint | null
  clock_skew_ms: bigint | null
  last_read_at_ms: bigint | null
  facts: string | null
  problem_code: string | null
  problem: string | null
}

export interface UsageRecordsTable {
  source: string
  request_id: string
  started_at_ms: bigint
  ended_at_ms: bigint
  user: string
  api_key: string
  team_id: string
  end_user: string
  model: string
  prompt_tokens: bigint
  cached_prompt_tokens: bigint
  completion_tokens: bigint
  excluded: string | null
  spend: string
  seen_at_ms: bigint
  mapping_version: string | null
  account: string | null
  strategy: string | null
  unmapped_reason: string | null
  period_start: bigint | null
  model_id: bigint | null
  batch_seq: bigint | null
}

export interface RejectsTable {
  source: string
  request_id: string
  reason: string
  seen_at_ms: bigint
}

/** Rows whose billable fields changed after they were read: kept, and never billed. */
export interface QuarantineTable {
  source: string
  request_id: string
  /** Names of the fields, comma-separated. */
  differs: string
  record_hash: string
  record: string
  seen_at_ms: bigint
}

/** What an operator said about a row that was set aside. Names differ from the records': both are joined. */
export interface SetAsideVerdictsTable {
  verdict_source: string
  verdict_request_id: string
  /** Of a row of quarantine; empty for a record. */
  verdict_row_hash: string
  verdict: string
  reason: string
  decided_at_ms: bigint
}

export interface ReadingsTable {
  source: string
  bucket_start_ms: bigint
  user: string
  model: string
  prompt_tokens: bigint
  cached_prompt_tokens: bigint
  completion_tokens: bigint
  increases: bigint
}

export interface UsageTotalsTable {
  account: string
  period_start: bigint
  model_id: bigint
  prompt_tokens: bigint
  cached_prompt_tokens: bigint
  completion_tokens: bigint
  requests: bigint
}

export interface StatedTotalsTable {
  account: string
  period_start: bigint
  stated_by: bigint
}

export interface BatchesTable {
  seq: bigint
  root: string
  prev_root: string
  sealed_at: bigint
  target: string
  manifest: string
  manifest_json: string
  signature: string | null
  proof: string | null
  state: string
  life: string
  changed_at_ms: bigint
}

export interface EntriesTable {
  seq: bigint
  position: bigint
  account: string
  period_start: bigint
  records_root: string
  bytes: string
  leaf: string
  result: string | null
  tx_id: string | null
}

/** What lowers a total. `after_seq`, `listed_by`, `counted_by`: batches. */
export interface CorrectionsTable {
  correction_id: bigint
  account: string
  period_start: bigint
  after_seq: bigint
  billable: string
  reason: string
  recorded_by: string
  recorded_at_ms: bigint
  sealed_height: bigint | null
  sealed_tx_id: string | null
  sealed_billable: string | null
  sealed_after_seq: bigint | null
  listed_by: bigint | null
}

/** Records that a correction takes out of a total, and where they count instead. */
export interface RecordMovesTable {
  correction_id: bigint
  moved_source: string
  moved_request_id: string
  from_model_id: bigint
  to_account: string | null
  to_period_start: bigint | null
  to_model_id: bigint | null
  counted_by: bigint | null
}

/** Corrections in sealed blocks of Flow, whoever put them there. */
export interface SeenCorrectionsTable {
  tx_id: string
  account: string
  period_start: bigint
  after_seq: bigint
  billable: string
  reason: string
  height: bigint
  seen_at_ms: bigint
  /** When an operator released its (vault, period) as it is. */
  acknowledged_at_ms: bigint | null
}

/** A view: every record that a batch counts, where it counts now, with the tokens that count. */
export interface CountedRecordsView {
  source: string
  request_id: string
  started_at_ms: bigint
  user: string
  api_key: string
  team_id: string
  end_user: string
  model: string
  prompt_tokens: bigint
  cached_prompt_tokens: bigint
  completion_tokens: bigint
  account: string
  period_start: bigint
  model_id: bigint
}

/** (Vault, period)s of which nothing is sealed until an operator has released them. */
export interface EntryStopsTable {
  stop_id: bigint
  account: string
  period_start: bigint
  cause: string
  why: string
  stopped_at_ms: bigint
  released_at_ms: bigint | null
  released_up_to: string | null
}

/** What each batch adds to the bills, in wad of a currency. */
export interface SealedChargesTable {
  seq: bigint
  currency: string
  charge: string
  sealed_at_ms: bigint
}

/** What operators did; each row has the hash of the one before. */
export interface OperatorLogTable {
  log_id: bigint
  at_ms: bigint
  who: string
  verb: string
  arguments: string
  reason: string
  prev_hash: string
  hash: string
}

export interface OutboxTable {
  tx_id: string
  lane: string
  purpose: string
  tx_bytes: string
  saved_at_ms: bigint
  fate: string
  /** Smallest units that it spends beside gas; null for none. */
  cost: string | null
  /** The variant that landed, where that is not the original. */
  landed_id: string | null
}

/** Signed beside an open transaction: at a higher price, or to fill the gap before it. */
export interface OutboxVariantsTable {
  tx_id: string
  original_id: string
  role: string
  position: bigint
  tx_bytes: string
  saved_at_ms: bigint
}

export interface SeenPoliciesTable {
  reward_epoch: bigint
  policy: string
  seen_at_ms: bigint
}

export interface SeenPolicyVotesTable {
  reward_epoch: bigint
  policy_hash: string
  v: bigint
  r: string
  s: string
  seen_at_ms: bigint
}

export interface SeenRelaysTable {
  address: string
  seen_at_ms: bigint
}

/** What was last seen of things outside, one JSON document a row. */
export interface WatchTable {
  name: string
  value: string
  at_ms: bigint
}

export interface WalletBalancesTable {
  wallet: string
  at_ms: bigint
  balance: string
}

export interface DirectoryTable {
  payer: string
  account: string
}

/** Of `directory`. At most one row, and none while it has to be computed anew. */
export interface DirectoryVersionTable {
  version: string
}

/** Directories that a worker keeps: SQL queries and modules of the operator. */
export interface DirectoriesTable {
  name: string
  version: string
  read_at_ms: bigint | null
  problem: string | null
}

export interface DirectoryAnswersTable {
  directory: string
  payer: string
  account: string | null
  reason: string | null
  /** 0 or 1. */
  is_final: bigint | number
}

/** Whose account each known payer's is, where two must not have the same. */
export interface PayerClaimsTable {
  payer: string
  account: string
}

/** Records that an operator let go to an account. */
export interface ReleasesTable {
  release_source: string
  release_request_id: string
  account: string
  released_at_ms: bigint
}

/** What the operator's own rule lets count of a record. Names differ from the records': both are joined. */
export interface RecordDecisionsTable {
  decided_source: string
  decided_request_id: string
  rule_version: string
  verdict: string
  decision_reason: string | null
  capped_prompt_tokens: bigint | null
  capped_cached_tokens: bigint | null
  capped_completion_tokens: bigint | null
  decided_at_ms: bigint
}

export interface ControlSourcesTable {
  source: string
  first_day: string
}

export interface ControlDaysTable {
  source: string
  day: string
  compared_at_ms: bigint
  compared: bigint
  differences: string
}

/** What Flow was seen to hold, one JSON document a row: `vault/…`, `applied/…`, `balance/…`. */
export interface BooksTable {
  kind: string
  name: string
  value: string
}

export interface IdentityTable {
  name: string
  value: string
}

export interface Tables extends BudgetTables, KeyTables, LedgerTables, NoticeTables, ReportTables {
  sources: SourcesTable
  usage_records: UsageRecordsTable
  rejects: RejectsTable
  quarantine: QuarantineTable
  set_aside_verdicts: SetAsideVerdictsTable
  readings: ReadingsTable
  usage_totals: UsageTotalsTable
  stated_totals: StatedTotalsTable
  batches: BatchesTable
  entries: EntriesTable
  corrections: CorrectionsTable
  record_moves: RecordMovesTable
  seen_corrections: SeenCorrectionsTable
  counted_records: CountedRecordsView
  operator_log: OperatorLogTable
  access_tokens: AccessTokensTable
  entry_stops: EntryStopsTable
  sealed_charges: SealedChargesTable
  outbox: OutboxTable
  outbox_variants: OutboxVariantsTable
  seen_policies: SeenPoliciesTable
  seen_policy_votes: SeenPolicyVotesTable
  seen_relays: SeenRelaysTable
  watch: WatchTable
  wallet_balances: WalletBalancesTable
  directory: DirectoryTable
  directory_version: DirectoryVersionTable
  directories: DirectoriesTable
  directory_answers: DirectoryAnswersTable
  payer_claims: PayerClaimsTable
  /** Counts up when an account gets or loses a second known payer. One row, once there was a rival. */
  rivals_version: { id: bigint; version: bigint }
  releases: ReleasesTable
  record_decisions: RecordDecisionsTable
  control_sources: ControlSourcesTable
  control_days: ControlDaysTable
  books: BooksTable
  identity: IdentityTable
}
