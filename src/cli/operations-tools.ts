import type { LogFault } from '../pipeline/operator-log.js'
import type { StoredLogEntry } from '../ports/operator-log.js'

/** What keeps a daemon going, for people. Each method loads what it needs. */
export interface OperationsTools {
  log(): Promise<readonly StoredLogEntry[]>
  verifyLog(): Promise<readonly LogFault[]>
}
