import { type Kysely, type Migration, sql } from 'kysely'

/** Directories that workers keep, payers that share a number, and records that were released. */
export const mapping: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('directories')
      .addColumn('name', 'text', (c) => c.primaryKey())
      .addColumn('version', 'text', (c) => c.notNull())
      .addColumn('read_at_ms', 'bigint')
      .addColumn('problem', 'text')
      .execute()
    await db.schema
      .createTable('directory_answers')
      .addColumn('directory', 'text', (c) => c.notNull())
      .addColumn('payer', 'text', (c) => c.notNull())
      .addColumn('account', 'text')
      .addColumn('reason', 'text')
      .addColumn('is_final', 'bigint', (c) => c.notNull())
      .addCheckConstraint(
        'directory_answers_whole',
        sql`(account is null) = (reason is not null) and is_final in (0, 1)`,
      )
      .addPrimaryKeyConstraint('directory_answers_once', ['directory', 'payer'])
      .execute()
    await db.schema
      .createTable('payer_claims')
      .addColumn('payer', 'text', (c) => c.primaryKey())
      .addColumn('account', 'text', (c) => c.notNull())
      .execute()
    await db.schema
      .createIndex('payer_claims_by_account')
      .on('payer_claims')
      .column('account')
      .execute()
    await db.schema.createIndex('directory_by_account').on('directory').column('account').execute()
    await db.schema
      .createTable('releases')
      .addColumn('release_source', 'text', (c) => c.notNull())
      .addColumn('release_request_id', 'text', (c) => c.notNull())
      .addColumn('account', 'text', (c) => c.notNull())
      .addColumn('released_at_ms', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('releases_once', ['release_source', 'release_request_id'])
      .execute()
  },
}
