import { type Kysely, type Migration, sql } from 'kysely'

/** What lowers a total: which records no longer count where they were sealed, and where they go. */
export const corrections: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('corrections')
      .addColumn('correction_id', 'bigint', (c) => c.primaryKey().check(sql`correction_id >= 1`))
      .addColumn('account', 'text', (c) => c.notNull())
      .addColumn('period_start', 'bigint', (c) => c.notNull())
      .addColumn('after_seq', 'bigint', (c) => c.notNull())
      // Decimal text: a sum of 1e-4 tokens may be beyond any engine's bigint.
      .addColumn('billable', 'text', (c) => c.notNull())
      .addColumn('reason', 'text', (c) => c.notNull())
      .addColumn('recorded_by', 'text', (c) => c.notNull())
      .addColumn('recorded_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('sealed_height', 'bigint')
      .addColumn('sealed_tx_id', 'text')
      .addColumn('sealed_billable', 'text')
      .addColumn('sealed_after_seq', 'bigint')
      .addColumn('listed_by', 'bigint')
      .addCheckConstraint(
        'corrections_sealed_whole',
        sql`(sealed_height is null) = (sealed_tx_id is null)
          and (sealed_height is null) = (sealed_billable is null)
          and (sealed_height is null) = (sealed_after_seq is null)
          and (listed_by is null or sealed_height is not null)`,
      )
      .execute()
    // Two that wait for Flow would each be made of a total that the other one changes.
    await db.schema
      .createIndex('corrections_one_pending')
      .unique()
      .on('corrections')
      .columns(['account', 'period_start'])
      .where(sql.ref('sealed_height'), 'is', null)
      .execute()
    await db.schema
      .createTable('record_moves')
      .addColumn('correction_id', 'bigint', (c) =>
        c.notNull().references('corrections.correction_id'),
      )
      .addColumn('moved_source', 'text', (c) => c.notNull())
      .addColumn('moved_request_id', 'text', (c) => c.notNull())
      .addColumn('from_model_id', 'bigint', (c) => c.notNull())
      .addColumn('to_account', 'text')
      .addColumn('to_period_start', 'bigint')
      .addColumn('to_model_id', 'bigint')
      .addColumn('counted_by', 'bigint')
      .addCheckConstraint(
        'record_moves_whole',
        sql`(to_account is null) = (to_period_start is null)
          and (to_account is null) = (to_model_id is null)
          and (counted_by is null or to_account is not null)`,
      )
      .addPrimaryKeyConstraint('record_moves_once', [
        'moved_source',
        'moved_request_id',
        'correction_id',
      ])
      .execute()
    for (const column of ['correction_id', 'counted_by']) {
      await db.schema
        .createIndex(`record_moves_by_${column}`)
        .on('record_moves')
        .column(column)
        .execute()
    }
    await db.schema
      .createTable('seen_corrections')
      .addColumn('tx_id', 'text', (c) => c.notNull())
      .addColumn('account', 'text', (c) => c.notNull())
      .addColumn('period_start', 'bigint', (c) => c.notNull())
      .addColumn('after_seq', 'bigint', (c) => c.notNull())
      .addColumn('billable', 'text', (c) => c.notNull())
      .addColumn('reason', 'text', (c) => c.notNull())
      .addColumn('height', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('seen_corrections_once', ['tx_id', 'account', 'period_start'])
      .execute()
    await countedRecords().execute(db)
  },
}

/**
 * Every record that a batch counts, where it counts now. A correction takes effect when Flow has
 * sealed it; then the record counts nowhere until a batch counts it where it went.
 */
const countedRecords = () => sql`
  create view counted_records as
  select r.source, r.request_id, r.started_at_ms, r."user", r.api_key, r.team_id, r.end_user,
    r.model,
    coalesce(d.capped_prompt_tokens, r.prompt_tokens) as prompt_tokens,
    coalesce(d.capped_cached_tokens, r.cached_prompt_tokens) as cached_prompt_tokens,
    coalesce(d.capped_completion_tokens, r.completion_tokens) as completion_tokens,
    case when m.correction_id is null then r.account else m.to_account end as account,
    case when m.correction_id is null then r.period_start else m.to_period_start end
      as period_start,
    case when m.correction_id is null then r.model_id else m.to_model_id end as model_id
  from usage_records r
  left join record_decisions d
    on d.decided_source = r.source and d.decided_request_id = r.request_id
  left join record_moves m
    on m.moved_source = r.source and m.moved_request_id = r.request_id
      and m.correction_id = (
        select max(x.correction_id) from record_moves x
          join corrections c on c.correction_id = x.correction_id
        where x.moved_source = r.source and x.moved_request_id = r.request_id
          and c.sealed_height is not null)
  where r.batch_seq is not null and (m.correction_id is null or m.counted_by is not null)`
