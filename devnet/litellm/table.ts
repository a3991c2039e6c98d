import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { StoredCall } from './calls.js'

/**
 * What a release keeps in SQL. `is_logged` is 0 for calls whose id was already taken: their log
 * row is dropped in silence, while the daily totals still count them, as LiteLLM does.
 */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS calls (
    seq INTEGER PRIMARY KEY,
    is_logged INTEGER NOT NULL,
    request_id TEXT NOT NULL, call_id TEXT NOT NULL, call_type TEXT NOT NULL,
    api_key TEXT NOT NULL, key_alias TEXT, spend REAL NOT NULL,
    total_tokens INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
    cached_prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, visible_at_ms INTEGER NOT NULL,
    model TEXT NOT NULL, model_group TEXT NOT NULL, provider TEXT NOT NULL,
    user TEXT NOT NULL, end_user TEXT NOT NULL, team_id TEXT NOT NULL, session_id TEXT NOT NULL,
    cache_hit TEXT NOT NULL, status TEXT, error_class TEXT, garbled TEXT
  );
  CREATE UNIQUE INDEX IF NOT EXISTS calls_request_id ON calls (request_id) WHERE is_logged = 1;
  CREATE INDEX IF NOT EXISTS calls_start_ms ON calls (start_ms);
