import { z } from 'zod'
import { assert, RetryableError } from '../../domain/errors.js'
import type { SourceFacts, TimeRange, UsageSlice, UsageSource } from '../../ports/usage-source.js'
import { parseSpendLog } from './parse.js'
import { PostgresClient } from './postgres-client.js'
import type { LitellmPostgresConfig } from './postgres-config.js'

/** One millisecond cannot be narrowed any more: no proxy logs so many calls in it. */
const ROWS_A_MILLISECOND_MAX = 100_000

/**
 * What the parser needs, reduced in the database: prompts, answers and tracebacks never leave it.
 * Metadata that is text within JSON, as some releases wrote it, is left for the parser to read.
 */
const COLUMNS = `
  request_id, api_key, "user", team_id, end_user, model, model_group, cache_hit, status,
  prompt_tokens, completion_tokens, spend,
  to_char("startTime", 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS "startTime",
  to_char("endTime", 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS "endTime",
  CASE jsonb_typeof(metadata) WHEN 'object' THEN jsonb_build_object(
    'usage_object', metadata -> 'usage_object',
    'additional_usage_values', metadata -> 'additional_usage_values',
    'litellm_call_id', metadata -> 'litellm_call_id',
    'user_api_key_alias', metadata -> 'user_api_key_alias',
    'error_information', CASE jsonb_typeof(metadata -> 'error_information') WHEN 'object' THEN
      jsonb_build_object('error_class', metadata -> 'error_information' -> 'error_class') END
  ) ELSE metadata END AS metadata`

const ROWS = `
  SELECT ${COLUMNS} FROM "LiteLLM_SpendLogs"
  WHERE "startTime" >= $1::timestamp AND "startTime" < $2::timestamp
  ORDER BY "startTime" LIMIT $3`

/** Of a standby that is behind, the time up to which it has replayed: rows after it may be missing. */
const NOW = `
  SELECT floor(extract(epoch FROM CASE WHEN pg_is_in_recovery()
    THEN least(clock_timestamp(), pg_last_xact_replay_timestamp())
    ELSE clock_timestamp() END) * 1000)::text AS now`

const FACTS = `
  SELECT current_setting('server_version') AS version,
    pg_is_in_recovery() AS is_standby,
    has_table_privilege('"LiteLLM_SpendLogs"', 'INSERT, UPDATE, DELETE, TRUNCATE') AS may_write,
    EXISTS (
      SELECT FROM pg_index i
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
      WHERE i.indrelid = '"LiteLLM_SpendLogs"'::regclass AND a.attname = 'startTime'
    ) AS is_indexed,
    (SELECT floor(extract(epoch FROM min("startTime")) * 1000)::text
      FROM "LiteLLM_SpendLogs") AS oldest`

const facts = z.object({
  version: z.string(),
  is_standby: z.boolean(),
  may_write: z.boolean(),
  is_indexed: z.boolean(),
  oldest: z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .nullable(),
})
const now = z.object({
  now: z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number),
})

/** Creates the reader of one LiteLLM's database. Asks nothing yet. */
export function litellmPostgresSource(config: LitellmPostgresConfig, url: string): UsageSource {
  return new LitellmPostgresSource(config, url)
}

/**
 * Reads `"LiteLLM_SpendLogs"` itself. One statement sees one moment of the table, so a slice is one
 * statement: no row can slip between two pages, as it can through LiteLLM's API. What stays is that
 * rows are written late, under their start: the overlap is for that here too.
 */
class LitellmPostgresSource implements UsageSource {
  readonly name: string
  readonly #config: LitellmPostgresConfig
  readonly #client: PostgresClient

  constructor(config: LitellmPostgresConfig, url: string) {
    const { name, schema, requestTimeoutMs: timeoutMs } = config
    this.name = name
    this.#config = config
    this.#client = new PostgresClient({ url, schema, timeoutMs })
  }

  async fetchSlice(range: TimeRange, signal: AbortSignal): Promise<UsageSlice> {
    assert(range.untilMs > range.fromMs, 'a range to read ends after its start')
    const { rowsMax } = this.#config
    const rows = await this.#rows(range, rowsMax + 1, signal)
    if (rows.length <= rowsMax) return this.#slice(rows, range)

    // The last row says where the next slice begins: all before its millisecond was seen.
    const untilMs = startOf(rows.at(-1))
    if (untilMs > range.fromMs) {
      const whole = rows.filter((row) => startOf(row) < untilMs)
      return this.#slice(whole, { fromMs: range.fromMs, untilMs })
    }
    const millisecond = { fromMs: range.fromMs, untilMs: range.fromMs + 1 }
    const tied = await this.#rows(millisecond, ROWS_A_MILLISECOND_MAX, signal)
    if (tied.length < ROWS_A_MILLISECOND_MAX) return this.#slice(tied, millisecond)
    throw new RetryableError('source_nonsense', 'more rows in a millisecond than a proxy can log')
  }

  async now(signal: AbortSignal): Promise<number> {
    const [row] = await this.#client.ask(NOW, [], signal)
    const parsed = now.safeParse(row)
    if (parsed.success) return parsed.data.now
    throw new RetryableError('source_unreachable', 'the standby has not replayed anything yet')
  }

  async probe(signal: AbortSignal): Promise<SourceFacts> {
    // Rows of one moment: whether the role may read them, and whether they look like LiteLLM's.
    await this.#rows({ fromMs: 0, untilMs: 1 }, 1, signal)
    const [row] = await this.#client.ask(FACTS, [], signal)
    const { version, is_standby, may_write, is_indexed, oldest } = facts.parse(row)
    const warnings = [
      ...(may_write ? ["the role may write LiteLLM's rows: give it SELECT alone"] : []),
      ...(is_standby ? ['a standby is read: it is believed up to what it has replayed'] : []),
      ...(is_indexed ? [] : ['"LiteLLM_SpendLogs" has no index on "startTime": reading is slow']),
    ]
    const age = oldest === null ? {} : { oldestRowAtMs: oldest }
    return { version: `PostgreSQL ${version}`, warnings, ...age }
  }

  #rows({ fromMs, untilMs }: TimeRange, limit: number, signal: AbortSignal) {
    return this.#client.ask(ROWS, [timestamp(fromMs), timestamp(untilMs), limit], signal)
  }

  #slice(rows: readonly unknown[], range: TimeRange): UsageSlice {
    const parsed = rows.map((row) => parseSpendLog(this.name, row, this.#config))
    return {
      records: parsed.flatMap((row) => (row.ok ? [row.record] : [])),
      rejects: parsed.flatMap((row) => (row.ok ? [] : [row.reject])),
      areIdsGlobal: true, // The rows are LiteLLM's, whichever way they are read.
      range,
    }
  }
}

/** The column has no zone and holds UTC. Milliseconds cut, as the parser cuts them. */
function startOf(row: Readonly<Record<string, unknown>> | undefined): number {
  return Date.parse(String(row?.startTime))
}

function timestamp(ms: number): string {
  return new Date(ms).toISOString().slice(0, -1)
}
