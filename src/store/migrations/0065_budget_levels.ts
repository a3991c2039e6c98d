import type { Kysely, Migration } from 'kysely'

/** Which accounts have reached a limit of their budgets, without reading all of them. */
export const budgetLevels: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .alterTable('runways')
      .addColumn('budget_level', 'text', (c) => c.notNull().defaultTo('ok'))
      .execute()
    await db.schema
      .createIndex('runways_by_budget_level')
      .on('runways')
      .columns(['budget_level', 'account'])
      .execute()
  },
}
