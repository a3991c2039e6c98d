import type { BatchId } from '../domain/ids.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { Adopted } from '../pipeline/adopt.js'
import type { LogFault } from '../pipeline/operator-log.js'
import type { Parked } from '../pipeline/parked.js'
import type { Ordered } from '../pipeline/record-correction.js'
import type { Rotated } from '../pipeline/rotate-meter.js'
import type { StoredLogEntry } from '../ports/operator-log.js'
import type { Checks } from '../ports/stores.js'

/** What keeps a daemon going, for people. Each method loads what it needs. */
export interface OperationsTools {
  log(): Promise<readonly StoredLogEntry[]>
  verifyLog(): Promise<readonly LogFault[]>
  /** Named differences: see AUDITED. */
  audit(): Promise<Checks>
  backup(file: string, mayReplace: boolean): Promise<{ readonly bytes: number }>
  adopt(ordered: Ordered, isSignedForgotten: boolean): Promise<Adopted>
  /** @throws TerminalError where Flow does not have the meter of the settings */
  rotateMeter(ordered: Ordered): Promise<Rotated>
  parked(): Promise<Parked>
  retry(id: BatchId, ordered: Ordered): Promise<void>
  skip(id: BatchId, ordered: Ordered): Promise<void>
  skipEntry(key: EntryKey, ordered: Ordered): Promise<void>
  release(
    key: EntryKey,
    verb: 'held release' | 'parked retry-entry',
    ordered: Ordered,
  ): Promise<void>
}
