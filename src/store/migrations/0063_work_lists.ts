import { type Kysely, type Migration, sql } from 'kysely'

/** What the workers look for all the time is found without reading what is done. */
export const workLists: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema.dropIndex('usage_records_waiting').execute()
    // In the order in which they are read: else the index by time is taken, and every record is read.
    await db.schema
      .createIndex('usage_records_waiting')
      .on('usage_records')
      .columns(['started_at_ms', 'request_id', 'mapping_version'])
      .where(sql.ref('batch_seq'), 'is', null)
      .where(sql.ref('excluded'), 'is', null)
      .execute()
    await db.schema
      .createIndex('batches_by_state')
      .on('batches')
      .columns(['state', 'seq', 'changed_at_ms'])
      .execute()
  },
}
