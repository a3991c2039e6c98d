/** What an operator asks, in the order in which it is asked. */
export const QUESTIONS = {
  alive: 'Is it alive?',
  behind: 'Is it behind?',
  money: 'Is the money right?',
  stuck: 'Is anything stuck?',
  cost: 'What does it cost?',
  health: 'How well do the others answer?',
} as const
export type Question = keyof typeof QUESTIONS

export interface MetricKind {
  readonly question: Question
  readonly type: 'gauge' | 'counter' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  /** Upper bounds, seconds. */
  readonly buckets?: readonly number[]
}

const gauge = (question: Question, help: string, ...labels: readonly string[]): MetricKind => ({
  question,
  type: 'gauge',
  help,
  labels,
})

/** Every metric of ours, without its `flowmeter_`. Those of Node and the process come beside them. */
export const METRICS = {
  alarm: gauge('alive', '1 while it is raised; every alarm that there is', 'alarm', 'severity'),
  build_info: gauge('alive', 'Always 1; the version is its label', 'version'),
  worker_steps_total: {
    question: 'alive',
    type: 'counter',
    help: 'Steps by worker and result: advanced, idle, or the code of the error',
    labels: ['worker', 'result'],
  },
  worker_state: gauge(
    'alive',
    '1 for the state a worker is in: ok, starting, failing, stuck',
    'worker',
    'state',
  ),

  records: gauge('behind', 'Usage records by what became of them', 'kind'),
  backlog: gauge('behind', 'Items that wait, by state', 'state'),
  backlog_oldest_age_seconds: gauge(
    'behind',
    'How long the oldest item has been in a state',
    'state',
  ),
  source_lag_seconds: gauge('behind', 'Age of the newest instant read in full', 'source'),
  source_problem: gauge('behind', '1 while a source cannot be read', 'source'),
  source_clock_skew_seconds: gauge('behind', 'Its clock minus ours', 'source'),
  policy_epochs_behind: gauge('behind', 'Epochs by which the light client is behind Flare'),
  missed_rounds: gauge('behind', 'Voting rounds that did not prove a batch that waits, at most'),

  check_difference: gauge('money', 'What must be 0, by check; rounded to a float', 'check'),
  checked_timestamp_seconds: gauge('money', 'When the books were compared with Flow last'),
  check_ended_timestamp_seconds: gauge(
    'money',
    'When a check that goes over all batches had gone over them last',
    'check',
  ),
  check_unknown: gauge(
    'money',
    'Batches that could be compared with nothing then: no node shows them',
    'check',
  ),
  control_difference_requests: gauge(
    'money',
    'Ours minus the source’s own, of the days compared',
    'source',
    'key',
    'model',
  ),
  control_difference_tokens: gauge(
    'money',
    'Ours minus the source’s own, of the days compared',
    'source',
    'key',
    'model',
  ),
  control_differing: gauge('money', 'Keys and models that differ, of the days compared', 'source'),
  quarantined_rows: gauge('money', 'Rows that changed after they were read', 'source'),
  token_price_missing: gauge('money', '1 while payments wait for a price', 'token', 'currency'),
  token_price_age_seconds: gauge('money', 'Age of a price', 'token', 'currency'),

  unmapped_records: gauge('stuck', 'Billable records without a vault'),
  held_entries: gauge('stuck', 'Vaults and periods that wait for an operator', 'cause'),
  held_rows: gauge('stuck', 'Rows that do not count until somebody decides', 'source', 'reason'),
  twin_records: gauge('stuck', 'Calls that another source showed before', 'source'),
  pending_corrections: gauge('stuck', 'Recorded corrections that are not on Flow yet'),
  refused_entries: gauge('stuck', 'Entries that Flow did not apply'),
  decided_records: gauge(
    'stuck',
    'Records that the aggregation rule did not let count in full',
    'verdict',
  ),
  directory_entries: gauge('stuck', 'Payers with an account', 'directory'),
  directory_problem: gauge('stuck', '1 while a directory cannot be read', 'directory'),

  accounts: gauge('money', 'Accounts with keys, by how long they last', 'level'),
  accounts_stale: gauge('money', 'Accounts with keys that could not be looked at anew'),
  accounts_held: gauge('stuck', 'Accounts whose keys are held, by reason', 'reason'),
  keys: gauge('stuck', 'Keys at the gateway, by how far it follows', 'sync'),
  keys_blocked: gauge('stuck', 'Keys that are blocked at the gateway, as last seen'),

  wallet_balance: gauge('cost', 'Coins that pay for transactions, by chain', 'wallet'),
  wallet_runway_days: gauge('cost', 'Days that they last at the pace of a week', 'wallet'),
  wallet_spent_per_day: gauge('cost', 'Coins a day, at the pace of a week', 'wallet'),
  wallet_spent_per_batch: gauge(
    'cost',
    'Coins for a batch, over a week: fees and gas of all its contracts',
    'wallet',
  ),
  store_bytes: gauge('cost', 'The store with its log'),
  store_free_bytes: gauge('cost', 'What is free on its disk'),

  dependency_seconds: {
    question: 'health',
    type: 'histogram',
    help: 'How long requests took, by dependency (source, attestor, settler, notify, signer, traces), host and outcome',
    labels: ['dependency', 'host', 'outcome'],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  batch_stage_seconds: {
    question: 'health',
    type: 'histogram',
    help: 'How long batches were in a state they have left; requested and finalised are the round',
    labels: ['state'],
    buckets: [1, 5, 15, 30, 60, 120, 240, 600, 1_800, 7_200],
  },
  transactions: gauge(
    'health',
    'Transactions of the last day by lane and fate: open, landed, refused, gone',
    'lane',
    'fate',
  ),
} as const satisfies Readonly<Record<string, MetricKind>>

export type MetricName = keyof typeof METRICS
