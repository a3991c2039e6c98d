import { type Kysely, sql } from 'kysely'
import type { Clock } from '../ports/clock.js'
import type { Stop, StopCause, Stops } from '../ports/stops.js'
import { accountOf, accountText } from './columns.js'
import { type EntryColumns, seenCorrection, unrecordedCorrections } from './seen-corrections.js'
import type { Tables } from './tables.js'

/** What a list of them has room for. */
const STOPS_SHOWN_MAX = 1_000

export function sqlStops(db: Kysely<Tables>, clock: Clock): Stops {
  const columnsOf = ({ accountNumber, periodStart }: Parameters<Stops['released']>[0]) => ({
    account: accountText(accountNumber),
    period_start: BigInt(periodStart),
  })
  const insert = async (
    key: Parameters<Stops['released']>[0],
    row: {
      cause: StopCause
      why: string
      released_at_ms: bigint | null
      released_up_to: string | null
    },
  ): Promise<void> => {
    const last = await db
      .selectFrom('entry_stops')
      .select(sql<bigint | null>`max(stop_id)`.as('id'))
      .executeTakeFirstOrThrow()
    await db
      .insertInto('entry_stops')
      .values({
        stop_id: (last.id ?? 0n) + 1n,
        ...columnsOf(key),
        stopped_at_ms: BigInt(clock.now()),
        ...row,
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
  return {
    add: (key, cause, why) =>
      insert(key, { cause, why, released_at_ms: null, released_up_to: null }),

    async open(limit = STOPS_SHOWN_MAX) {
      const rows = await db
        .selectFrom('entry_stops')
        .selectAll()
        .where('released_at_ms', 'is', null)
        .orderBy('stop_id')
        .limit(limit)
        .execute()
      const noted = rows.map((row) => ({
        accountNumber: accountOf(row.account),
        periodStart: Number(row.period_start),
        cause: row.cause as StopCause,
        why: row.why,
        stoppedAtMs: Number(row.stopped_at_ms),
      }))
      return [...noted, ...(await correctedOnFlow(db, limit - noted.length))]
    },

    async isOpen(key) {
      const { account, period_start } = columnsOf(key)
      const row = await db
        .selectFrom('entry_stops')
        .select('stop_id')
        .where('account', '=', account)
        .where('period_start', '=', period_start)
        .where('released_at_ms', 'is', null)
        .executeTakeFirst()
      if (row !== undefined) return true
      const corrected = await unrecordedCorrections(db)
        .select('u.tx_id')
        .where('u.account', '=', account)
        .where('u.period_start', '=', period_start)
        .executeTakeFirst()
      return corrected !== undefined
    },

    async release(key, upTo) {
      const { account, period_start } = columnsOf(key)
      await db
        .updateTable('seen_corrections')
        .set({ acknowledged_at_ms: BigInt(clock.now()) })
        .where('account', '=', account)
        .where('period_start', '=', period_start)
        .where('acknowledged_at_ms', 'is', null)
        .execute()
      const released = { released_at_ms: BigInt(clock.now()), released_up_to: upTo.toString() }
      const { numUpdatedRows } = await db
        .updateTable('entry_stops')
        .set(released)
        .where('account', '=', account)
        .where('period_start', '=', period_start)
        .where('released_at_ms', 'is', null)
        .executeTakeFirstOrThrow()
      if (numUpdatedRows > 0n) return
      await insert(key, { cause: 'retried', why: 'asked for once more', ...released })
    },

    async released(key) {
      const { account, period_start } = columnsOf(key)
      const row = await db
        .selectFrom('entry_stops')
        .select(['released_at_ms', 'released_up_to'])
        .where('account', '=', account)
        .where('period_start', '=', period_start)
        .where('released_at_ms', 'is not', null)
        .orderBy('stop_id', 'desc')
        .limit(1)
        .executeTakeFirst()
      if (row === undefined) return undefined
      return { atMs: Number(row.released_at_ms), upTo: BigInt(row.released_up_to ?? 0) }
    },

    async saveCharge(id, currency, charge) {
      await db
        .insertInto('sealed_charges')
        .values({ seq: id, currency, charge: charge.toString(), sealed_at_ms: BigInt(clock.now()) })
        .execute()
    },

    async chargedSince(currency, sinceMs) {
      const rows = await db
        .selectFrom('sealed_charges')
        .select('charge')
        .where('currency', '=', currency)
        .where('sealed_at_ms', '>=', BigInt(sinceMs))
        .execute()
      return rows.reduce((sum, { charge }) => sum + BigInt(charge), 0n)
    },
  }
}

/** Their own word is in no row: they are stops until a correction is recorded for them, or a release. */
async function correctedOnFlow(db: Kysely<Tables>, limit: number): Promise<Stop[]> {
  const rows = await unrecordedCorrections(db).selectAll().orderBy('height').limit(limit).execute()
  return rows.map((row) => {
    const { accountNumber, periodStart, billable, reason, txId } = seenCorrection(row)
    return {
      accountNumber,
      periodStart,
      cause: 'corrected_on_flow',
      why:
        `the provider lowered it on Flow to ${billable} (1e-4 tokens, "${reason}", transaction ` +
        `${txId}) and no record here says so: flowmeter correct or correct waive records it; ` +
        'released, the next usage states the total of here again',
      stoppedAtMs: Number(row.seen_at_ms),
    }
  })
}

/** Of the (vault, period) in columns of the outer query. */
export function openStop(db: Kysely<Tables>, { account, periodStart }: EntryColumns) {
  return db
    .selectFrom('entry_stops')
    .select('stop_id')
    .whereRef('entry_stops.account', '=', sql.ref(account))
    .whereRef('entry_stops.period_start', '=', sql.ref(periodStart))
    .where('released_at_ms', 'is', null)
}
