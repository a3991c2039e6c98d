import { type Kysely, type Migration, sql } from 'kysely'

export const outbox: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('outbox')
      .addColumn('tx_id', 'text', (c) => c.primaryKey())
      .addColumn('lane', 'text', (c) => c.notNull())
      .addColumn('purpose', 'text', (c) => c.notNull())
      .addColumn('tx_bytes', 'text', (c) => c.notNull())
      .addColumn('saved_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('fate', 'text', (c) =>
        c.notNull().check(sql`fate in ('open', 'landed', 'refused', 'gone')`),
      )
      .execute()
    // Two open transactions for one purpose could do its work twice, and two on one lane would
    // carry the same number: no such rows can exist.
    for (const column of ['purpose', 'lane']) {
      await db.schema
        .createIndex(`outbox_one_open_per_${column}`)
        .unique()
        .on('outbox')
        .column(column)
        .where(sql.ref('fate'), '=', sql.lit('open'))
        .execute()
    }
  },
}
