import { type Kysely, type Migration, sql } from 'kysely'

export const records: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('sources')
      .addColumn('name', 'text', (c) => c.primaryKey())
      .addColumn('read_until_ms', 'bigint', (c) => c.notNull())
      .addColumn('last_read_at_ms', 'bigint')
      .addColumn('facts', 'text')
      .addColumn('problem_code', 'text')
      .addColumn('problem', 'text')
      .execute()
    await db.schema
      .createTable('usage_records')
      .addColumn('source', 'text', (c) => c.notNull())
      .addColumn('request_id', 'text', (c) => c.notNull())
      .addColumn('started_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('ended_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('user', 'text', (c) => c.notNull())
      .addColumn('api_key', 'text', (c) => c.notNull())
      .addColumn('team_id', 'text', (c) => c.notNull())
      .addColumn('end_user', 'text', (c) => c.notNull())
      .addColumn('model', 'text', (c) => c.notNull())
      .addColumn('prompt_tokens', 'bigint', (c) => c.notNull().check(sql`prompt_tokens >= 0`))
      .addColumn('cached_prompt_tokens', 'bigint', (c) =>
        c.notNull().check(sql`cached_prompt_tokens between 0 and prompt_tokens`),
      )
      .addColumn('completion_tokens', 'bigint', (c) =>
        c.notNull().check(sql`completion_tokens >= 0`),
      )
      .addColumn('excluded', 'text')
      .addColumn('spend', 'text', (c) => c.notNull())
      .addColumn('seen_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('mapping_version', 'text')
      .addColumn('account', 'text')
      .addColumn('strategy', 'text')
      .addColumn('unmapped_reason', 'text')
      .addColumn('period_start', 'bigint')
      .addColumn('model_id', 'bigint')
      .addColumn('batch_seq', 'bigint')
      // What is in a batch is fixed, and has all that a batch fixes.
      .addCheckConstraint(
        'usage_records_claimed_whole',
        sql`batch_seq is null or (excluded is null and account is not null
          and period_start is not null and model_id is not null)`,
      )
      .addPrimaryKeyConstraint('usage_records_once', ['source', 'request_id'])
      .execute()
    await db.schema
      .createIndex('usage_records_waiting')
      .on('usage_records')
      .columns(['started_at_ms', 'mapping_version'])
      .where(sql.ref('batch_seq'), 'is', null)
      .where(sql.ref('excluded'), 'is', null)
      .execute()
    await db.schema
      .createIndex('usage_records_by_batch')
      .on('usage_records')
      .column('batch_seq')
      .where(sql.ref('batch_seq'), 'is not', null)
      .execute()
    await db.schema
      .createTable('rejects')
      .addColumn('source', 'text', (c) => c.notNull())
      .addColumn('request_id', 'text', (c) => c.notNull())
      .addColumn('reason', 'text', (c) => c.notNull())
      .addColumn('seen_at_ms', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('rejects_once', ['source', 'request_id', 'reason'])
      .execute()
    await db.schema
      .createTable('directory')
      .addColumn('payer', 'text', (c) => c.primaryKey())
      .addColumn('account', 'text', (c) => c.notNull())
      .execute()
  },
}
