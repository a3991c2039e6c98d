import type { Kysely, Migration } from 'kysely'

/** The hash of the operator's table: no row while it has to be computed anew. */
export const directoryVersion: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('directory_version')
      .addColumn('version', 'text', (c) => c.primaryKey())
      .execute()
  },
}
