import { type Kysely, type Migration, sql } from 'kysely'

export const flare: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // What a transaction spends beside gas, and which of its variants landed.
    await db.schema.alterTable('outbox').addColumn('cost', 'text').execute()
    await db.schema.alterTable('outbox').addColumn('landed_id', 'text').execute()
    await db.schema
      .createTable('outbox_variants')
      .addColumn('tx_id', 'text', (c) => c.primaryKey())
      .addColumn('original_id', 'text', (c) => c.notNull().references('outbox.tx_id'))
      .addColumn('role', 'text', (c) => c.notNull().check(sql`role in ('variant', 'filler')`))
      .addColumn('position', 'bigint', (c) => c.notNull())
      .addColumn('tx_bytes', 'text', (c) => c.notNull())
      .addColumn('saved_at_ms', 'bigint', (c) => c.notNull())
      .addUniqueConstraint('outbox_variants_in_order', ['original_id', 'position'])
      .execute()
    await db.schema
      .createTable('seen_policies')
      .addColumn('reward_epoch', 'bigint', (c) => c.notNull())
      .addColumn('policy', 'text', (c) => c.notNull())
      .addColumn('seen_at_ms', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('seen_policies_once', ['reward_epoch', 'policy'])
      .execute()
    await db.schema
      .createTable('seen_policy_votes')
      .addColumn('reward_epoch', 'bigint', (c) => c.notNull())
      .addColumn('policy_hash', 'text', (c) => c.notNull())
      .addColumn('v', 'bigint', (c) => c.notNull())
      .addColumn('r', 'text', (c) => c.notNull())
      .addColumn('s', 'text', (c) => c.notNull())
      .addColumn('seen_at_ms', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('seen_policy_votes_once', ['reward_epoch', 'policy_hash', 'r', 's'])
      .execute()
    await db.schema
      .createTable('seen_relays')
      .addColumn('address', 'text', (c) => c.primaryKey())
      .addColumn('seen_at_ms', 'bigint', (c) => c.notNull())
      .execute()
    await db.schema
      .createTable('watch')
      .addColumn('name', 'text', (c) => c.primaryKey())
      .addColumn('value', 'text', (c) => c.notNull())
      .addColumn('at_ms', 'bigint', (c) => c.notNull())
      .execute()
    await db.schema
      .createTable('wallet_balances')
      .addColumn('wallet', 'text', (c) => c.notNull())
      .addColumn('at_ms', 'bigint', (c) => c.notNull())
      .addColumn('balance', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('wallet_balances_once', ['wallet', 'at_ms'])
      .execute()
  },
}
