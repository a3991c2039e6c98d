import { type Kysely, type Migration, sql } from 'kysely'

/** What gateways that show sums alone said last; the increases are usage records. */
export const readings: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('readings')
      .addColumn('source', 'text', (c) => c.notNull())
      .addColumn('bucket_start_ms', 'bigint', (c) => c.notNull())
      .addColumn('user', 'text', (c) => c.notNull())
      .addColumn('model', 'text', (c) => c.notNull())
      .addColumn('prompt_tokens', 'bigint', (c) => c.notNull())
      .addColumn('cached_prompt_tokens', 'bigint', (c) =>
        c.notNull().check(sql`cached_prompt_tokens between 0 and prompt_tokens`),
      )
      .addColumn('completion_tokens', 'bigint', (c) =>
        c.notNull().check(sql`completion_tokens >= 0`),
      )
      .addColumn('increases', 'bigint', (c) => c.notNull().check(sql`increases > 0`))
      .addPrimaryKeyConstraint('readings_once', ['source', 'bucket_start_ms', 'user', 'model'])
      .execute()
  },
}
