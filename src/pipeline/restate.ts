import { type BatchId, batchName, eraOf } from '../domain/ids.js'
import { periodAt } from '../domain/period.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { Era } from '../ports/meters.js'
import type { AppliedRecord } from '../ports/settler.js'
import type { AttributedRecord, BatchOutline, Stated, Stores } from '../ports/stores.js'
import { accountRanges } from './in-parts.js'
import { appliedBatch } from './meter-era.js'
import { billableUnder } from './plan-of.js'

/** Flow keeps the roots of the newest 256 batches; older ones can no longer be settled. */
const ROOTS_HELD = 256n
/** As many as a batch takes in. */
const RESTATED_MAX = 5_000

type RestateStores = Pick<
  Stores,
  'totals' | 'batches' | 'books' | 'corrections' | 'stops' | 'meters'
>

/**
 * Every (vault, period) whose newest statement can no longer reach Flow: its batch was given up, or
 * its root is not held any more, and Flow has not applied it. The next batch states it again, and
 * so it does what a correction has lowered, and what an operator asks for once more. What Flow has
 * refused is not stated for ever: it waits for new usage, or for an operator. Without those that wait
 * for a correction or an operator; the first of them where there are more than the limit.
 *
 * What a revoked meter stated last is stated again by the next one where Flow has not applied all of
 * it, and in any case while its period goes on.
 */
export async function entriesToRestate(
  stores: RestateStores,
  nowMs: number,
  limit = RESTATED_MAX,
): Promise<EntryKey[]> {
  const last = await stores.batches.last()
  if (last === undefined) return []
  const restated: EntryKey[] = []
  const known = {
    last: last.id,
    nowMs,
    eras: await stores.meters.all(),
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
  readonly last: BatchId
  readonly nowMs: number
  readonly eras: readonly Era[]
  readonly corrected: ReadonlySet<string>
  /** Read once each; there are no more of them than batches that state something last. */
  readonly outlines: Map<bigint, BatchOutline | undefined>
}

async function isToRestate(
  stated: Stated,
  record: AppliedRecord | undefined,
  known: Known,
  stores: RestateStores,
): Promise<boolean> {
  const { statedBy } = stated
  const { last, corrected, outlines, eras } = known
  if (corrected.has(nameOf(stated))) return true
  if (!outlines.has(statedBy)) outlines.set(statedBy, await stores.batches.outline(statedBy))
  const batch = outlines.get(statedBy)
  const isOfOldMeter = eraOf(statedBy) < eras.length - 1
  const standing = isOfOldMeter ? await standingOf(stated, known, stores) : 'over'
  if (standing !== 'over') return standing === 'going on'
  if (batch?.isAdopted || isOfOldMeter) {
    // Its number says nothing of our total: another batch was anchored under it, or its meter's
    // batches count no more.
    const total = await billableUnder(stated, await stores.totals.of(stated), stores)
    return total !== undefined && total > (record?.billable ?? 0n)
  }
  if (record !== undefined && appliedBatch(record, eras) >= statedBy) return false
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
    (await wasLeftOver(newest?.batch, release?.atMs, stores)) &&
    (await wasLeftOver(before?.batch, release?.atMs, stores))
  if (!isTwiceInVain) return true
  const [first, again] = [before, newest].map((one) => batchName(one?.batch ?? 0n))
  const why = `Flow refused it alone, in batch ${first} and again in batch ${again}`
  await stores.stops.add(key, 'refused_alone', why)
  return false
}

/**
 * The batch got as far as settling, was parked there, and this entry of it had no result. One that was
 * given up since a later one states it all says no more where it was parked.
 */
async function wasLeftOver(
  id: BatchId | undefined,
  releasedAtMs: number | undefined,
  { batches }: RestateStores,
): Promise<boolean> {
  const batch = id === undefined ? undefined : await batches.outline(id)
  if (batch === undefined) return false
  const { life } = batch
  const isParkedSettling = life.state === 'parked' && life.from.state === 'accepted'
  const isGivenUp = life.state === 'superseded' && life.reason === undefined // Not void.
  if (!isParkedSettling && !isGivenUp) return false
  return releasedAtMs === undefined || batch.sealedAt * 1000 >= releasedAtMs
}

/** Of the period, at the vault's own length, and below the floor of what Flow takes. */
async function standingOf(
  { accountNumber, periodStart }: EntryKey,
  { nowMs }: Known,
  { books }: Pick<Stores, 'books'>,
): Promise<'too old' | 'going on' | 'over'> {
  const [vault] = await books.vaults([accountNumber])
  if (vault === undefined) return 'over'
  if (periodStart < vault.floor) return 'too old'
  return periodAt(nowMs, vault.periodKind).startsAt === periodStart ? 'going on' : 'over'
}

/** A key for maps. */
export function nameOf({ accountNumber, periodStart }: EntryKey): string {
  return `${accountNumber}/${periodStart}`
}

/** The entry that a record counts in. */
export function keyOf({ account, periodStart }: AttributedRecord): EntryKey {
  return { accountNumber: account, periodStart }
}
