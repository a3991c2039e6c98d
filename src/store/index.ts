import type { Clock } from '../ports/clock.js'
import type { Store } from '../ports/stores.js'
import { openSqlite } from './sqlite.js'
import { sqlStore } from './store.js'

export { backupStore } from './backup.js'
export { examineStore } from './examine.js'
export { lockStore } from './sqlite.js'
export { storageOf } from './storage.js'

/** Opens the store of a path; makes the file when it is not there. Migrates nothing by itself. */
export function openStore(file: string, clock: Clock): Store {
  return sqlStore(openSqlite(file), clock)
}
