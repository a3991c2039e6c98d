import { type BatchSeq, batchSeq } from '../domain/ids.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { AppliedRecord } from '../ports/settler.js'
import type { AttributedRecord, BatchOutline, Stated, Stores } from '../ports/stores.js'
import { accountRanges } from './in-parts.js'
import { billableUnder } from './plan-of.js'

/** Flow keeps the roots of the newest 256 batches; older ones can no longer be settled. */
const ROOTS_HELD = 256n
/** As many as a batch takes in. */
const RESTATED_MAX = 5_000

type RestateStores = Pick<Stores, 'totals' | 'batches' | 'books' | 'corrections' | 'stops'>

/**
 * Every (vault, period) whose newest statement can no longer reach Flow: its batch was given up, or
 * its root is not held any more, and Flow has not applied it. The next batch states it again, and
 * so it does what a correction has lowered, and what an operator asks for once more. What Flow has
 * refused is not stated for ever: it waits for new usage, or for an operator. Without those that wait
 * for a correction or an operator; the first of them where there are more than the limit.
 */
export async function entriesToRestate(
  stores: RestateStores,
  limit = RESTATED_MAX,
): Promise<EntryKey[]> {
  const last = await stores.batches.last()
  if (last === undefined) return []
  const restated: EntryKey[] = []
  const known = {
    last: last.header.seq,
    corrected: new Set((await stores.corrections.unstated()).map(nameOf)),
    outlines: new Map<bigint, BatchOutline | undefined>(),
  }
  for await (const range of accountRanges(stores)) {
    const applied = new Map((await stores.books.applied(range)).map((one) => [nameOf(one), one]))
    for (const one of await stores.totals.restatable(range)) {
      const { accountNumber, periodStart } = one
      if (!(await isToRestate(one, applied.get(nameOf(one)), known, stores))) continue
      restated.push({ accountNumber, periodStart })
      if (restated.length === limit) return restated
    }
  }
  return restated
}

interface Known {
  readonly last: BatchSeq
  readonly corrected: ReadonlySet<string>
  /** Read once each; there are no more of them than batches that state something last. */
  readonly outlines: Map<bigint, BatchOutline | undefined>
}

async function isToRestate(
  stated: Stated,
  record: AppliedRecord | undefined,
  { last, corrected, outlines }: Known,
  stores: RestateStores,
): Promise<boolean> {
  const { statedBy } = stated
  if (corrected.has(nameOf(stated))) return true
  if (!outlines.has(statedBy)) outlines.set(statedBy, await stores.batches.outline(statedBy))
  const batch = outlines.get(statedBy)
  if (batch?.isAdopted) {
    // Another batch was anchored under this number, so the number says nothing of our total.
    const total = await billableUnder(stated, await stores.totals.of(stated), stores)
    return total !== undefined && total > (record?.billable ?? 0n)
  }
  if ((record?.lastSeq ?? 0n) >= statedBy) return false
  const isGivenUp = batch?.life.state === 'parked' || batch?.life.state === 'superseded'
  const isDead = isGivenUp || statedBy + ROOTS_HELD <= last
  return isDue(stated, batch, isDead, stores)
}

/** Of one that is not applied. */
async function isDue(
  key: EntryKey,
  batch: BatchOutline | undefined,
  isDead: boolean,
  stores: RestateStores,
): Promise<boolean> {
  const isSettled = batch?.life.state === 'settled'
  if (!isDead && !isSettled) return false
  const release = await stores.stops.released(key)
  if (release !== undefined && release.atMs > (batch?.sealedAt ?? 0) * 1000) return true
  if (!isDead) return false
  const [newest, before] = await stores.batches.statements(key, 2)
  if (newest?.result !== undefined && newest.result !== 'stale') return false // Refused, and said so.
  const isTwiceInVain =
    (await wasLeftOver(newest?.seq, release?.atMs, stores)) &&
    (await wasLeftOver(before?.seq, release?.atMs, stores))
  if (!isTwiceInVain) return true
  const why = `Flow refused it alone, in batch ${before?.seq} and again in batch ${newest?.seq}`
  await stores.stops.add(key, 'refused_alone', why)
  return false
}

/**
 * The batch got as far as settling, was parked there, and this entry of it had no result. One that was
 * given up since a later one states it all says no more where it was parked.
 */
async function wasLeftOver(
  seq: bigint | undefined,
  releasedAtMs: number | undefined,
  { batches }: RestateStores,
): Promise<boolean> {
  const batch = seq === undefined ? undefined : await batches.outline(batchSeq(seq))
  if (batch === undefined) return false
  const { life } = batch
  const isParkedSettling = life.state === 'parked' && life.from.state === 'accepted'
  if (!isParkedSettling && life.state !== 'superseded') return false
  return releasedAtMs === undefined || batch.sealedAt * 1000 >= releasedAtMs
}

/** A key for maps. */
export function nameOf({ accountNumber, periodStart }: EntryKey): string {
  return `${accountNumber}/${periodStart}`
}

/** The entry that a record counts in. */
export function keyOf({ account, periodStart }: AttributedRecord): EntryKey {
  return { accountNumber: account, periodStart }
}
