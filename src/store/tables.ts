/**
 * The rows. Integers are bigint; account numbers reach 2^64 and are text of 20 digits, so that they
 * sort; money is decimal text. Instants are ms since 1970, periods seconds.
 */
export interface SourcesTable {
  name: string
  read_until_ms: bigint
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

export interface OutboxTable {
  tx_id: string
  lane: string
  purpose: string
  tx_bytes: string
  saved_at_ms: bigint
  fate: string
}

export interface DirectoryTable {
  payer: string
  account: string
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

export interface Tables {
  sources: SourcesTable
  usage_records: UsageRecordsTable
  rejects: RejectsTable
  usage_totals: UsageTotalsTable
  stated_totals: StatedTotalsTable
  batches: BatchesTable
  entries: EntriesTable
  outbox: OutboxTable
  directory: DirectoryTable
  books: BooksTable
  identity: IdentityTable
}
