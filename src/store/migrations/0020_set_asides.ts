import { type Kysely, type Migration, sql } from 'kysely'

/** What operators decided about rows that were set aside. An empty hash means the record itself. */
export const setAsides: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('set_aside_verdicts')
      .addColumn('verdict_source', 'text', (c) => c.notNull())
      .addColumn('verdict_request_id', 'text', (c) => c.notNull())
      .addColumn('verdict_row_hash', 'text', (c) => c.notNull())
      .addColumn('verdict', 'text', (c) =>
        c.notNull().check(sql`verdict in ('count', 'instead', 'dismiss')`),
      )
      .addColumn('reason', 'text', (c) => c.notNull())
      .addColumn('decided_at_ms', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('set_aside_verdicts_once', [
        'verdict_source',
        'verdict_request_id',
        'verdict_row_hash',
      ])
      .execute()
    await db.schema.dropIndex('usage_records_twins').execute()
    await db.schema
      .createIndex('usage_records_set_aside')
      .on('usage_records')
      .columns(['source', 'excluded'])
      .where(sql`excluded`, 'in', sql`('twin_source', 'held_failure', 'held_client_disconnected')`)
      .execute()
  },
}
