import type { Kysely, Migration } from 'kysely'

export const books: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('books')
      .addColumn('kind', 'text', (c) => c.notNull())
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('value', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('books_once', ['kind', 'name'])
      .execute()
    await db.schema
      .createTable('identity')
      .addColumn('name', 'text', (c) => c.primaryKey())
      .addColumn('value', 'text', (c) => c.notNull())
      .execute()
  },
}
