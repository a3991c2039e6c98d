import { type Kysely, type Migration, sql } from 'kysely'

/** What operators did, each row bound to the one before. */
export const operatorLog: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('operator_log')
      .addColumn('log_id', 'bigint', (c) => c.primaryKey().check(sql`log_id >= 1`))
      .addColumn('at_ms', 'bigint', (c) => c.notNull())
      .addColumn('who', 'text', (c) => c.notNull())
      .addColumn('verb', 'text', (c) => c.notNull())
      .addColumn('arguments', 'text', (c) => c.notNull())
      .addColumn('reason', 'text', (c) => c.notNull())
      .addColumn('prev_hash', 'text', (c) => c.notNull().unique())
      .addColumn('hash', 'text', (c) => c.notNull().unique())
      .execute()
  },
}
