import { type Kysely, type Selectable, sql } from 'kysely'
import { type BatchHeader, type BatchState, isOver } from '../domain/batch.js'
import { type Hex, hash, isHex } from '../domain/bytes.js'
import { assert } from '../domain/errors.js'
import {
  type BatchId,
  batchId,
  batchName,
  batchSeq,
  eraOf,
  seqOf,
  storedBatchId,
} from '../domain/ids.js'
import type { Clock } from '../ports/clock.js'
import type { EntryResult } from '../ports/settler.js'
import type { Batches, NewEntry, StoredBatch, StoredEntry } from '../ports/stores.js'
import { tellStage } from '../runtime/measures.js'
import { accountOf, accountText, count } from './columns.js'
import { decode, encode } from './json.js'
import { kept } from './kept.js'
import { sqlMeters } from './meters.js'
import type { BatchesTable, EntriesTable, Tables } from './tables.js'

const lastBatch = kept((db) => db.selectFrom('batches').selectAll().orderBy('seq', 'desc').limit(1))

const batchOf = kept((db, id: BatchId) =>
  db.selectFrom('batches').selectAll().where('seq', '=', id),
)

const oldestBatchIn = kept((db, ...states: BatchState[]) =>
  db.selectFrom('batches').selectAll().where('state', 'in', states).orderBy('seq').limit(1),
)

const entriesOf = kept((db, id: BatchId) =>
  db.selectFrom('entries').selectAll().where('seq', '=', id).orderBy('position'),
)

const statementBefore = kept((db, account: string, periodStart: bigint, id: BatchId) =>
  db
    .selectFrom('entries')
    .selectAll()
    .where('account', '=', account)
    .where('period_start', '=', periodStart)
    .where('seq', '<', id)
    .orderBy('seq', 'desc')
    .limit(1),
)

