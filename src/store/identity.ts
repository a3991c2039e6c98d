import type { Kysely } from 'kysely'
import type { Identity } from '../ports/stores.js'
import type { Tables } from './tables.js'

export function sqlIdentity(db: Kysely<Tables>): Identity {
  return {
    async bind(name, value) {
      await db
        .insertInto('identity')
        .values({ name, value })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
      const kept = await db
        .selectFrom('identity')
        .select('value')
        .where('name', '=', name)
        .executeTakeFirstOrThrow()
      return kept.value
    },

    async all() {
      const rows = await db.selectFrom('identity').selectAll().orderBy('name').execute()
      return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
    },
  }
}
