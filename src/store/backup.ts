import { existsSync, renameSync, rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { ConfigError } from '../domain/errors.js'

/** While the daemon writes, a copy takes this many pages at a time and lets it write in between. */
const PAGES_A_STEP = 1_000

/**
 * Copies a store into another file, whole and as of one instant, while a daemon may be writing to it:
 * SQLite's online backup. The copy is checked before it gets its name.
 *
 * @throws ConfigError `backup_exists` where there is a file of that name and it may not be replaced
 */
export async function backupStore(
  file: string,
  copy: string,
  mayReplace: boolean,
): Promise<{ readonly bytes: number }> {
  if (existsSync(copy) && !mayReplace) {
    throw new ConfigError(
      'backup_exists',
      `${copy} is there already. Name another file, or say --replace.`,
    )
  }
  const unfinished = `${copy}.unfinished`
  const source = new Database(file, { readonly: true, fileMustExist: true })
  try {
    await source.backup(unfinished, { progress: () => PAGES_A_STEP })
    const bytes = checkedSize(unfinished)
    renameSync(unfinished, copy)
    return { bytes }
  } finally {
    source.close()
    for (const rest of ['', '-wal', '-shm']) rmSync(`${unfinished}${rest}`, { force: true })
  }
}

/** Of a copy without journal files beside it. @throws Error where SQLite finds it damaged */
function checkedSize(copy: string): number {
  const database = new Database(copy)
  try {
    // One file alone: nothing of it waits in a log beside it.
    database.pragma('journal_mode = DELETE')
    const found = String(database.pragma('integrity_check', { simple: true }))
    if (found !== 'ok') throw new Error(`the copy is damaged: ${found}`)
    const [pages, size] = ['page_count', 'page_size'].map((name) =>
      Number(database.pragma(name, { simple: true })),
    )
    return (pages ?? 0) * (size ?? 0)
  } finally {
    database.close()
  }
}