`

const COLUMNS = [
  ...['request_id', 'call_id', 'call_type', 'api_key', 'key_alias', 'spend', 'total_tokens'],
  ...['prompt_tokens', 'cached_prompt_tokens', 'completion_tokens', 'start_ms', 'end_ms'],
  ...['visible_at_ms', 'model', 'model_group', 'provider', 'user', 'end_user', 'team_id'],
  ...['session_id', 'cache_hit', 'status', 'error_class', 'garbled'],
] as const

/** A condition and the values of its question marks. */
export interface Condition {
  readonly sql: string
  readonly values: readonly (string | number)[]
}

/** Sums of one day of one user, key and model, as the daily table of LiteLLM has them. */
export interface DailySums {
  readonly date: string
  readonly model: string
  readonly model_group: string
  readonly provider: string
  readonly api_key: string
  readonly key_alias: string | null
  readonly user: string
  readonly spend: number
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly cached_prompt_tokens: number
  readonly successes: number
  readonly failures: number
}

/** Billable usage of one user and model. Exact integers. */
export interface UsageTruth {
  readonly user: string
  readonly model: string
  readonly requests: bigint
  readonly promptTokens: bigint
  readonly cachedPromptTokens: bigint
  readonly completionTokens: bigint
}

/** Which calls the truth is asked about; by default all whose rows can be read now. */
export interface TruthRange {
  /** UTC milliseconds of `startTime`, the end excluded. */
  readonly fromMs?: number
  readonly untilMs?: number
  /** Leaves out answers from LiteLLM's own cache. */
  readonly withoutCacheHits?: boolean
  /** Leaves out streams that the client left. */
  readonly withoutDisconnects?: boolean
  /** Also counts calls whose rows cannot be read yet. */
  readonly withUnwritten?: boolean
}

/** The spend logs of one LiteLLM database. */
export class SpendTable {
  readonly #db: Database.Database
  readonly #statements = new Map<string, Database.Statement>()

  /** Keeps its rows in `dir`, or in memory. */
  constructor(dir: string | undefined) {
    this.#db = new Database(dir === undefined ? ':memory:' : join(dir, 'litellm.sqlite'))
    this.#db.pragma('journal_mode = WAL')
    this.#db.exec(SCHEMA)
  }

  isEmpty(): boolean {
    return this.#db.prepare('SELECT 1 FROM calls LIMIT 1').get() === undefined
  }

  insert(calls: readonly StoredCall[]): void {
    const taken = this.#db.prepare('SELECT 1 FROM calls WHERE is_logged = 1 AND request_id = ?')
    const places = COLUMNS.map((column) => `@${column}`).join(', ')
    const insert = this.#db.prepare(
      `INSERT INTO calls (is_logged, ${COLUMNS.join(', ')}) VALUES (@is_logged, ${places})`,
    )
    this.#db.transaction(() => {
      for (const call of calls) {
        const isLogged = taken.get(call.request_id) === undefined ? 1 : 0
        insert.run({ ...call, is_logged: isLogged })
      }
    })()
  }

  /** Counts no further than one above `cap`, so that a caller can tell "more" from "as many". */
  count({ sql, values }: Condition, nowMs: number, cap: number | null): number {
    const limit = cap === null ? -1 : cap + 1
    const inner = `SELECT 1 FROM calls WHERE ${readable} AND ${sql} LIMIT ?`
    const query = this.#prepared(`SELECT count(*) AS n FROM (${inner})`)
    return (query.get(nowMs, ...values, limit) as { n: number }).n
  }

  /** `order` is SQL of ours, never of a request. */
  read(where: Condition, nowMs: number, order: Condition, page: { limit: number; offset: number }) {
    const query = this.#prepared(
      `SELECT * FROM calls WHERE ${readable} AND ${where.sql} ORDER BY ${order.sql} LIMIT ? OFFSET ?`,
    )
    const values = [...where.values, ...order.values, page.limit, page.offset]
    return query.all(nowMs, ...values) as StoredCall[]
  }

  /** Simulations ask the same few questions thousands of times. */
  #prepared(sql: string): Database.Statement {
    const query = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.set(sql, query)
    return query
  }

  /** Counts every call, its log row dropped or not. Days are those of `startTime` in UTC. */
  daily({ sql, values }: Condition, nowMs: number): DailySums[] {
    const query = this.#db.prepare(`
      SELECT date(start_ms / 1000, 'unixepoch') AS date, model, model_group,
        CASE provider WHEN '' THEN 'unknown' ELSE provider END AS provider, api_key,
        max(key_alias) AS key_alias, user, sum(spend) AS spend,
        sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
        sum(cached_prompt_tokens) AS cached_prompt_tokens,
        sum(status IS NOT 'failure') AS successes, sum(status IS 'failure') AS failures
      FROM calls WHERE visible_at_ms <= ? AND ${sql}
      GROUP BY 1, 2, 3, 4, 5, 7 ORDER BY 1 DESC, 2, 3, 4, 5, 7`)
    return query.all(nowMs, ...values) as DailySums[]
  }

  /**
   * What a correct meter counts, straight from the table: logged rows that can be read and are no
   * failures and no health checks, by user and by public model name (the provider's where there
   * is none).
   */
  truth(range: TruthRange, nowMs: number): UsageTruth[] {
    const query = this.#db.prepare(`
      SELECT user, CASE model_group WHEN '' THEN model ELSE model_group END AS model,
        count(*) AS requests, sum(prompt_tokens) AS promptTokens,
        sum(min(cached_prompt_tokens, prompt_tokens)) AS cachedPromptTokens,
        sum(completion_tokens) AS completionTokens
      FROM calls
      WHERE is_logged = 1 AND garbled IS NULL AND coalesce(status, '') IN ('', 'success')
        AND api_key <> 'litellm-internal-health-check'
        AND start_ms >= ? AND start_ms < ? AND visible_at_ms <= ? AND cache_hit <> ?
        AND coalesce(error_class, '') <> ?
      GROUP BY 1, 2 ORDER BY 1, 2`)
    query.safeIntegers(true)
    const { fromMs = 0, untilMs = Number.MAX_SAFE_INTEGER } = range
    const readableAtMs = range.withUnwritten ? Number.MAX_SAFE_INTEGER : nowMs
    const without = range.withoutCacheHits ? 'True' : 'nothing'
    const left = range.withoutDisconnects ? 'ClientDisconnected' : 'nothing'
    return query.all(fromMs, untilMs, readableAtMs, without, left) as UsageTruth[]
  }

  /** Overwrites columns of a logged row, as somebody with SQL can. Returns the row as it was. */
  change(requestId: string, columns: Partial<StoredCall>): StoredCall | undefined {
    const find = this.#db.prepare('SELECT * FROM calls WHERE is_logged = 1 AND request_id = ?')
    const before = find.get(requestId) as StoredCall | undefined
    const set = Object.keys(columns).map((name) => `${name} = @${name}`)
    this.#db
      .prepare(`UPDATE calls SET ${set.join(', ')} WHERE is_logged = 1 AND request_id = @id`)
      .run({ ...columns, id: requestId })
    return before
  }

  /** Takes a logged row away or brings it back, as a restored backup does. */
  setLogged(requestId: string, isLogged: boolean): void {
    this.#db
      .prepare('UPDATE calls SET is_logged = ? WHERE is_logged = ? AND request_id = ?')
      .run(isLogged ? 1 : 2, isLogged ? 2 : 1, requestId)
  }

  /** Ids of all logged rows that can be read and started at or after an instant. */
  ids(fromMs: number, nowMs: number): string[] {
    const query = this.#db.prepare(
      `SELECT request_id FROM calls WHERE ${readable} AND start_ms >= ? ORDER BY request_id`,
    )
    return query.pluck().all(nowMs, fromMs) as string[]
  }

  /** As the retention job does: by `startTime`. */
  deleteBefore(startMs: number): void {
    this.#db.prepare('DELETE FROM calls WHERE start_ms < ?').run(startMs)
  }

  /** Drops calls that have ended and are not written yet, as a stopped proxy does before 1.104. */
  loseUnwritten(nowMs: number): number {
    const drop = this.#db.prepare('DELETE FROM calls WHERE end_ms <= ? AND visible_at_ms > ?')
    return drop.run(nowMs, nowMs).changes
  }

  close(): void {
    this.#db.close()
  }
}

const readable = 'is_logged = 1 AND visible_at_ms <= ?'
