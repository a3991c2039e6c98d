import type { Kysely, Migration } from 'kysely'

/** What the provider corrected on Flow without a record here waits until an operator has looked. */
export const unrecordedCorrections: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // Each on its own: SQLite adds one column a statement. 0: seen before this was written down.
    await db.schema
      .alterTable('seen_corrections')
      .addColumn('seen_at_ms', 'bigint', (c) => c.notNull().defaultTo(0))
      .execute()
    await db.schema
      .alterTable('seen_corrections')
      .addColumn('acknowledged_at_ms', 'bigint')
      .execute()
    await db.schema
      .createIndex('seen_corrections_by_entry')
      .on('seen_corrections')
      .columns(['account', 'period_start'])
      .execute()
  },
}
