import type { Kysely, Migration } from 'kysely'

/** What all accounts together have spent on a day, for the forecast of the operator's budget. */
export const operatorDays: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('operator_days')
      .addColumn('day', 'bigint', (c) => c.primaryKey())
      .addColumn('currency', 'text', (c) => c.notNull())
      .addColumn('spent', 'text', (c) => c.notNull())
      .execute()
  },
}
