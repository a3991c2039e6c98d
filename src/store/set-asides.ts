import { type Kysely, type Selectable, sql } from 'kysely'
import { storedBatchId } from '../domain/ids.js'
import {
  changedKey,
  HELD_REASONS,
  type SetAside,
  type SetAsideReason,
} from '../domain/set-aside.js'
import type { UsageRecord } from '../domain/usage-record.js'
import type { Clock } from '../ports/clock.js'
import type { SetAsideChoice, SetAsides, Verdict } from '../ports/set-asides.js'
import { count } from './columns.js'
import { inTransaction } from './in-transaction.js'
import { insertRecords } from './intake.js'
import { decode } from './json.js'
import { usageRecord } from './records.js'
import type { QuarantineTable, Tables } from './tables.js'

type Kept = 'count' | 'instead' | 'dismiss'

/** Why a record that was read first does not count any more. */
const REPLACED = 'replaced'

/** Word by word as the partial index has it: only so does the planner see that it is covered. */
const isHeld = sql<boolean>`excluded in (${sql.raw(
  HELD_REASONS.map((reason) => `'${reason}'`).join(', '),
)})`

export function sqlSetAsides(db: Kysely<Tables>, clock: Clock): SetAsides {
  return {
    async waiting(choice, limit) {
      const changed = await changedRows(db, choice, limit)
      const held = await heldRecords(db, choice, limit)
      return [...changed, ...held].sort((a, b) => b.seenAtMs - a.seenAtMs).slice(0, limit)
    },

    async counts() {
      const changed = await undecidedRows(db)
        .select(({ fn }) => ['source', fn.countAll<bigint>().as('rows')])
        .groupBy('source')
        .orderBy('source')
        .execute()
      const held = await undecidedRecords(db)
        .select(({ fn }) => ['source', 'excluded', fn.countAll<bigint>().as('rows')])
        .groupBy(['source', 'excluded'])
        .orderBy('source')
        .orderBy('excluded')
        .execute()
      return [
        ...changed.map(({ source, rows }) => ({
          source,
          reason: 'changed' as const,
          rows: count(rows),
        })),
        ...held.map(({ source, excluded, rows }) => ({
          source,
          reason: excluded as SetAsideReason,
          rows: count(rows),
        })),
      ]
    },

    letCount: (row, isInstead) =>
      inTransaction(db, async (tx): Promise<Verdict> => {
        const isReplacing = isInstead && row.reason === 'changed'
        const sealedBy = isReplacing ? await batchOf(tx, row.record) : null
        if (sealedBy !== null) return { outcome: 'sealed', batch: storedBatchId(sealedBy) }
        const replacedBy = isReplacing ? await replacementOf(tx, row.record) : undefined
        if (replacedBy !== undefined) return { outcome: 'decided', replacedBy }
        const word = isReplacing ? 'instead' : 'count'
        if (!(await keep(tx, row, word, clock))) return { outcome: 'decided' }
        if (row.reason !== 'changed') await release(tx, row)
        else if ((await insertChanged(tx, row, isReplacing, clock)) === 0) {
          return { outcome: 'decided' } // With other details, and the same bill.
        } else if (isReplacing) await replace(tx, row.record)
        return { outcome: 'counts' }
      }),

    dismiss: (row) => inTransaction(db, (tx) => keep(tx, row, 'dismiss', clock)),
  }
}

/** Rows of quarantine without a word on them. */
function undecidedRows(db: Kysely<Tables>) {
  return db.selectFrom('quarantine').where(
    sql<boolean>`not exists (select 1 from set_aside_verdicts where verdict_source = source
        and verdict_request_id = request_id and verdict_row_hash = record_hash)`,
  )
}

function undecidedRecords(db: Kysely<Tables>) {
  return db
    .selectFrom('usage_records')
    .where(isHeld)
    .where(
      sql<boolean>`not exists (select 1 from set_aside_verdicts where verdict_source = source
        and verdict_request_id = request_id and verdict_row_hash = '')`,
    )
}

