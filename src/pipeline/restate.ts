import { type BatchId, batchName, eraOf } from '../domain/ids.js'
import { periodAt } from '../domain/period.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { AttributedRecord, BatchOutline, Stores } from '../ports/stores.js'
import { appliedBatch } from './meter-era.js'
import { billableUnder } from './plan-of.js'

/** Flow keeps the roots of the newest 256 batches; older ones can no longer be settled. */
const ROOTS_HELD = 256n

type RestateStores = Pick<
  Stores,
  'totals' | 'batches' | 'books' | 'corrections' | 'stops' | 'meters'
>

/**
 * Every (vault, period) whose newest statement can no longer reach Flow: its batch was given up, or
 * its root is not held any more, and Flow has not applied it. The next batch states it again, and
 * so it does what a correction has lowered, and what an operator asks for once more. What Flow has
 * refused is not stated for ever: it waits for new usage, or for an operator.
 *
 * What a revoked meter stated last is stated again by the next one where Flow has not applied all of
 * it, and in any case while its period goes on.
 */
export async function entriesToRestate(stores: RestateStores, nowMs: number): Promise<EntryKey[]> {
  const last = await stores.batches.last()
  if (last === undefined) return []
  const corrected = new Set((await stores.corrections.unstated()).map(nameOf))
  const applied = new Map((await stores.books.applied()).map((record) => [nameOf(record), record]))
  const eras = await stores.meters.all()
  const era = eras.length - 1
  const outlines = new Map<bigint, BatchOutline | undefined>()
  const restated: EntryKey[] = []
  for (const { accountNumber, periodStart, statedBy } of await stores.totals.all()) {
    const key = { accountNumber, periodStart }
    if (corrected.has(nameOf(key))) {
      restated.push(key)
      continue
    }
    if (!outlines.has(statedBy)) outlines.set(statedBy, await stores.batches.outline(statedBy))
    const batch = outlines.get(statedBy)
    const record = applied.get(nameOf(key))
    const isOfOldMeter = eraOf(statedBy) < era
    if (batch?.isAdopted || isOfOldMeter) {
      // Its number says nothing of our total: another batch was anchored under it, or its meter's
      // batches count no more.
      const total = await billableUnder(key, await stores.totals.of(key), stores)
      const isBehind = total !== undefined && total > (record?.billable ?? 0n)
      const standing = isOfOldMeter ? await standingOf(key, nowMs, stores) : 'over'
      if (standing !== 'too old' && (isBehind || standing === 'going on')) restated.push(key)
      continue
    }
    if (record !== undefined && appliedBatch(record, eras) >= statedBy) continue
    const isGivenUp = batch?.life.state === 'parked' || batch?.life.state === 'superseded'
    const isDead = isGivenUp || statedBy + ROOTS_HELD <= last.id
    if (await isDue(key, batch, isDead, stores)) restated.push(key)
  }
  return restated
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
  nowMs: number,
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
