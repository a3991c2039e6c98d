import type { Kysely, Migration } from 'kysely'

/** Where a source began: nothing older is ever read, however far back a reading goes. */
export const collectFrom: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema.alterTable('sources').addColumn('collect_from_ms', 'bigint').execute()
  },
}
