import { type Kysely, type Selectable, sql } from 'kysely'
import { assert } from '../domain/errors.js'
import { type BatchId, modelId } from '../domain/ids.js'
import type { UsageRecord } from '../domain/usage-record.js'
import type { Clock } from '../ports/clock.js'
import type { AttributedRecord, Records, SourceState } from '../ports/stores.js'
import { claimedUsage, waitingUsage } from './claimed-usage.js'
import { accountOf, accountText, count } from './columns.js'
import { decided } from './decided.js'
import { callFacts, takeIn } from './intake.js'
import { decode, encode } from './json.js'
import { kept } from './kept.js'
import { pendingCorrection } from './pending-corrections.js'
import { saveReadings } from './readings.js'
import { unrecordedAt } from './seen-corrections.js'
import { openStop } from './stops.js'
import type { RecordDecisionsTable, SourcesTable, Tables, UsageRecordsTable } from './tables.js'

const ATTRIBUTED_TO = {
  account: 'usage_records.account',
  periodStart: 'usage_records.period_start',
}

const sourceOf = kept((db, name: string) =>
  db.selectFrom('sources').selectAll().where('name', '=', name),
)

function waiting(db: Kysely<Tables>) {
  return db
    .selectFrom('usage_records')
    .leftJoin('record_decisions', decided)
    .selectAll()
    .where('batch_seq', 'is', null)
    .where('excluded', 'is', null)
    .where(sql<boolean>`(verdict is null or verdict <> 'exclude')`)
    .orderBy('started_at_ms')
    .orderBy('request_id')
}

const unattributed = kept((db, mappingVersion: string, limit: number) =>
  waiting(db)
    .where((where) =>
      where.or([
        where('mapping_version', 'is', null),
        where('mapping_version', '!=', mappingVersion),
      ]),
    )
    .limit(limit),
)

const attributed = kept((db, mappingVersion: string, limit: number) =>
  waiting(db)
    .where('mapping_version', '=', mappingVersion)
    .where('account', 'is not', null)
    // What waits for a correction or an operator must not keep the others from being read.
    .where(({ not, exists }) => not(exists(pendingCorrection(db, ATTRIBUTED_TO))))
    .where(({ not, exists }) => not(exists(openStop(db, ATTRIBUTED_TO))))
    .where(({ not, exists }) => not(exists(unrecordedAt(db, ATTRIBUTED_TO))))
    .limit(limit),
)

