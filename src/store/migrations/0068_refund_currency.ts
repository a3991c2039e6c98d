import { type Kysely, type Migration, sql } from 'kysely'

/** Refunds with their currency; empty for those from before: they count as of their payment's. */
export const refundCurrency: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema.alterTable('payment_refunds').renameTo('payment_refunds_before').execute()
    await db.schema
      .createTable('payment_refunds')
      .addColumn('payment', 'text', (c) => c.notNull())
      .addColumn('refund_id', 'text', (c) => c.notNull())
      .addColumn('amount_minor', 'bigint', (c) => c.notNull().check(sql`amount_minor >= 0`))
      .addColumn('currency', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('payment_refunds_once', ['payment', 'refund_id', 'currency'])
      .execute()
    await sql`insert into payment_refunds (payment, refund_id, amount_minor, currency)
      select payment, refund_id, amount_minor, '' from payment_refunds_before`.execute(db)
    await db.schema.dropTable('payment_refunds_before').execute()
  },
}
