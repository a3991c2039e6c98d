import type { Kysely, Migration } from 'kysely'

/** Every entry is said again from the one before and the corrections in between, all the time. */
export const correctionsOfEntries: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createIndex('corrections_of_entries')
      .on('corrections')
      .columns(['account', 'period_start', 'listed_by'])
      .execute()
  },
}