export function sqlBatches(db: Kysely<Tables>, clock: Clock): Batches {
  const update = (id: BatchId) => db.updateTable('batches').where('seq', '=', id)
  const select = () => db.selectFrom('batches').selectAll()
  const idOf = async ({ seq }: BatchHeader) => batchId(seq, (await sqlMeters(db).current()).era)
  const one = (row: Selectable<BatchesTable> | undefined) =>
    row === undefined ? undefined : storedBatch(row)
  return {
    last: async () => one((await lastBatch(db))[0]),
    get: async (id) => one((await batchOf(db, id))[0]),
    oldestIn: async (...states) => one((await oldestBatchIn(db, ...states))[0]),
    async parked(from, limit) {
      const rows = await db
        .selectFrom('batches')
        .select(['seq', 'life'])
        .where('state', '=', 'parked')
        .where('seq', '>=', from)
        .orderBy('seq')
        .limit(limit)
        .execute()
      return rows.map(({ seq, life }) => ({ id: storedBatchId(seq), life: decode(life) }))
    },

    async outline(id) {
      const row = await db
        .selectFrom('batches')
        .select(['sealed_at', 'life'])
        .select(sql<bigint | number>`case when manifest_json = '' then 1 else 0 end`.as('adopted'))
        .where('seq', '=', id)
        .executeTakeFirst()
      if (row === undefined) return undefined
      const isAdopted = count(row.adopted) === 1
      return { sealedAt: Number(row.sealed_at), life: decode(row.life), isAdopted }
    },

    newest: async (limit) =>
      (await select().orderBy('seq', 'desc').limit(limit).execute()).map(storedBatch),

    page: async (from, limit) =>
      (await select().where('seq', '>=', from).orderBy('seq').limit(limit).execute()).map(
        storedBatch,
      ),

    async add(header, manifestJson, entries) {
      const id = await idOf(header)
      await db
        .insertInto('batches')
        .values({ ...batchRow(header, manifestJson, clock.now()), seq: id })
        .execute()
      for (const entry of entries) {
        await db.insertInto('entries').values(entryRow(id, entry)).execute()
      }
    },

    async adopt(header) {
      const row = { ...batchRow(header, '', clock.now()), seq: await idOf(header) }
      const life = { state: 'superseded', life: encode({ state: 'superseded' }) }
      await db
        .insertInto('batches')
        .values({ ...row, ...life })
        .onConflict((conflict) => conflict.column('seq').doUpdateSet({ ...row, ...life }))
        .execute()
    },

    async saveSignature(id, signature) {
      await update(id).set({ signature }).execute()
    },

    async saveLife(id, life) {
      const changed_at_ms = BigInt(clock.now())
      const before = await db
        .selectFrom('batches')
        .select(['state', 'changed_at_ms', 'root', 'sealed_at'])
        .where('seq', '=', id)
        .executeTakeFirst()
      await update(id)
        .set({ state: life.state, life: encode(life), changed_at_ms })
        .execute()
      if (before === undefined || before.state === life.state) return
      tellStage({
        batch: {
          name: batchName(id),
          root: before.root,
          sealedAtMs: Number(before.sealed_at) * 1000,
        },
        state: before.state,
        sinceMs: Number(before.changed_at_ms),
        untilMs: Number(changed_at_ms),
        next: life.state,
        isLast: isOver(life),
        ...('anchor' in life ? { txId: life.anchor.txHash } : {}),
        ...('round' in life ? { round: life.round } : {}),
      })
    },

    async saveProof(id, proof) {
      await update(id)
        .set({ proof: encode(proof) })
        .execute()
    },

    async entries(id) {
      return (await entriesOf(db, id)).map(storedEntry)
    },

    async newestIn(id) {
      const rows = await db
        .selectFrom('entries')
        .innerJoin('stated_totals as s', (join) =>
          join
            .onRef('s.account', '=', 'entries.account')
            .onRef('s.period_start', '=', 'entries.period_start'),
        )
        .selectAll('entries')
        .where('entries.seq', '=', id)
        .where('s.stated_by', '<=', id)
        .orderBy('position')
        .execute()
      return rows.map(storedEntry)
    },

    async statements({ accountNumber, periodStart }, limit) {
      const rows = await db
        .selectFrom('entries')
        .selectAll()
        .where('account', '=', accountText(accountNumber))
        .where('period_start', '=', BigInt(periodStart))
        .orderBy('seq', 'desc')
        .limit(limit)
        .execute()
      return rows.map(storedEntry)
    },

    async statementBefore({ accountNumber, periodStart }, id) {
      const [row] = await statementBefore(db, accountText(accountNumber), BigInt(periodStart), id)
      return row === undefined ? undefined : storedEntry(row)
    },

    async size(id) {
      const { rows } = await sql<{ readonly rows: bigint | number }>`select
          (select count(*) from entries where seq = ${id})
          + (select count(*) from usage_records where batch_seq = ${id}) as rows`.execute(db)
      return rows.reduce((sum, row) => sum + count(row.rows), 0)
    },

    refused: async (limit) =>
      (await refusedEntries(db).selectAll('entries').limit(limit).execute()).map(storedEntry),

    async saveResult(id, { accountNumber, periodStart }, result, txId) {
      await db
        .updateTable('entries')
        .set({ result, tx_id: txId })
        .where('seq', '=', id)
        .where('account', '=', accountText(accountNumber))
        .where('period_start', '=', BigInt(periodStart))
        // What was applied stays applied: bringing it again is `stale`, and changes nothing.
        .where((where) => where.or([where('result', 'is', null), where('result', '!=', 'applied')]))
        .execute()
    },

    counts: () => batchCounts(db),
  }
}

