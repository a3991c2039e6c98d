import { type Kysely, type Migration, sql } from 'kysely'

export const batches: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('batches')
      .addColumn('seq', 'bigint', (c) => c.primaryKey().check(sql`seq >= 1`))
      .addColumn('root', 'text', (c) => c.notNull())
      .addColumn('prev_root', 'text', (c) => c.notNull())
      .addColumn('sealed_at', 'bigint', (c) => c.notNull())
      .addColumn('target', 'text', (c) => c.notNull())
      .addColumn('manifest', 'text', (c) => c.notNull())
      .addColumn('manifest_json', 'text', (c) => c.notNull())
      .addColumn('signature', 'text')
      .addColumn('proof', 'text')
      .addColumn('state', 'text', (c) =>
        c.notNull().check(sql`state in ('sealed', 'anchored', 'requested', 'finalised', 'attested',
          'accepted', 'settled', 'superseded', 'parked')`),
      )
      .addColumn('life', 'text', (c) => c.notNull())
      .addColumn('changed_at_ms', 'bigint', (c) => c.notNull())
      .execute()
    await db.schema
      .createTable('entries')
      .addColumn('seq', 'bigint', (c) => c.notNull().references('batches.seq'))
      .addColumn('position', 'bigint', (c) => c.notNull())
      .addColumn('account', 'text', (c) => c.notNull())
      .addColumn('period_start', 'bigint', (c) => c.notNull())
      .addColumn('records_root', 'text', (c) => c.notNull())
      .addColumn('bytes', 'text', (c) => c.notNull())
      .addColumn('leaf', 'text', (c) => c.notNull())
      .addColumn('result', 'text')
      .addColumn('tx_id', 'text')
      .addPrimaryKeyConstraint('entries_by_position', ['seq', 'position'])
      .addUniqueConstraint('entries_once', ['seq', 'account', 'period_start'])
      .execute()
    await db.schema
      .createTable('usage_totals')
      .addColumn('account', 'text', (c) => c.notNull())
      .addColumn('period_start', 'bigint', (c) => c.notNull())
      .addColumn('model_id', 'bigint', (c) => c.notNull())
      .addColumn('prompt_tokens', 'bigint', (c) => c.notNull())
      .addColumn('cached_prompt_tokens', 'bigint', (c) => c.notNull())
      .addColumn('completion_tokens', 'bigint', (c) => c.notNull())
      .addColumn('requests', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('usage_totals_once', ['account', 'period_start', 'model_id'])
      .execute()
    await db.schema
      .createTable('stated_totals')
      .addColumn('account', 'text', (c) => c.notNull())
      .addColumn('period_start', 'bigint', (c) => c.notNull())
      .addColumn('stated_by', 'bigint', (c) => c.notNull().references('batches.seq'))
      .addPrimaryKeyConstraint('stated_totals_once', ['account', 'period_start'])
      .execute()
  },
}
