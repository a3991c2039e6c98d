import Database from 'better-sqlite3'
import { type Kysely, sql } from 'kysely'
import { openSqlite } from '../../../src/store/sqlite.js'
import { sqlStore } from '../../../src/store/store.js'
import type { Tables } from '../../../src/store/tables.js'

/** All rows of a store, by table. */
export type Backup = ReadonlyMap<string, readonly Record<string, unknown>[]>

const ROWS_A_STATEMENT = 100

let database: Kysely<Tables> | undefined
let tables: readonly string[] = []

/** One database in memory for all schedules: emptied each time, since migrations take longer. */
export async function emptyDatabase(): Promise<Kysely<Tables>> {
  if (database === undefined) {
    keepStatements()
    database = openSqlite(':memory:')
    await sqlStore(database, { now: () => 0 }).migrate()
    tables = await referringFirst(database)
    return database
  }
  for (const name of tables) await database.deleteFrom(name as keyof Tables).execute()
  return database
}

/** `flowmeter backup`, which copies a store between two of its transactions. */
export async function takeBackup(db: Kysely<Tables>): Promise<Backup> {
  const backup = new Map<string, Record<string, unknown>[]>()
  for (const name of tables) {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(name)}`.execute(
      db,
    )
    backup.set(name, rows)
  }
  return backup
}

/** The store is what it was. */
export async function restoreBackup(db: Kysely<Tables>, backup: Backup): Promise<void> {
  for (const name of tables) await db.deleteFrom(name as keyof Tables).execute()
  for (const name of tables.toReversed()) {
    const rows = backup.get(name) ?? []
    for (let start = 0; start < rows.length; start += ROWS_A_STATEMENT) {
      const some = rows.slice(start, start + ROWS_A_STATEMENT)
      await db
        .insertInto(name as never)
        .values(some as never)
        .execute()
    }
  }
}

/** Each table before those that it refers to. To switch keys off instead forgets every statement. */
async function referringFirst(db: Kysely<Tables>): Promise<string[]> {
  const names = (await db.introspection.getTables()).flatMap(tableName)
  const { rows } = await sql<{ name: string; to: string }>`select t.name, k."table" as "to"
    from sqlite_schema t, pragma_foreign_key_list(t.name) k
    where t.type = 'table' and k."table" <> t.name`.execute(db)
  const left = new Set(names)
  const ordered: string[] = []
  while (left.size > 0) {
    const referred = new Set(rows.flatMap(({ name, to }) => (left.has(name) ? [to] : [])))
    const free = [...left].filter((name) => !referred.has(name))
    if (free.length === 0) throw new Error(`tables refer to each other: ${[...left].join()}`)
    for (const name of free) left.delete(name)
    ordered.push(...free)
  }
  return ordered
}

/** To prepare a statement takes longer than to run it, and a schedule runs thousands. */
function keepStatements(): void {
  const prepare = Database.prototype.prepare
  const known = new Map<string, unknown>()
  Database.prototype.prepare = function (this: Database.Database, source: string) {
    const statement = known.get(source) ?? prepare.call(this, source)
    known.set(source, statement)
    return statement as never
  }
}

function tableName({ name, isView }: { name: string; isView: boolean }): string[] {
  return isView ? [] : [name]
}
