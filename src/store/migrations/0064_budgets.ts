import { type Kysely, type Migration, sql } from 'kysely'

/** Budgets, tiers, what accounts have spent and how long they last. Money is decimal text, in wad. */
export const budgets: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // What waits of a vault's period, and what a vault used lately, without its other records.
    await db.schema
      .createIndex('usage_records_unsealed_by_account')
      .on('usage_records')
      .columns(['account', 'period_start'])
      .where(sql.ref('batch_seq'), 'is', null)
      .where(sql.ref('excluded'), 'is', null)
      .execute()
    await db.schema
      .createIndex('usage_records_by_account_time')
      .on('usage_records')
      .columns(['account', 'started_at_ms'])
      .where(sql.ref('excluded'), 'is', null)
      .execute()
    // What was read and not looked at yet.
    await db.schema
      .createIndex('usage_records_fresh')
      .on('usage_records')
      .column('started_at_ms')
      .where(sql.ref('mapping_version'), 'is', null)
      .where(sql.ref('batch_seq'), 'is', null)
      .where(sql.ref('excluded'), 'is', null)
      .execute()
    await db.schema
      .createTable('budgets')
      // An account's number of 20 digits, or `operator`.
      .addColumn('subject', 'text', (c) => c.primaryKey())
      .addColumn('hard', 'text', (c) => c.notNull())
      .addColumn('soft', 'text')
      .addColumn('currency', 'text', (c) => c.notNull())
      .addColumn('days', 'bigint', (c) => c.notNull().check(sql`days between 1 and 366`))
      .addColumn('from_day', 'bigint', (c) => c.notNull())
      // Of the operator's: what all accounts have spent in the window that begins on that day.
      .addColumn('seen_from_day', 'bigint')
      .addColumn('seen_spent', 'text')
      .execute()
    await db.schema
      .createTable('account_tiers')
      .addColumn('account', 'text', (c) => c.primaryKey())
      .addColumn('tier', 'text', (c) => c.notNull())
      .execute()
    await db.schema
      .createTable('spend_marks')
      .addColumn('account', 'text', (c) => c.notNull())
      .addColumn('day', 'bigint', (c) => c.notNull())
      .addColumn('spent_before', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('spend_marks_once', ['account', 'day'])
      .execute()
    await db.schema.createIndex('spend_marks_by_day').on('spend_marks').column('day').execute()
    await db.schema
      .createTable('runways')
      .addColumn('account', 'text', (c) => c.primaryKey())
      .addColumn('level', 'text', (c) =>
        c.notNull().check(sql`level in ('ok', 'warn', 'soft', 'dry')`),
      )
      .addColumn('is_stale', 'bigint', (c) => c.notNull())
      .addColumn('looked_at_ms', 'bigint', (c) => c.notNull())
      // One JSON document: see ports/runways.ts.
      .addColumn('runway', 'text', (c) => c.notNull())
      .execute()
    await db.schema
      .createIndex('runways_by_level')
      .on('runways')
      .columns(['level', 'is_stale'])
      .execute()
  },
}
