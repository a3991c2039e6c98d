import { type Kysely, type Migration, sql } from 'kysely'

/** What began to block keys and what ended, until somebody is told; and notices that are about one of them. */
export const holdChanges: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('hold_changes')
      // Never given twice, also after rows were deleted.
      .addColumn('number', 'integer', (c) => c.primaryKey().autoIncrement())
      .addColumn('change', 'text', (c) =>
        c.notNull().check(sql`change in ('blocked', 'unblocked')`),
      )
      .addColumn('account', 'text', (c) => c.notNull())
      // Empty for a hold on all keys of the account.
      .addColumn('key_id', 'text', (c) => c.notNull())
      .addColumn('reason', 'text', (c) => c.notNull())
      .addColumn('text', 'text', (c) => c.notNull())
      .addColumn('since_ms', 'bigint', (c) => c.notNull())
      .addColumn('at_ms', 'bigint', (c) => c.notNull())
      // A JSON list.
      .addColumn('others', 'text', (c) => c.notNull())
      .execute()
    // SQLite changes no constraint of a table that is there.
    await db.schema.alterTable('notices').renameTo('notices_before').execute()
    await db.schema.dropIndex('notices_by_message').execute()
    await db.schema
      .createTable('notices')
      .addColumn('target', 'text', (c) => c.notNull())
      .addColumn('alarm', 'text', (c) => c.notNull())
      // The number of a change in the table above; empty for an alarm.
      .addColumn('about', 'text', (c) => c.notNull())
      .addColumn('raised_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('change', 'text', (c) =>
        c.notNull().check(sql`change in ('raised', 'cleared', 'blocked', 'unblocked')`),
      )
      .addColumn('notice', 'text', (c) => c.notNull())
      .addColumn('noted_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('message_id', 'text', (c) => c.references('notice_messages.message_id'))
      .addPrimaryKeyConstraint('notices_once', [
        'target',
        'alarm',
        'about',
        'raised_at_ms',
        'change',
      ])
      .execute()
    await sql`insert into notices (target, alarm, about, raised_at_ms, change, notice, noted_at_ms,
        message_id)
      select target, alarm, '', raised_at_ms, change, notice, noted_at_ms, message_id
        from notices_before`.execute(db)
    await db.schema.dropTable('notices_before').execute()
    await db.schema.createIndex('notices_by_message').on('notices').column('message_id').execute()
  },
}
