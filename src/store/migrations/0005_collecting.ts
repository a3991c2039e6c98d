import { type Kysely, type Migration, sql } from 'kysely'

/** How a source's re-scan and clock stand, and rows that changed after they were read. */
export const collecting: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema.alterTable('sources').addColumn('rescanned_at_ms', 'bigint').execute()
    await db.schema.alterTable('sources').addColumn('clock_skew_ms', 'bigint').execute()
    await db.schema
      .createTable('quarantine')
      .addColumn('source', 'text', (c) => c.notNull())
      .addColumn('request_id', 'text', (c) => c.notNull())
      .addColumn('differs', 'text', (c) => c.notNull())
      .addColumn('record_hash', 'text', (c) => c.notNull())
      .addColumn('record', 'text', (c) => c.notNull())
      .addColumn('seen_at_ms', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('quarantine_once', ['source', 'request_id', 'record_hash'])
      .execute()
    await db.schema
      .createIndex('usage_records_twins')
      .on('usage_records')
      .column('source')
      .where(sql.ref('excluded'), '=', sql.lit('twin_source'))
      .execute()
  },
}