async function batchCounts(db: Kysely<Tables>): ReturnType<Batches['counts']> {
  const rows = await db
    .selectFrom('batches')
    .select([
      'state',
      sql<bigint>`count(*)`.as('batches'),
      sql<bigint>`min(changed_at_ms)`.as('at'),
    ])
    .groupBy('state')
    .execute()
  const refused = await refusedEntries(db)
    .select(sql<bigint>`count(*)`.as('entries'))
    .executeTakeFirstOrThrow()
  return {
    states: Object.fromEntries(rows.map(({ state, batches }) => [state, count(batches)])),
    oldestChangeAtMs: Object.fromEntries(rows.map(({ state, at }) => [state, count(at)])),
    refusedEntries: count(refused.entries),
    gaps: await missingNumbers(db),
  }
}

/** In these words there is an index of them. */
const isRefused = sql<boolean>`result is not null and result not in ('applied', 'stale')`

/** Each meter counts from 1. */
async function missingNumbers(db: Kysely<Tables>): Promise<bigint> {
  const { held } = await db
    .selectFrom('batches')
    .select(sql<bigint | number>`count(*)`.as('held'))
    .executeTakeFirstOrThrow()
  let numbers = 0n
  for (const { era } of await sqlMeters(db).all()) {
    const { last } = await db
      .selectFrom('batches')
      .select(sql<bigint | null>`max(seq)`.as('last'))
      .where('seq', '<', batchId(0n, era + 1))
      .executeTakeFirstOrThrow()
    if (last !== null && eraOf(last) === era) numbers += seqOf(last)
  }
  return numbers - BigInt(held)
}

/** The newest statement counts: what a later one has applied is refused no more. */
function refusedEntries(db: Kysely<Tables>) {
  return db
    .selectFrom('entries')
    .innerJoin('stated_totals as s', (join) =>
      join
        .onRef('s.account', '=', 'entries.account')
        .onRef('s.period_start', '=', 'entries.period_start')
        .onRef('s.stated_by', '=', 'entries.seq'),
    )
    .where(isRefused)
}

function batchRow(header: BatchHeader, manifestJson: string, nowMs: number): BatchesTable {
  return {
    seq: header.seq,
    root: header.root,
    prev_root: header.prevRoot,
    sealed_at: BigInt(header.sealedAt),
    target: header.target,
    manifest: header.manifest,
    manifest_json: manifestJson,
    signature: null,
    proof: null,
    state: 'sealed' satisfies BatchState,
    life: encode({ state: 'sealed' }),
    changed_at_ms: BigInt(nowMs),
  }
}

function entryRow(id: BatchId, entry: NewEntry): EntriesTable {
  return {
    seq: id,
    position: BigInt(entry.position),
    account: accountText(entry.accountNumber),
    period_start: BigInt(entry.periodStart),
    records_root: entry.recordsRoot,
    bytes: entry.bytes,
    leaf: entry.leaf,
    result: null,
    tx_id: null,
  }
}

function storedBatch(row: Selectable<BatchesTable>): StoredBatch {
  return {
    id: storedBatchId(row.seq),
    header: {
      seq: batchSeq(seqOf(row.seq)),
      root: hash(row.root),
      prevRoot: hash(row.prev_root),
      sealedAt: Number(row.sealed_at),
      target: hash(row.target),
      manifest: hash(row.manifest),
    },
    life: decode(row.life),
    manifestJson: row.manifest_json,
    signature: row.signature === null ? undefined : hexOf(row.signature),
    proof: row.proof === null ? undefined : decode(row.proof),
    changedAtMs: Number(row.changed_at_ms),
  }
}

function storedEntry(row: Selectable<EntriesTable>): StoredEntry {
  return {
    batch: storedBatchId(row.seq),
    position: Number(row.position),
    accountNumber: accountOf(row.account),
    periodStart: Number(row.period_start),
    bytes: hexOf(row.bytes),
    leaf: hash(row.leaf),
    result: row.result === null ? undefined : (row.result as EntryResult),
    txId: row.tx_id ?? undefined,
  }
}

function hexOf(text: string): Hex {
  assert(isHex(text), 'the store holds bytes as lower-case hexadecimal')
  return text
}
