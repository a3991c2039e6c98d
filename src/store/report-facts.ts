import { type Kysely, sql } from 'kysely'
import type { BatchState } from '../domain/batch.js'
import { batchName, modelId } from '../domain/ids.js'
import type { Fate } from '../ports/lane.js'
import type { ReportFacts, ReportSpan } from '../ports/report-facts.js'
import { accountOf, accountText, count } from './columns.js'
import type { CountedRecordsView, Tables } from './tables.js'

export interface ReportTables {
  /** A view: every record that counts and has a vault, sealed or not yet. */
  reported_usage: Omit<CountedRecordsView, 'source' | 'request_id'>
}

/** Reading blocks this process: so many records are added up in some tens of milliseconds. */
const ROWS_A_SLICE = 2_500
const HOUR_MS = 3_600_000n

export function sqlReportFacts(db: Kysely<Tables>): ReportFacts {
  return {
    async usage({ fromMs, untilMs }, payerField, account) {
      const end = await sliceEnd(db, { fromMs, untilMs })
      const all = db
        .selectFrom('reported_usage')
        .select([
          ...(['account', 'period_start', 'model_id', 'model'] as const),
          sql.ref<string>(payerField).as('payer'),
          sql<bigint>`started_at_ms / ${sql.lit(HOUR_MS)}`.as('hour'),
          sql<bigint | string>`sum(prompt_tokens)`.as('prompt'),
          sql<bigint | string>`sum(cached_prompt_tokens)`.as('cached'),
          sql<bigint | string>`sum(completion_tokens)`.as('completion'),
          sql<bigint | string>`count(*)`.as('requests'),
        ])
        .where('started_at_ms', '>=', BigInt(fromMs))
        .where('started_at_ms', '<', BigInt(end))
        .groupBy([
          ...(['account', 'period_start', 'model_id', 'model'] as const),
          sql.ref(payerField),
          sql`started_at_ms / ${sql.lit(HOUR_MS)}`,
        ])
      const rows = await (account === undefined
        ? all
        : all.where('account', '=', accountText(account))
      ).execute()
      const cells = rows.map((row) => ({
        account: accountOf(row.account),
        periodStart: Number(row.period_start),
        modelId: modelId(Number(row.model_id)),
        model: row.model,
        payer: row.payer,
        hour: Number(row.hour),
        promptTokens: BigInt(row.prompt),
        cachedPromptTokens: BigInt(row.cached),
        completionTokens: BigInt(row.completion),
        requests: BigInt(row.requests),
      }))
      return { cells, untilMs: end }
    },

    async callDurations({ fromMs, untilMs }, limit) {
      const rows = await db
        .selectFrom('usage_records')
        .select(sql<bigint>`ended_at_ms - started_at_ms`.as('took'))
        .where('excluded', 'is', null)
        .where('started_at_ms', '>=', BigInt(fromMs))
        .where('started_at_ms', '<', BigInt(untilMs))
        .orderBy('started_at_ms', 'desc')
        .limit(limit)
        .execute()
      return rows.map(({ took }) => Number(took))
    },

    async transactions({ fromMs, untilMs }, limit) {
      const rows = await db
        .selectFrom('outbox')
        .select(['purpose', 'lane', 'fate', 'saved_at_ms', 'cost'])
        .select((outer) =>
          outer
            .selectFrom('outbox_variants')
            .select(({ fn }) => fn.countAll<bigint>().as('raises'))
            .whereRef('original_id', '=', 'outbox.tx_id')
            .as('raises'),
        )
        .where('saved_at_ms', '>=', BigInt(fromMs))
        .where('saved_at_ms', '<', BigInt(untilMs))
        .orderBy('saved_at_ms', 'desc')
        .limit(limit)
        .execute()
      return rows.map((row) => ({
        purpose: row.purpose,
        lane: row.lane,
        fate: row.fate as Fate,
        savedAtMs: Number(row.saved_at_ms),
        cost: row.cost === null ? undefined : BigInt(row.cost),
        raises: count(row.raises),
      }))
    },

    async batches({ fromMs, untilMs }, limit) {
      const rows = await db
        .selectFrom('batches')
        .select(['seq', 'state', 'sealed_at', 'changed_at_ms'])
        .where('sealed_at', '>=', BigInt(Math.floor(fromMs / 1000)))
        .where('sealed_at', '<', BigInt(Math.ceil(untilMs / 1000)))
        .orderBy('seq', 'desc')
        .limit(limit)
        .execute()
      return rows.map((row) => ({
        seq: batchName(row.seq),
        state: row.state as BatchState,
        sealedAtMs: Number(row.sealed_at) * 1000,
        changedAtMs: Number(row.changed_at_ms),
      }))
    },
  }
}

/** Where a slice of at most so many records ends: from the index alone, so it costs little. */
async function sliceEnd(db: Kysely<Tables>, { fromMs, untilMs }: ReportSpan): Promise<number> {
  const row = await db
    .selectFrom('usage_records')
    .select('started_at_ms')
    .where('excluded', 'is', null)
    .where('started_at_ms', '>=', BigInt(fromMs))
    .where('started_at_ms', '<', BigInt(untilMs))
    .orderBy('started_at_ms')
    .offset(ROWS_A_SLICE)
    .limit(1)
    .executeTakeFirst()
  // Where one millisecond holds more than a slice, that one is read whole.
  return row === undefined ? untilMs : Math.max(Number(row.started_at_ms), fromMs + 1)
}
