import { type Kysely, type Migration, sql } from 'kysely'

/** What the page asks for often: usage of a stretch of time, transactions by what they were for. */
export const views: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createIndex('usage_records_by_start')
      .on('usage_records')
      .column('started_at_ms')
      .where(sql.ref('excluded'), 'is', null)
      .execute()
    await db.schema
      .createIndex('outbox_by_purpose')
      .ifNotExists()
      .on('outbox')
      .column('purpose')
      .execute()
  },
}
