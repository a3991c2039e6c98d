import Database from 'better-sqlite3'
import { migrations } from './migrations/index.js'

/**
 * What is wrong with a store, and what to do; undefined: nothing. Only looks, also while a daemon
 * writes to it.
 */
export async function examineStore(
  file: string,
): Promise<{ readonly says: string; readonly fix: string } | undefined> {
  let database: Database.Database | undefined
  try {
    database = new Database(file, { readonly: true, fileMustExist: true })
    const found = String(database.pragma('quick_check', { simple: true }))
    if (found !== 'ok') return damaged(file, found)
    const newer = namesOf(database).filter((name) => !(name in migrations))
    if (newer.length === 0) return undefined
    const fix = 'Run the version that wrote it, or restore a backup made by this one.'
    return { says: `${file} was written by a later version: ${newer.join(', ')}`, fix }
  } catch (error) {
    return damaged(file, error instanceof Error ? error.message : String(error))
  } finally {
    database?.close()
  }
}

/** None before the first start has made its tables. */
function namesOf(database: Database.Database): string[] {
  const table = database
    .prepare("select 1 from sqlite_master where name = 'kysely_migration'")
    .get()
  if (table === undefined) return []
  const rows = database.prepare('select name from kysely_migration').all() as { name: string }[]
  return rows.map(({ name }) => name)
}

function damaged(file: string, why: string): { readonly says: string; readonly fix: string } {
  const fix = 'Stop the daemon, keep the file, and go on from a backup: docs/recovery.md.'
  return { says: `${file} cannot be read whole: ${why.slice(0, 200)}`, fix }
}
