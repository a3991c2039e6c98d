import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  SqliteAdapter,
  SqliteDialect,
  type SqliteDialectConfig,
  SqliteDriver,
} from 'kysely'
import { ConfigError, RetryableError } from '../domain/errors.js'
import type { Tables } from './tables.js'

const BUSY_MS = 5_000

/** Opens the file, or makes it. WAL lets commands read while the daemon writes. */
export function openSqlite(file: string): Kysely<Tables> {
  if (file !== ':memory:') mkdirSync(dirname(file), { recursive: true })
  const database = new Database(file, { timeout: BUSY_MS })
  database.pragma('journal_mode = WAL')
  // A sealed batch must outlive a power cut: FULL syncs the log with every commit.
  database.pragma('synchronous = FULL')
  database.pragma('foreign_keys = ON')
  database.defaultSafeIntegers(true)
  return new Kysely<Tables>({ dialect: new StrictDialect({ database }) })
}

/** SQLite as the store needs it, where Kysely's own dialect is too careful or too careless. */
class StrictDialect extends SqliteDialect {
  readonly #config: SqliteDialectConfig

  constructor(config: SqliteDialectConfig) {
    super(config)
    this.#config = config
  }

  override createDriver(): Driver {
    return new ImmediateDriver(this.#config)
  }

  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter()
  }
}

/**
 * Takes the right to write with `begin`: a transaction that reads first and writes later is refused
 * when another process, such as a command, has written in between, however long it would wait.
 */
class ImmediateDriver extends SqliteDriver {
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    try {
      await super.rollbackTransaction(connection)
    } catch (error) {
      // A full disk has undone it already. What went wrong is in the error before this one.
      if (!/no transaction is active/.test(String(error))) throw error
    }
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    const connection = await super.acquireConnection()
    return {
      async executeQuery<Row>(query: CompiledQuery) {
        try {
          return await connection.executeQuery<Row>(query)
        } catch (error) {
          throw told(error)
        }
      },
      streamQuery: <Row>(query: CompiledQuery, size: number) =>
        connection.streamQuery<Row>(query, size),
    }
  }
}

/** What the machine does to a store may pass, and nothing was written: then it is a RetryableError. */
function told(error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error
  const { code, message } = error
  if (isBusy(error)) {
    const fix = 'Does another program hold its file open, a backup or a shell?'
    return new RetryableError('store_busy', `the store is locked (${message}). ${fix}`)
  }
  if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_WRITE') {
    const fix = 'Free space on its disk, or raise the limit of file sizes.'
    return new RetryableError('store_full', `the store cannot grow (${message}). ${fix}`)
  }
  return error
}

/** SQLite undoes a half-done migration like everything else; Kysely only has to begin one. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

/**
 * One daemon a store. The lock is the operating system's, on a file beside the store, so it is gone
 * the moment its holder is, however that died. Returns what releases it.
 *
 * @throws ConfigError `store_in_use`, with the holder
 */
export function lockStore(file: string, nowMs: number): () => void {
  mkdirSync(dirname(file), { recursive: true })
  const lock = new Database(`${file}.lock`, { timeout: 0 })
  try {
    lock.exec('begin exclusive')
  } catch (error) {
    lock.close()
    if (!isBusy(error)) throw error
    throw new ConfigError(
      'store_in_use',
      `The store ${file} is in use by ${holderOf(file)}. Stop that one first, or give this one ` +
        'a store of its own (DATABASE_URL).',
    )
  }
  const holder = { pid: process.pid, host: hostname(), since: new Date(nowMs).toISOString() }
  writeFileSync(`${file}.holder`, JSON.stringify(holder))
  return () => lock.close()
}

function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')
}

function holderOf(file: string): string {
  try {
    const { pid, host, since } = JSON.parse(readFileSync(`${file}.holder`, 'utf8'))
    return `process ${pid} on ${host}, since ${since}`
  } catch {
    return 'another process'
  }
}
