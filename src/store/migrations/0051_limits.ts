import { type Kysely, type Migration, sql } from 'kysely'

/** What lets a part be looked at where all of it would have to be read: see docs/limits.md. */
export const limits: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createIndex('usage_records_by_account')
      .on('usage_records')
      .columns(['account', 'period_start'])
      .where(sql.ref('account'), 'is not', null)
      .execute()
    await sql`create index entries_refused on entries (account, period_start)
      where result is not null and result not in ('applied', 'stale')`.execute(db)
    await db.schema
      .createTable('rivals_version')
      .addColumn('id', 'bigint', (c) => c.primaryKey().check(sql`id = 1`))
      .addColumn('version', 'bigint', (c) => c.notNull())
      .execute()
  },
}
