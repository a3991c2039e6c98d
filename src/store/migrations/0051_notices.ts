import { type Kysely, type Migration, sql } from 'kysely'

/** What alarms were raised, what is told of them to whom, and what came of it. */
export const notices: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('alarm_episodes')
      .addColumn('alarm', 'text', (c) => c.notNull())
      .addColumn('raised_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('seen_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('severity', 'text', (c) => c.notNull())
      .addColumn('says', 'text', (c) => c.notNull())
      .addColumn('runbook', 'text', (c) => c.notNull())
      .addColumn('told_at_ms', 'bigint')
      .addColumn('cleared_at_ms', 'bigint')
      .addPrimaryKeyConstraint('alarm_episodes_once', ['alarm', 'raised_at_ms'])
      .execute()
    // An alarm is raised once until it is cleared.
    await db.schema
      .createIndex('alarm_episodes_one_open')
      .unique()
      .on('alarm_episodes')
      .column('alarm')
      .where(sql.ref('cleared_at_ms'), 'is', null)
      .execute()
    await db.schema
      .createTable('notice_messages')
      .addColumn('message_id', 'text', (c) => c.primaryKey())
      .addColumn('target', 'text', (c) => c.notNull())
      .addColumn('state', 'text', (c) => c.notNull().check(sql`state in ('due', 'sent', 'dead')`))
      .addColumn('tries', 'bigint', (c) => c.notNull())
      .addColumn('made_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('next_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('ended_at_ms', 'bigint')
      .addColumn('problem', 'text')
      .execute()
    await db.schema
      .createIndex('notice_messages_by_state')
      .on('notice_messages')
      .columns(['state', 'next_at_ms'])
      .execute()
    await db.schema
      .createTable('notices')
      .addColumn('target', 'text', (c) => c.notNull())
      .addColumn('alarm', 'text', (c) => c.notNull())
      .addColumn('raised_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('change', 'text', (c) => c.notNull().check(sql`change in ('raised', 'cleared')`))
      .addColumn('notice', 'text', (c) => c.notNull())
      .addColumn('noted_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('message_id', 'text', (c) => c.references('notice_messages.message_id'))
      .addPrimaryKeyConstraint('notices_once', ['target', 'alarm', 'raised_at_ms', 'change'])
      .execute()
    await db.schema.createIndex('notices_by_message').on('notices').column('message_id').execute()
  },
}
