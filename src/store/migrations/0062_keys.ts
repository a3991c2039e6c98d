import { type Kysely, type Migration, sql } from 'kysely'

/** Keys at gateways, as they are wanted, and why they are blocked. Never a key itself: its SHA-256. */
export const keys: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('virtual_keys')
      .addColumn('key_id', 'text', (c) => c.primaryKey())
      .addColumn('gateway', 'text', (c) => c.notNull())
      // Of its gateway, and never given twice; null for an adopted key without one.
      .addColumn('alias', 'text', (c) => c.unique())
      .addColumn('account', 'text', (c) => c.notNull())
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('user_id', 'text', (c) => c.notNull())
      .addColumn('max_budget_micros', 'bigint', (c) => c.check(sql`max_budget_micros >= 0`))
      .addColumn('budget_duration', 'text')
      .addColumn('rpm_limit', 'bigint', (c) => c.check(sql`rpm_limit >= 0`))
      .addColumn('tpm_limit', 'bigint', (c) => c.check(sql`tpm_limit >= 0`))
      .addColumn('models', 'text', (c) => c.notNull())
      .addColumn('state', 'text', (c) =>
        c.notNull().check(sql`state in ('making', 'wanted', 'deleted')`),
      )
      .addColumn('replaces', 'text')
      .addColumn('is_customers', 'bigint', (c) => c.notNull().check(sql`is_customers in (0, 1)`))
      // Its secret was handed over: else nobody has it, and it never was a key to anybody.
      .addColumn('is_handed_over', 'bigint', (c) =>
        c.notNull().check(sql`is_handed_over in (0, 1)`),
      )
      .addColumn('block_mark', 'text', (c) => c.notNull())
      .addColumn('created_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('changed_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .addColumn('sync_status', 'text', (c) =>
        c.notNull().check(sql`sync_status in ('pending', 'synced', 'failed')`),
      )
      .addColumn('problem', 'text')
      .addColumn('failures', 'bigint', (c) => c.notNull())
      .addColumn('next_try_at_ms', 'bigint')
      .addColumn('last_synced_at_ms', 'bigint')
      .addColumn('seen_at_ms', 'bigint')
      .addColumn('seen_blocked', 'bigint')
      .addColumn('seen_foreign', 'bigint')
      .addColumn('seen_spend', 'text')
      .execute()
    await db.schema
      .createIndex('virtual_keys_by_account')
      .on('virtual_keys')
      .columns(['account', 'name'])
      .execute()
    await db.schema
      .createIndex('virtual_keys_due')
      .on('virtual_keys')
      .column('next_try_at_ms')
      .execute()
    await db.schema
      .createTable('key_holds')
      .addColumn('account', 'text', (c) => c.notNull())
      // Empty for a hold on all keys of the account.
      .addColumn('key_id', 'text', (c) => c.notNull())
      .addColumn('reason', 'text', (c) =>
        c.notNull().check(sql`reason in ('balance', 'budget', 'quota', 'operator', 'owner')`),
      )
      .addColumn('text', 'text', (c) => c.notNull())
      .addColumn('since_ms', 'bigint', (c) => c.notNull())
      .addColumn('until_ms', 'bigint')
      .addPrimaryKeyConstraint('key_holds_once', ['account', 'key_id', 'reason'])
      .execute()
    await db.schema.createIndex('key_holds_ending').on('key_holds').column('until_ms').execute()
  },
}
