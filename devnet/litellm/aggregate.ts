import type { DailySums } from './table.js'

interface Metrics {
  spend: number
  prompt_tokens: number
  completion_tokens: number
  cache_read_input_tokens: number
  cache_creation_input_tokens: number
  total_tokens: number
  successful_requests: number
  failed_requests: number
  api_requests: number
}

interface Breakdown {
  readonly metrics: Metrics
  readonly metadata: Readonly<Record<string, string | null>>
  readonly api_key_breakdown?: Record<string, Breakdown>
}

type Breakdowns = Record<string, Breakdown>

/** The body of `/user/daily/activity/aggregated`, newest day first. */
export function aggregatedBody(rows: readonly DailySums[]): unknown {
  const days = [...new Set(rows.map(({ date }) => date))]
  const total = metricsOf(rows)
  return {
    results: days.map((date) => dayBody(date, rows)),
    metadata: {
      total_spend: total.spend,
      total_prompt_tokens: total.prompt_tokens,
      total_completion_tokens: total.completion_tokens,
      total_tokens: total.total_tokens,
      total_api_requests: total.api_requests,
      total_successful_requests: total.successful_requests,
      total_failed_requests: total.failed_requests,
      total_cache_read_input_tokens: total.cache_read_input_tokens,
      total_cache_creation_input_tokens: 0,
      page: 1,
      total_pages: 1,
      has_more: false,
    },
  }
}

function dayBody(date: string, all: readonly DailySums[]) {
  const rows = all.filter((row) => row.date === date)
  return {
    date,
    metrics: metricsOf(rows),
    breakdown: {
      mcp_servers: {},
      models: withKeys(rows, (row) => row.model),
      model_groups: withKeys(rows, (row) => row.model_group),
      providers: withKeys(rows, (row) => row.provider),
      endpoints: {},
      api_keys: byKey(rows),
      entities: {},
    },
  }
}

function withKeys(rows: readonly DailySums[], nameOf: (row: DailySums) => string): Breakdowns {
  const groups = groupBy(rows, nameOf)
  const entries = [...groups].map(([name, own]): [string, Breakdown] => [
    name,
    { metrics: metricsOf(own), metadata: {}, api_key_breakdown: byKey(own) },
  ])
  return Object.fromEntries(entries)
}

function byKey(rows: readonly DailySums[]): Breakdowns {
  const entries = [...groupBy(rows, (row) => row.api_key)].map(
    ([key, own]): [string, Breakdown] => [
      key,
      {
        metrics: metricsOf(own),
        metadata: { key_alias: own[0]?.key_alias ?? null, team_id: null },
      },
    ],
  )
  return Object.fromEntries(entries)
}

function groupBy(rows: readonly DailySums[], nameOf: (row: DailySums) => string) {
  const groups = new Map<string, DailySums[]>()
  for (const row of rows) groups.set(nameOf(row), [...(groups.get(nameOf(row)) ?? []), row])
  return groups
}

function metricsOf(rows: readonly DailySums[]): Metrics {
  const sum = (fieldOf: (row: DailySums) => number) =>
    rows.reduce((total, row) => total + fieldOf(row), 0)
  const prompt = sum((row) => row.prompt_tokens)
  const completion = sum((row) => row.completion_tokens)
  const successes = sum((row) => row.successes)
  const failures = sum((row) => row.failures)
  return {
    spend: sum((row) => row.spend),
    prompt_tokens: prompt,
    completion_tokens: completion,
    cache_read_input_tokens: sum((row) => row.cached_prompt_tokens),
    cache_creation_input_tokens: 0,
    // Added up from its parts, unlike the column of the same name in the log rows.
    total_tokens: prompt + completion,
    successful_requests: successes,
    failed_requests: failures,
    api_requests: successes + failures,
  }
}
