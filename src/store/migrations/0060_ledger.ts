import { type Kysely, type Migration, sql } from 'kysely'

/** Prepaid credits, double entry. Amounts are millicredits: 2^63 of them are nine trillion dollars. */
export const ledger: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('ledger_transactions')
      .addColumn('transaction_id', 'text', (c) => c.primaryKey())
      .addColumn('kind', 'text', (c) =>
        c.notNull().check(sql`kind in ('top_up', 'grant', 'charge', 'refund')`),
      )
      .addColumn('at_ms', 'bigint', (c) => c.notNull())
      .addColumn('memo', 'text', (c) => c.notNull())
      .execute()
    await db.schema
      .createTable('ledger_postings')
      .addColumn('ledger_account', 'text', (c) => c.notNull())
      // Of the account, without gaps: two that post at once collide here, and one tries again.
      .addColumn('line', 'bigint', (c) => c.notNull().check(sql`line >= 1`))
      .addColumn('posted_by', 'text', (c) =>
        c.notNull().references('ledger_transactions.transaction_id'),
      )
      .addColumn('amount', 'bigint', (c) => c.notNull())
      .addColumn('balance', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('ledger_postings_key', ['ledger_account', 'line'])
      .execute()
    await db.schema
      .createIndex('ledger_postings_by_transaction')
      .on('ledger_postings')
      .column('posted_by')
      .execute()
  },
}
