import { type Kysely, type Migration, sql } from 'kysely'

/** (Vault, period)s of which nothing is sealed until an operator has looked, and what batches charge. */
export const stops: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('entry_stops')
      .addColumn('stop_id', 'bigint', (c) => c.primaryKey())
      .addColumn('account', 'text', (c) => c.notNull())
      .addColumn('period_start', 'bigint', (c) => c.notNull())
      .addColumn('cause', 'text', (c) =>
        c
          .notNull()
          .check(sql`cause in ('refused_alone', 'above_history', 'above_day_limit', 'retried')`),
      )
      .addColumn('why', 'text', (c) => c.notNull())
      .addColumn('stopped_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('released_at_ms', 'bigint')
      // Decimal text, wad: what the period may cost in all before it is looked at again.
      .addColumn('released_up_to', 'text')
      .execute()
    await db.schema
      .createIndex('entry_stops_one_open')
      .unique()
      .on('entry_stops')
      .columns(['account', 'period_start'])
      .where(sql.ref('released_at_ms'), 'is', null)
      .execute()
    await db.schema
      .createIndex('entry_stops_by_entry')
      .on('entry_stops')
      .columns(['account', 'period_start'])
      .execute()
    await db.schema
      .createIndex('entries_by_key')
      .on('entries')
      .columns(['account', 'period_start', 'seq'])
      .execute()
    await db.schema
      .createTable('sealed_charges')
      .addColumn('seq', 'bigint', (c) => c.notNull().references('batches.seq'))
      .addColumn('currency', 'text', (c) => c.notNull())
      .addColumn('charge', 'text', (c) => c.notNull())
      .addColumn('sealed_at_ms', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('sealed_charges_once', ['seq', 'currency'])
      .execute()
  },
}
