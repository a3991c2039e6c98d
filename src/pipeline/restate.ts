import { batchSeq } from '../domain/ids.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { AttributedRecord, Stores } from '../ports/stores.js'

/** Flow keeps the roots of the newest 256 batches; older ones can no longer be settled. */
const ROOTS_HELD = 256n

/**
 * Every (vault, period) whose newest statement can no longer reach Flow: its batch was given up, or
 * its root is not held any more, and Flow has not applied it. The next batch states it again, and
 * so it does what a correction has lowered.
 */
export async function entriesToRestate(
  stores: Pick<Stores, 'totals' | 'batches' | 'books' | 'corrections'>,
): Promise<EntryKey[]> {
  const last = await stores.batches.last()
  if (last === undefined) return []
  const corrected = new Set((await stores.corrections.unstated()).map(nameOf))
  const applied = new Map(
    (await stores.books.applied()).map((record) => [nameOf(record), record.lastSeq]),
  )
  const isDead = new Map<bigint, boolean>()
  const restated: EntryKey[] = []
  for (const total of await stores.totals.all()) {
    if (corrected.has(nameOf(total))) {
      restated.push({ accountNumber: total.accountNumber, periodStart: total.periodStart })
      continue
    }
    if ((applied.get(nameOf(total)) ?? 0n) >= total.statedBy) continue
    let dead = isDead.get(total.statedBy)
    if (dead === undefined) {
      const batch = await stores.batches.get(batchSeq(total.statedBy))
      const isGivenUp = batch?.life.state === 'parked' || batch?.life.state === 'superseded'
      dead = isGivenUp || total.statedBy + ROOTS_HELD <= last.header.seq
      isDead.set(total.statedBy, dead)
    }
    if (dead) restated.push({ accountNumber: total.accountNumber, periodStart: total.periodStart })
  }
  return restated
}

/** A key for maps. */
export function nameOf({ accountNumber, periodStart }: EntryKey): string {
  return `${accountNumber}/${periodStart}`
}

/** The entry that a record counts in. */
export function keyOf({ account, periodStart }: AttributedRecord): EntryKey {
  return { accountNumber: account, periodStart }
}
