import { type Kysely, type Migration, sql } from 'kysely'

/** Every status asks whether money waits for somebody, and of all payments few do. */
export const paymentsSetAside: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createIndex('payments_set_aside')
      .on('payments')
      .columns(['seen_at_ms', 'payment_id'])
      .where(sql`set_aside`, 'is not', null)
      .execute()
  },
}
