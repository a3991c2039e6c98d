import { type Kysely, sql } from 'kysely'
import { keccak, utf8 } from '../domain/bytes.js'
import type { Directory } from '../ports/stores.js'
import { accountOf, accountText } from './columns.js'
import { inTransaction, slicesOf } from './in-transaction.js'
import type { Tables } from './tables.js'

/** Below the number of variables that any engine binds. */
const PAYERS_A_QUERY = 500

export function sqlDirectory(db: Kysely<Tables>): Directory {
  return {
    async version() {
      const rows = await db.selectFrom('directory').selectAll().orderBy('payer').execute()
      return keccak(utf8(JSON.stringify(rows.map(({ payer, account }) => [payer, account]))))
    },

    async find(payer) {
      const row = await db
        .selectFrom('directory')
        .select('account')
        .where('payer', '=', payer)
        .executeTakeFirst()
      return row === undefined ? undefined : accountOf(row.account)
    },

    async findAll(payers) {
      const found = new Map<string, ReturnType<typeof accountOf>>()
      for (let start = 0; start < payers.length; start += PAYERS_A_QUERY) {
        const some = payers.slice(start, start + PAYERS_A_QUERY)
        const rows = await db
          .selectFrom('directory')
          .selectAll()
          .where('payer', 'in', some)
          .execute()
        for (const { payer, account } of rows) found.set(payer, accountOf(account))
      }
      return found
    },

    async set(payer, account) {
      await db
        .insertInto('directory')
        .values({ payer, account: accountText(account) })
        .onConflict((conflict) =>
          conflict.column('payer').doUpdateSet({ account: sql`excluded.account` }),
        )
        .execute()
    },

    setAll: (entries, isWhole) =>
      inTransaction(db, async (tx) => {
        if (isWhole) await tx.deleteFrom('directory').execute()
        const rows = [...entries].map(([payer, account]) => ({
          payer,
          account: accountText(account),
        }))
        for (const some of slicesOf(rows, PAYERS_A_QUERY)) {
          await tx
            .insertInto('directory')
            .values(some)
            .onConflict((conflict) =>
              conflict.column('payer').doUpdateSet({ account: sql`excluded.account` }),
            )
            .execute()
        }
      }),

    async remove(payer) {
      const { numDeletedRows } = await db
        .deleteFrom('directory')
        .where('payer', '=', payer)
        .executeTakeFirstOrThrow()
      return numDeletedRows > 0n
    },

    async list(limit) {
      const rows = await db
        .selectFrom('directory')
        .selectAll()
        .orderBy('payer')
        .limit(limit)
        .execute()
      return rows.map(({ payer, account }) => ({ payer, account: accountOf(account) }))
    },
  }
}
