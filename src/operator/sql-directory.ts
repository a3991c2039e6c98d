import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import type { DirectoryAnswer } from '../domain/directory-answer.js'
import { RetryableError } from '../domain/errors.js'
import type { SqlDirectoryConfig } from '../mapping/config.js'
import type { PayerDirectory } from '../ports/payer-directory.js'
import { Thread, ThreadError } from '../runtime/thread.js'
import { accountFrom } from './parse.js'

type Row = readonly [payer: unknown, account: unknown]
type ReadRows = (signal: AbortSignal) => Promise<readonly Row[]>

/** Far above any directory of users, and far below what memory holds. */
const ROWS_MAX = 1_000_000
const CONNECTING_MS_MAX = 10_000

/** The driver blocks, so it runs in a thread of its own. Read-only: the file is the operator's. */
const SQLITE_CODE = `
answer = async ({ file, query, rowsMax }) => {
  const Database = require(data.driver)
  const database = new Database(file, { readonly: true, fileMustExist: true })
  try {
    const rows = []
    const statement = database.prepare(query).raw(true).safeIntegers(true)
    for (const [payer, account] of statement.iterate()) {
      if (rows.push([payer, account]) > rowsMax) throw new RangeError('more than ' + rowsMax + ' rows')
    }
    return rows
  } finally {
    database.close()
  }
}`

/**
 * Any query on the operator's own database. Its first two columns are payer and account number; all
 * of its rows are the directory. A payer on two rows with two accounts has none.
 */
export function sqlDirectory(
  config: SqlDirectoryConfig,
  databaseUrl: string,
  folder: string,
): PayerDirectory & { close(): Promise<void> } {
  const isSqlite = databaseUrl.startsWith('sqlite:')
  const database = isSqlite
    ? sqliteRows(config, resolve(folder, databaseUrl.slice('sqlite:'.length)))
    : { readRows: postgresRows(config, databaseUrl), close: async () => {} }
  return {
    name: config.name,
    kind: 'table',
    refreshMs: config.refreshMs,
    read: async (_payers, signal) => tableOf(await database.readRows(signal)),
    close: database.close,
  }
}

function tableOf(rows: readonly Row[]): Map<string, DirectoryAnswer> {
  const table = new Map<string, DirectoryAnswer>()
  for (const [payer, value] of rows) {
    if (payer === null || payer === undefined || value === null || value === undefined) continue
    const answer = accountFrom(value)
    const before = table.get(String(payer))
    const isOther = before !== undefined && before.account !== answer.account
    table.set(
      String(payer),
      isOther ? { reason: 'is on several rows with different accounts', isFinal: true } : answer,
    )
  }
  return table
}

function sqliteRows(
  { query, timeoutMs, name }: SqlDirectoryConfig,
  file: string,
): { readRows: ReadRows; close: () => Promise<void> } {
  const driver = createRequire(import.meta.url).resolve('better-sqlite3')
  const thread = new Thread({ code: SQLITE_CODE, data: { driver } })
  return {
    close: () => thread.close(),
    async readRows(signal) {
      try {
        const rows = await thread.ask({ file, query, rowsMax: ROWS_MAX }, timeoutMs, signal)
        return rows as readonly Row[]
      } catch (error) {
        if (!(error instanceof ThreadError)) throw error
        throw unreachable(name, error.message)
      }
    },
  }
}

function postgresRows({ query, timeoutMs, name }: SqlDirectoryConfig, url: string): ReadRows {
  return async (signal) => {
    // Loaded by those who have such a directory alone.
    const { default: pg } = await import('pg')
    const client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: CONNECTING_MS_MAX,
      statement_timeout: timeoutMs,
      query_timeout: timeoutMs + 1_000,
      application_name: 'flowmeter',
    })
    // A connection that breaks while it is idle must not end the process.
    client.on('error', () => {})
    const stop = () => void client.end().catch(() => {})
    signal.addEventListener('abort', stop)
    try {
      await client.connect()
      await client.query('begin transaction read only')
      const text = `select * from (${query.trim().replace(/;$/, '')}) directory limit ${ROWS_MAX + 1}`
      const { rows } = await client.query<unknown[]>({ text, rowMode: 'array' })
      if (rows.length > ROWS_MAX) throw new Error(`more than ${ROWS_MAX} rows`)
      return rows.map(([payer, account]): Row => [payer, account])
    } catch (error) {
      signal.throwIfAborted()
      // PostgreSQL names users, hosts and columns, and never a password.
      throw unreachable(name, error instanceof Error ? error.message : 'unknown')
    } finally {
      signal.removeEventListener('abort', stop)
      await client.end().catch(() => {})
    }
  }
}

function unreachable(name: string, why: string): RetryableError {
  return new RetryableError('directory_unreachable', `directory ${name}: ${why.slice(0, 200)}`)
}
