import type { Hash } from '../domain/bytes.js'
import type { LogEntry } from '../domain/operator-log.js'

export interface StoredLogEntry extends LogEntry {
  readonly hash: Hash
}

/** What operators did, in order. Rows are added; each is bound to the one before by its hash. */
export interface OperatorLog {
  append(did: Pick<LogEntry, 'who' | 'verb' | 'arguments' | 'reason'>): Promise<StoredLogEntry>
  /** The newest entry's hash; zero while there is none. */
  head(): Promise<Hash>
  /** Whether an entry has this hash. */
  has(hash: string): Promise<boolean>
  /** In order, from an id on. */
  entries(fromId: number, limit: number): Promise<readonly StoredLogEntry[]>
}