async function changedRows(
  db: Kysely<Tables>,
  { source, requestId, reason, rowHash }: SetAsideChoice,
  limit: number,
): Promise<SetAside[]> {
  if (reason !== undefined && reason !== 'changed') return []
  const rows = await undecidedRows(db)
    .selectAll()
    .$if(source !== undefined, (query) => query.where('source', '=', source ?? ''))
    .$if(requestId !== undefined, (query) => query.where('request_id', '=', requestId ?? ''))
    .$if(rowHash !== undefined, (query) => query.where('record_hash', 'like', `${rowHash}%`))
    .orderBy('seen_at_ms', 'desc')
    .orderBy('request_id')
    .limit(limit)
    .execute()
  return rows.map(changedRow)
}

function changedRow(row: Selectable<QuarantineTable>): SetAside {
  return {
    record: decode<UsageRecord>(row.record),
    reason: 'changed',
    differs: row.differs.split(','),
    rowHash: row.record_hash,
    seenAtMs: count(row.seen_at_ms),
  }
}

async function heldRecords(
  db: Kysely<Tables>,
  { source, requestId, reason, rowHash }: SetAsideChoice,
  limit: number,
): Promise<SetAside[]> {
  if (reason === 'changed' || rowHash !== undefined) return []
  const rows = await undecidedRecords(db)
    .selectAll()
    .$if(source !== undefined, (query) => query.where('source', '=', source ?? ''))
    .$if(requestId !== undefined, (query) => query.where('request_id', '=', requestId ?? ''))
    .$if(reason !== undefined, (query) => query.where('excluded', '=', reason ?? ''))
    .orderBy('seen_at_ms', 'desc')
    .orderBy('request_id')
    .limit(limit)
    .execute()
  return rows.map((row) => ({
    record: usageRecord(row),
    reason: row.excluded as SetAsideReason,
    differs: [],
    rowHash: '',
    seenAtMs: count(row.seen_at_ms),
  }))
}

/** Returns false, and keeps nothing, when there is a word on the row already. */
async function keep(
  db: Kysely<Tables>,
  { record, rowHash, reason, differs }: SetAside,
  verdict: Kept,
  clock: Clock,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows = 0n } = await db
    .insertInto('set_aside_verdicts')
    .values({
      verdict_source: record.key.source,
      verdict_request_id: record.key.requestId,
      verdict_row_hash: rowHash,
      verdict,
      reason: [reason, ...differs].join(' '),
      decided_at_ms: BigInt(clock.now()),
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirstOrThrow()
  return numInsertedOrUpdatedRows === 1n
}

async function batchOf(db: Kysely<Tables>, { key }: UsageRecord): Promise<bigint | null> {
  const row = await db
    .selectFrom('usage_records')
    .select('batch_seq')
    .where('source', '=', key.source)
    .where('request_id', '=', key.requestId)
    .executeTakeFirst()
  return row?.batch_seq ?? null
}

/** The row that counts in place of the first one already: a second would be one call billed twice. */
async function replacementOf(
  db: Kysely<Tables>,
  { key }: UsageRecord,
): Promise<string | undefined> {
  const row = await db
    .selectFrom('set_aside_verdicts')
    .select('verdict_row_hash')
    .where('verdict_source', '=', key.source)
    .where('verdict_request_id', '=', key.requestId)
    .where('verdict', '=', 'instead' satisfies Kept)
    .executeTakeFirst()
  return row?.verdict_row_hash
}

/** A record of its own. Beside the first it counts whatever it says of itself; in its place, as it is. */
function insertChanged(
  db: Kysely<Tables>,
  { record }: SetAside,
  isReplacing: boolean,
  clock: Clock,
): Promise<number> {
  const { excluded: _, ...billable } = record
  const row = { ...(isReplacing ? record : billable), key: changedKey(record) }
  return insertRecords(db, [row], new Set(), BigInt(clock.now()))
}

/** The record waits like any new one from here on. */
async function release(db: Kysely<Tables>, { record, reason }: SetAside): Promise<void> {
  await db
    .updateTable('usage_records')
    .set({ excluded: null, mapping_version: null })
    .where('source', '=', record.key.source)
    .where('request_id', '=', record.key.requestId)
    .where('excluded', '=', reason)
    .execute()
}

async function replace(db: Kysely<Tables>, { key }: UsageRecord): Promise<void> {
  await db
    .updateTable('usage_records')
    .set({ excluded: REPLACED, account: null, strategy: null, unmapped_reason: null })
    .where('source', '=', key.source)
    .where('request_id', '=', key.requestId)
    .where('excluded', 'is', null)
    .where('batch_seq', 'is', null)
    .execute()
}
