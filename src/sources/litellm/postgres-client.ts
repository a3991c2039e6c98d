import pg from 'pg'
import { RetryableError } from '../../domain/errors.js'

export interface PostgresParts {
  readonly url: string
  readonly schema: string
  readonly timeoutMs: number
}

type Row = Readonly<Record<string, unknown>>

/** What PostgreSQL's codes mean for the reader of a table; all others are an outage. */
const MEANINGS: Readonly<Record<string, readonly [code: string, says: string]>> = {
  '28000': ['refused', 'it does not let this role in'],
  '28P01': ['refused', 'it refuses the password'],
  // Row-level security in the way has this code too, see `ask`.
  '42501': ['role', 'the role may not read all rows of "LiteLLM_SpendLogs"'],
  '3D000': ['no_database', 'it has no such database'],
  '3F000': ['no_database', 'there is no such schema'],
  '42P01': ['no_database', 'there is no table "LiteLLM_SpendLogs" in the schema'],
  '42703': ['nonsense', '"LiteLLM_SpendLogs" lacks a column that LiteLLM has'],
  '42883': ['nonsense', '"LiteLLM_SpendLogs" has a column of another type than LiteLLM\'s'],
}

/** Asks PostgreSQL, one connection a question: nothing is held while nothing is asked. */
export class PostgresClient {
  readonly #parts: PostgresParts

  constructor(parts: PostgresParts) {
    this.#parts = parts
  }

  /**
   * One read-only transaction. Row-level security is switched off in it, which for a role that is
   * bound by it turns rows silently missing into an error.
   *
   * @throws RetryableError with the codes of the port
   */
  async ask(sql: string, values: readonly unknown[], signal: AbortSignal): Promise<readonly Row[]> {
    signal.throwIfAborted()
    const { url, schema, timeoutMs } = this.#parts
    const client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
      application_name: 'flowmeter',
    })
    // A connection that breaks tells its query too; without a listener it would end the process.
    client.on('error', () => {})
    const stop = (): void => void client.end().catch(() => {})
    signal.addEventListener('abort', stop)
    try {
      await client.connect()
      await client.query('BEGIN TRANSACTION READ ONLY')
      await client.query(
        `SET LOCAL row_security = off; SET LOCAL statement_timeout = ${timeoutMs}; ` +
          `SET LOCAL search_path = "${schema}"; SET LOCAL TimeZone = 'UTC'`,
      )
      const { rows } = await client.query<Row>(sql, [...values])
      await client.query('COMMIT')
      return rows
    } catch (error) {
      signal.throwIfAborted()
      throw meaningOf(error)
    } finally {
      signal.removeEventListener('abort', stop)
      await client.end().catch(() => {})
    }
  }
}

/** PostgreSQL's own message is not shown: it may quote what was sent. */
function meaningOf(error: unknown): RetryableError {
  const { code } = error as { code?: unknown }
  const sqlState = typeof code === 'string' && /^\w{1,20}$/.test(code) ? code : 'no answer'
  const [kind, says] = MEANINGS[sqlState] ?? ['unreachable', 'it cannot be reached, or fails']
  return new RetryableError(`source_${kind}`, `PostgreSQL (${sqlState}): ${says}`)
}
