import { ZERO_HASH } from '../domain/bytes.js'
import { logEntryHash } from '../domain/operator-log.js'
import type { StoredLogEntry } from '../ports/operator-log.js'
import type { Stores } from '../ports/stores.js'
import { allBatches } from './in-parts.js'
import type { Ordered } from './record-correction.js'

const ENTRIES_A_PAGE = 1_000

/** Writes down what somebody ordered, for ever. */
export async function note(
  { operatorLog }: Pick<Stores, 'operatorLog'>,
  verb: string,
  args: Readonly<Record<string, string>>,
  { by, reason }: Ordered,
): Promise<void> {
  await operatorLog.append({ who: by, verb, arguments: args, reason })
}

export interface LogFault {
  /** The entry's id, or the batch's number. */
  readonly at: string
  readonly what: string
}

/**
 * Computes every hash of the log anew, and looks for each head that a manifest names: a log that was
 * rewritten, even as a whole, lacks what batches have committed to.
 */
export async function verifyLog(
  stores: Pick<Stores, 'operatorLog' | 'batches'>,
): Promise<LogFault[]> {
  const faults: LogFault[] = []
  const heads = new Set<string>([ZERO_HASH])
  let expectedId = 1
  let prevHash = ZERO_HASH
  for await (const entry of logEntries(stores)) {
    const at = `entry ${entry.id}`
    if (entry.id !== expectedId) faults.push({ at, what: `entry ${expectedId} is missing` })
    if (entry.prevHash !== prevHash) faults.push({ at, what: 'does not follow the one before' })
    if (logEntryHash(entry) !== entry.hash) faults.push({ at, what: 'is not what was written' })
    heads.add(entry.hash)
    prevHash = entry.hash
    expectedId = entry.id + 1
  }
  return [...faults, ...(await missingHeads(heads, stores))]
}

/** All of them, in order. */
export async function* logEntries({
  operatorLog,
}: Pick<Stores, 'operatorLog'>): AsyncGenerator<StoredLogEntry> {
  let fromId = 1
  for (;;) {
    const page = await operatorLog.entries(fromId, ENTRIES_A_PAGE)
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < ENTRIES_A_PAGE) return
    fromId = last.id + 1
  }
}

async function missingHeads(
  heads: ReadonlySet<string>,
  { batches }: Pick<Stores, 'batches'>,
): Promise<LogFault[]> {
  const faults: LogFault[] = []
  for await (const { header, manifestJson } of allBatches({ batches })) {
    const head = headOf(manifestJson)
    if (head === undefined || heads.has(head)) continue
    faults.push({ at: `batch ${header.seq}`, what: `its manifest names ${head}: not in the log` })
  }
  return faults
}

/** Undefined for a batch whose manifest this store does not have. */
function headOf(manifestJson: string): string | undefined {
  if (manifestJson === '') return undefined
  return (JSON.parse(manifestJson) as { operatorLog?: string }).operatorLog
}