export function sqlRecords(db: Kysely<Tables>, clock: Clock): Records {
  return {
    async source(name) {
      const [row] = await sourceOf(db, name)
      return row === undefined ? undefined : sourceState(row)
    },

    async sources() {
      const rows = await db.selectFrom('sources').selectAll().orderBy('name').execute()
      return rows.map(sourceState)
    },

    async addSource(name, readUntilMs) {
      await db
        .insertInto('sources')
        .values({
          name,
          read_until_ms: BigInt(readUntilMs),
          collect_from_ms: BigInt(readUntilMs),
          last_read_at_ms: null,
          rescanned_at_ms: null,
          clock_skew_ms: null,
          facts: null,
          problem_code: null,
          problem: null,
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    },

    saveSlice: (source, slice, readAtMs) =>
      inTransaction(db, async (tx) => {
        const seenAtMs = BigInt(clock.now())
        const added = await takeIn(tx, source, slice, seenAtMs)
        for (const reject of slice.rejects) {
          const { requestId: request_id, reason } = reject
          await tx
            .insertInto('rejects')
            .values({ source: reject.source, request_id, reason, seen_at_ms: seenAtMs })
            .onConflict((conflict) => conflict.doNothing())
            .execute()
        }
        await saveReadings(tx, source, slice.readings ?? [])
        const until = BigInt(slice.range.untilMs)
        await tx
          .updateTable('sources')
          .set({
            // A re-scan ends below the cursor, which never goes back.
            read_until_ms: sql`case when read_until_ms < ${until} then ${until} else read_until_ms end`,
            last_read_at_ms: BigInt(readAtMs),
            problem_code: null,
            problem: null,
          })
          .where('name', '=', source)
          .execute()
        return added
      }),

    async saveProblem(source, problem_code, problem) {
      await db
        .updateTable('sources')
        .set({ problem_code, problem })
        .where('name', '=', source)
        .execute()
    },

    async saveFacts(source, facts) {
      await db
        .updateTable('sources')
        .set({ facts: encode(facts) })
        .where('name', '=', source)
        .execute()
    },

    async saveProgress(source, { clockSkewMs, rescannedAtMs }) {
      await db
        .updateTable('sources')
        .set({
          ...(clockSkewMs === undefined ? {} : { clock_skew_ms: BigInt(clockSkewMs) }),
          ...(rescannedAtMs === undefined ? {} : { rescanned_at_ms: BigInt(rescannedAtMs) }),
        })
        .where('name', '=', source)
        .execute()
    },

    async rejects(limit) {
      const rows = await db
        .selectFrom('rejects')
        .selectAll()
        .orderBy('seen_at_ms', 'desc')
        .orderBy('request_id')
        .limit(limit)
        .execute()
      return rows.map(({ source, request_id: requestId, reason, seen_at_ms }) => ({
        ...{ source, requestId, reason },
        seenAtMs: Number(seen_at_ms),
      }))
    },

    async unattributed(mappingVersion, limit) {
      return (await unattributed(db, mappingVersion, limit)).map(usageRecord)
    },

    saveAttributions: (mapping_version, found) =>
      inTransaction(db, async (tx) => {
        for (const one of found) {
          const attribution =
            one.account === undefined
              ? { account: null, strategy: null, period_start: null, model_id: null }
              : {
                  account: accountText(one.account),
                  strategy: one.strategy,
                  period_start: BigInt(one.periodStart),
                  model_id: BigInt(one.modelId),
                }
          const unmapped_reason = one.account === undefined ? one.reason : null
          await tx
            .updateTable('usage_records')
            .set({ mapping_version, unmapped_reason, ...attribution })
            .where('source', '=', one.key.source)
            .where('request_id', '=', one.key.requestId)
            .where('batch_seq', 'is', null)
            .execute()
        }
      }),

    async attributed(mappingVersion, limit) {
      return (await attributed(db, mappingVersion, limit)).map(attributedRecord)
    },

    waitingOf: (key) => waitingUsage(db, key),

    async claim(id, records) {
      for (const record of records) await claimOne(db, id, record)
    },

    async claimedBy(id) {
      const rows = await db
        .selectFrom('usage_records')
        .leftJoin('record_decisions', decided)
        .selectAll()
        .where('batch_seq', '=', id)
        .orderBy('started_at_ms')
        .orderBy('request_id')
        .execute()
      return rows.map(attributedRecord)
    },

    claimedUsage: (range) => claimedUsage(db, range),

    counts: () => recordCounts(db),

    async unmappedPayers(limit) {
      const rows = await waiting(db)
        .clearSelect()
        .clearOrderBy()
        .select(['user', 'unmapped_reason', sql<bigint>`count(*)`.as('records')])
        .where('unmapped_reason', 'is not', null)
        .groupBy(['user', 'unmapped_reason'])
        .orderBy('records', 'desc')
        .limit(limit)
        .execute()
      return rows.map(({ user, unmapped_reason, records }) => ({
        payer: user,
        reason: unmapped_reason ?? '',
        records: count(records),
      }))
    },
  }
}

async function claimOne(db: Kysely<Tables>, id: BatchId, record: AttributedRecord): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('usage_records')
    .set({
      batch_seq: id,
      account: accountText(record.account),
      period_start: BigInt(record.periodStart),
      model_id: BigInt(record.modelId),
    })
    .where('source', '=', record.key.source)
    .where('request_id', '=', record.key.requestId)
    .where('batch_seq', 'is', null)
    .executeTakeFirstOrThrow()
  assert(
    numUpdatedRows === 1n,
    `${record.key.source}/${record.key.requestId} is in a batch already`,
  )
}

/**
 * Of what is done only numbers are asked, which indexes alone answer; rows are read of what waits.
 * Whoever looks at the page asks it all the time.
 */
async function recordCounts(db: Kysely<Tables>): ReturnType<Records['counts']> {
  // In the order of the index of what waits, or every record is read.
  const open = db
    .selectFrom('usage_records')
    .selectAll()
    .where('batch_seq', 'is', null)
    .where('excluded', 'is', null)
    .orderBy('started_at_ms')
    .orderBy('request_id')
    .limit(Number.MAX_SAFE_INTEGER)
  const waits = sql`not exists (select 1 from record_decisions where decided_source = source
    and decided_request_id = request_id and verdict = 'exclude')`
  const row = await db
    .selectFrom(open.as('usage_records'))
    .select([
      // One statement, so that nothing moves from one number to another in between.
      sql<bigint>`(select count(*) from usage_records)`.as('records'),
      sql<bigint>`(select count(*) from usage_records where batch_seq is not null)`.as('claimed'),
      sql<bigint>`count(*)`.as('open'),
      sql<bigint>`count(case when ${waits} and mapping_version is null then 1 end)`.as('fresh'),
      sql<bigint>`count(case when ${waits} and unmapped_reason is not null then 1 end)`.as(
        'unmapped',
      ),
      sql<bigint>`count(case when ${waits} and account is not null then 1 end)`.as('attributed'),
      sql<
        bigint | null
      >`min(case when ${waits} and mapping_version is null then seen_at_ms end)`.as('fresh_since'),
      sql<
        bigint | null
      >`min(case when ${waits} and unmapped_reason is not null then seen_at_ms end)`.as(
        'unmapped_since',
      ),
      sql<bigint | null>`min(case when ${waits} and account is not null and not exists (
        select 1 from entry_stops s where s.account = usage_records.account
          and s.period_start = usage_records.period_start and s.released_at_ms is null)
        and not exists ${pendingCorrection(db, ATTRIBUTED_TO)} then seen_at_ms end)`.as(
        'attributed_since',
      ),
    ])
    .executeTakeFirstOrThrow()
  const rejects = await db
    .selectFrom('rejects')
    .select(sql<bigint>`count(*)`.as('rejects'))
    .executeTakeFirstOrThrow()
  return {
    records: count(row.records),
    // What is neither in a batch nor open: a record in a batch is excluded by nothing.
    excluded: count(row.records) - count(row.claimed) - count(row.open),
    rejects: count(rejects.rejects),
    unattributed: count(row.fresh),
    unmapped: count(row.unmapped),
    attributed: count(row.attributed),
    claimed: count(row.claimed),
    waitingSinceMs: {
      unattributed: optional(row.fresh_since),
      unmapped: optional(row.unmapped_since),
      attributed: optional(row.attributed_since),
    },
  }
}

/** A slice's transaction of its own, unless it is already part of one. */
function inTransaction<Result>(
  db: Kysely<Tables>,
  work: (tx: Kysely<Tables>) => Promise<Result>,
): Promise<Result> {
  return db.isTransaction ? work(db) : db.transaction().execute(work)
}

function optional(value: bigint | null): number | undefined {
  return value === null ? undefined : Number(value)
}

export function usageRecord(row: Selectable<UsageRecordsTable>): UsageRecord {
  return {
    key: { source: row.source, requestId: row.request_id },
    endedAtMs: Number(row.ended_at_ms),
    ...callFacts(row),
    spend: row.spend,
  }
}

type CappedTokens = Pick<
  RecordDecisionsTable,
  'capped_prompt_tokens' | 'capped_cached_tokens' | 'capped_completion_tokens'
>

/** With the tokens that count: a cap is a part of what the batch states and of its receipts. */
function attributedRecord(row: Selectable<UsageRecordsTable> & CappedTokens): AttributedRecord {
  assert(row.account !== null && row.period_start !== null && row.model_id !== null)
  return {
    ...usageRecord(row),
    promptTokens: row.capped_prompt_tokens ?? row.prompt_tokens,
    cachedPromptTokens: row.capped_cached_tokens ?? row.cached_prompt_tokens,
    completionTokens: row.capped_completion_tokens ?? row.completion_tokens,
    account: accountOf(row.account),
    periodStart: Number(row.period_start),
    modelId: modelId(Number(row.model_id)),
  }
}

function sourceState(row: Selectable<SourcesTable>): SourceState {
  return {
    name: row.name,
    readUntilMs: Number(row.read_until_ms),
    collectFromMs: Number(row.collect_from_ms ?? 0n),
    lastReadAtMs: optional(row.last_read_at_ms),
    rescannedAtMs: optional(row.rescanned_at_ms),
    clockSkewMs: optional(row.clock_skew_ms),
    facts: row.facts === null ? undefined : decode(row.facts),
    problem:
      row.problem_code === null
        ? undefined
        : { code: row.problem_code, message: row.problem ?? '' },
  }
}
