import { ZERO_HASH } from '../domain/bytes.js'
import { logEntryHash } from '../domain/operator-log.js'
import type { StoredLogEntry } from '../ports/operator-log.js'
import type { StoredBatch, Stores } from '../ports/stores.js'
import { allBatches } from './in-parts.js'
import type { Stretch } from './laps.js'
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
  let before: StoredLogEntry | undefined
  for await (const entry of logEntries(stores)) {
    faults.push(...entryFaults(entry, before))
    before = entry
  }
  for await (const batch of allBatches(stores)) {
    if (await isHeadLogged(batch, stores)) continue
    faults.push({
      at: `batch ${batch.header.seq}`,
      what: `its manifest names ${headOf(batch)}: not in the log`,
    })
  }
  return faults
}

/** A bounded piece of the log, from an id on. */
export async function logStretch(
  from: bigint,
  { operatorLog }: Pick<Stores, 'operatorLog'>,
): Promise<Stretch> {
  const first = Math.max(Number(from), 1)
  let [before] = first === 1 ? [] : await operatorLog.entries(first - 1, 1)
  const page = await operatorLog.entries(first, ENTRIES_A_PAGE)
  let faults = 0
  for (const entry of page) {
    faults += entryFaults(entry, before).length
    before = entry
  }
  const last = page.at(-1)
  const isEnd = last === undefined || page.length < ENTRIES_A_PAGE
  return {
    found: { operator_log: BigInt(faults) },
    next: isEnd ? undefined : BigInt(last.id) + 1n,
  }
}

function entryFaults(entry: StoredLogEntry, before: StoredLogEntry | undefined): LogFault[] {
  const faults: LogFault[] = []
  const at = `entry ${entry.id}`
  const expectedId = (before?.id ?? 0) + 1
  if (entry.id !== expectedId) faults.push({ at, what: `entry ${expectedId} is missing` })
  if (entry.prevHash !== (before?.hash ?? ZERO_HASH)) {
    faults.push({ at, what: 'does not follow the one before' })
  }
  if (logEntryHash(entry) !== entry.hash) faults.push({ at, what: 'is not what was written' })
  return faults
}

/** Whether the log has the head that the batch's manifest names. */
export async function isHeadLogged(
  batch: Pick<StoredBatch, 'manifestJson'>,
  { operatorLog }: Pick<Stores, 'operatorLog'>,
): Promise<boolean> {
  const head = headOf(batch)
  return head === undefined || head === ZERO_HASH || operatorLog.has(head)
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

/** Undefined for a batch whose manifest this store does not have. */
function headOf({ manifestJson }: Pick<StoredBatch, 'manifestJson'>): string | undefined {
  if (manifestJson === '') return undefined
  return (JSON.parse(manifestJson) as { operatorLog?: string }).operatorLog
}
