import type { Kysely, Migration } from 'kysely'

/** The page asks for transactions by what they were for. */
export const views: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema.createIndex('outbox_by_purpose').on('outbox').column('purpose').execute()
  },
}
