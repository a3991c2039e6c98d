import { type Kysely, type Selectable, sql } from 'kysely'
import { modelId, storedBatchId } from '../domain/ids.js'
import type { UsageTotal } from '../domain/usage-total.js'
import type { Clock } from '../ports/clock.js'
import type { Correction, Corrections } from '../ports/corrections.js'
import { accountOf, accountText, count } from './columns.js'
import { countedRecords, movedRecords } from './counted-records.js'
import { inTransaction } from './in-transaction.js'
import { pendingCorrection } from './pending-corrections.js'
import { seenCorrection, unrecordedAt, unrecordedCorrections } from './seen-corrections.js'
import { openStop } from './stops.js'
import type { CorrectionsTable, Tables } from './tables.js'

const MOVED_TO = {
  account: 'record_moves.to_account',
  periodStart: 'record_moves.to_period_start',
}

export function sqlCorrections(db: Kysely<Tables>, clock: Clock): Corrections {
  const select = () => db.selectFrom('corrections').selectAll()
  const whole = async (rows: readonly Selectable<CorrectionsTable>[]): Promise<Correction[]> => {
    const found: Correction[] = []
    for (const row of rows) found.push(correction(row, await takenBy(db, row.correction_id)))
    return found
  }
  return {
    record: (fresh) =>
      inTransaction(db, async (tx) => {
        const last = await tx
          .selectFrom('corrections')
          .select(sql<bigint | null>`max(correction_id)`.as('id'))
          .executeTakeFirstOrThrow()
        const id = (last.id ?? 0n) + 1n
        await tx
          .insertInto('corrections')
          .values({
            correction_id: id,
            account: accountText(fresh.accountNumber),
            period_start: BigInt(fresh.periodStart),
            after_seq: fresh.afterSeq,
            billable: fresh.billable.toString(),
            reason: fresh.reason,
            recorded_by: fresh.by,
            recorded_at_ms: BigInt(clock.now()),
            ...{ sealed_height: null, sealed_tx_id: null, sealed_billable: null },
            ...{ sealed_after_seq: null, listed_by: null },
          })
          .execute()
        for (const { key, modelId: from, to } of fresh.records) {
          await tx
            .insertInto('record_moves')
            .values({
              correction_id: id,
              moved_source: key.source,
              moved_request_id: key.requestId,
              from_model_id: BigInt(from),
              to_account: to === undefined ? null : accountText(to.accountNumber),
              to_period_start: to === undefined ? null : BigInt(to.periodStart),
              to_model_id: to === undefined ? null : BigInt(to.modelId),
              counted_by: null,
            })
            .execute()
        }
        const row = await tx
          .selectFrom('corrections')
          .selectAll()
          .where('correction_id', '=', id)
          .executeTakeFirstOrThrow()
        return correction(row, await takenBy(tx, id))
      }),

    pending: async () =>
      whole(await select().where('sealed_height', 'is', null).orderBy('correction_id').execute()),

    async countPending() {
      const row = await db
        .selectFrom('corrections')
        .select(sql<bigint>`count(*)`.as('corrections'))
        .where('sealed_height', 'is', null)
        .executeTakeFirstOrThrow()
      return count(row.corrections)
    },

    list: async (limit) =>
      whole(await select().orderBy('correction_id', 'desc').limit(limit).execute()),

    async saveSealed(id, { height, txId, afterSeq, billable }) {
      await db
        .updateTable('corrections')
        .set({
          sealed_height: BigInt(height),
          sealed_tx_id: txId,
          sealed_after_seq: afterSeq,
          sealed_billable: billable.toString(),
        })
        .where('correction_id', '=', BigInt(id))
        .where('sealed_height', 'is', null)
        .execute()
    },

    async unstated() {
      const rows = await db
        .selectFrom('corrections as c')
        .innerJoin('stated_totals as s', (join) =>
          join.onRef('s.account', '=', 'c.account').onRef('s.period_start', '=', 'c.period_start'),
        )
        .select(['c.account', 'c.period_start'])
        .select(sql<bigint | string>`max(c.sealed_after_seq)`.as('after_seq'))
        .where('c.sealed_height', 'is not', null)
        .whereRef('s.stated_by', '<=', 'c.sealed_after_seq')
        .groupBy(['c.account', 'c.period_start'])
        .execute()
      return rows.map((row) => ({
        accountNumber: accountOf(row.account),
        periodStart: Number(row.period_start),
        afterSeq: storedBatchId(BigInt(row.after_seq)),
      }))
    },

    listedOf: async ({ accountNumber, periodStart }, { after, until }) =>
      whole(
        await select()
          .where('account', '=', accountText(accountNumber))
          .where('period_start', '=', BigInt(periodStart))
          .where('listed_by', '>', storedBatchId(after))
          .where('listed_by', '<=', until)
          .orderBy('correction_id')
          .execute(),
      ),

    unlisted: async () =>
      whole(
        await select()
          .where('sealed_height', 'is not', null)
          .where('listed_by', 'is', null)
          .orderBy('correction_id')
          .execute(),
      ),

    async saveListed(ids, seq) {
      if (ids.length === 0) return
      await db
        .updateTable('corrections')
        .set({ listed_by: seq })
        .where('correction_id', 'in', ids.map(BigInt))
        .where('listed_by', 'is', null)
        .execute()
    },

    counted: (choice) => countedRecords(db, choice),

    recountable: (limit) =>
      movedRecords(db, (moves) =>
        moves
          .where('sealed_height', 'is not', null)
          .where('counted_by', 'is', null)
          .where('to_account', 'is not', null)
          // As with fresh records: what has to wait must not keep the others from being read.
          .where(({ not, exists }) => not(exists(pendingCorrection(db, MOVED_TO))))
          .where(({ not, exists }) => not(exists(openStop(db, MOVED_TO))))
          .where(({ not, exists }) => not(exists(unrecordedAt(db, MOVED_TO))))
          .limit(limit),
      ),

    recountableOf: ({ accountNumber, periodStart }) =>
      movedRecords(db, (moves) =>
        moves
          .where('sealed_height', 'is not', null)
          .where('counted_by', 'is', null)
          .where('to_account', '=', accountText(accountNumber))
          .where('to_period_start', '=', BigInt(periodStart)),
      ),

    async claimMoved(seq, records) {
      for (const { correctionId, key, modelId: id } of records) {
        await db
          .updateTable('record_moves')
          .set({ counted_by: seq, to_model_id: BigInt(id) })
          .where('correction_id', '=', BigInt(correctionId))
          .where('moved_source', '=', key.source)
          .where('moved_request_id', '=', key.requestId)
          .where('counted_by', 'is', null)
          .execute()
      }
    },

    movedBy: (seq) => movedRecords(db, (moves) => moves.where('counted_by', '=', seq)),

    async saveSeen(one) {
      await db
        .insertInto('seen_corrections')
        .values({
          tx_id: one.txId,
          account: accountText(one.accountNumber),
          period_start: BigInt(one.periodStart),
          after_seq: one.afterSeq,
          billable: one.billable.toString(),
          reason: one.reason,
          height: BigInt(one.height),
          seen_at_ms: BigInt(clock.now()),
          acknowledged_at_ms: null,
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    },

    async unrecorded() {
      const rows = await unrecordedCorrections(db).selectAll().orderBy('height').execute()
      return rows.map(seenCorrection)
    },

    async seenOf({ accountNumber, periodStart }) {
      const rows = await db
        .selectFrom('seen_corrections')
        .selectAll()
        .where('account', '=', accountText(accountNumber))
        .where('period_start', '=', BigInt(periodStart))
        .orderBy('height')
        .execute()
      return rows.map(seenCorrection)
    },
  }
}

/** What its records counted, row by row, as they were sealed. */
async function takenBy(db: Kysely<Tables>, id: bigint): Promise<UsageTotal[]> {
  const rows = await db
    .selectFrom('record_moves as m')
    .innerJoin('usage_records as r', (join) =>
      join
        .onRef('r.source', '=', 'm.moved_source')
        .onRef('r.request_id', '=', 'm.moved_request_id'),
    )
    .leftJoin('record_decisions as d', (join) =>
      join
        .onRef('d.decided_source', '=', 'r.source')
        .onRef('d.decided_request_id', '=', 'r.request_id'),
    )
    .select([
      'm.from_model_id as model',
      sql<bigint | string>`sum(coalesce(d.capped_prompt_tokens, r.prompt_tokens))`.as('prompt'),
      sql<bigint | string>`sum(coalesce(d.capped_cached_tokens, r.cached_prompt_tokens))`.as(
        'cached',
      ),
      sql<bigint | string>`sum(coalesce(d.capped_completion_tokens, r.completion_tokens))`.as(
        'completion',
      ),
      sql<bigint | string>`count(*)`.as('requests'),
    ])
    .where('m.correction_id', '=', id)
    .groupBy('m.from_model_id')
    .orderBy('m.from_model_id')
    .execute()
  return rows.map((row) => ({
    modelId: modelId(Number(row.model)),
    promptTokens: BigInt(row.prompt),
    cachedPromptTokens: BigInt(row.cached),
    completionTokens: BigInt(row.completion),
    requests: BigInt(row.requests),
  }))
}

function correction(row: Selectable<CorrectionsTable>, taken: UsageTotal[]): Correction {
  const { sealed_height: height, sealed_tx_id: txId, sealed_billable: billable } = row
  const { sealed_after_seq: afterSeq } = row
  return {
    id: Number(row.correction_id),
    accountNumber: accountOf(row.account),
    periodStart: Number(row.period_start),
    afterSeq: storedBatchId(row.after_seq),
    billable: BigInt(row.billable),
    reason: row.reason,
    by: row.recorded_by,
    recordedAtMs: Number(row.recorded_at_ms),
    taken,
    records: Number(taken.reduce((sum, { requests }) => sum + requests, 0n)),
    ...(height === null || txId === null || billable === null || afterSeq === null
      ? {}
      : {
          sealed: {
            height: Number(height),
            txId,
            afterSeq: storedBatchId(afterSeq),
            billable: BigInt(billable),
          },
        }),
    ...(row.listed_by === null ? {} : { listedBy: storedBatchId(row.listed_by) }),
  }
}
