import type { Kysely, Migration } from 'kysely'

/** Our rows held against the sums that a source keeps beside them. */
export const controls: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('control_sources')
      .addColumn('source', 'text', (c) => c.primaryKey())
      .addColumn('first_day', 'text', (c) => c.notNull())
      .execute()
    await db.schema
      .createTable('control_days')
      .addColumn('source', 'text', (c) => c.notNull())
      .addColumn('day', 'text', (c) => c.notNull())
      .addColumn('compared_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('compared', 'bigint', (c) => c.notNull())
      .addColumn('differences', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('control_days_once', ['source', 'day'])
      .execute()
    // Rows arrive nearly in this order, so keeping it costs little.
    await db.schema
      .createIndex('usage_records_by_start')
      .on('usage_records')
      .columns(['source', 'started_at_ms'])
      .execute()
  },
}
