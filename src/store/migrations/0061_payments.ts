import { type Kysely, type Migration, sql } from 'kysely'

/** Accounts that live on prepaid credits, and what payment providers told. */
export const payments: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('credit_accounts')
      .addColumn('account', 'text', (c) => c.primaryKey())
      .addColumn('opened_at_ms', 'bigint', (c) => c.notNull())
      .execute()
    await db.schema
      .createTable('payments')
      .addColumn('payment_id', 'text', (c) => c.primaryKey())
      .addColumn('alias', 'text', (c) => c.unique())
      .addColumn('account', 'text')
      .addColumn('amount_minor', 'bigint', (c) => c.notNull().check(sql`amount_minor >= 0`))
      .addColumn('currency', 'text', (c) => c.notNull())
      .addColumn('seen_at_ms', 'bigint', (c) => c.notNull())
      .addColumn('set_aside', 'text', (c) =>
        c.check(sql`set_aside in ('no_account', 'unknown_account', 'no_package')`),
      )
      .execute()
    await db.schema
      .createTable('payment_refunds')
      .addColumn('payment', 'text', (c) => c.notNull())
      .addColumn('refund_id', 'text', (c) => c.notNull())
      .addColumn('amount_minor', 'bigint', (c) => c.notNull().check(sql`amount_minor >= 0`))
      .addPrimaryKeyConstraint('payment_refunds_once', ['payment', 'refund_id'])
      .execute()
  },
}
