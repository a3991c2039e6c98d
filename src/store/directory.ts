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
    version: async () => (await keptVersion(db)) ?? inTransaction(db, computeVersion),

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

    set: (payer, account) =>
      inTransaction(db, async (tx) => {
        await forgetVersion(tx)
        await tx
          .insertInto('directory')
          .values({ payer, account: accountText(account) })
          .onConflict((conflict) =>
            conflict.column('payer').doUpdateSet({ account: sql`excluded.account` }),
          )
          .execute()
      }),

    setAll: (entries, isWhole) =>
      inTransaction(db, async (tx) => {
        await forgetVersion(tx)
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

    remove: (payer) =>
      inTransaction(db, async (tx) => {
        await forgetVersion(tx)
        const { numDeletedRows } = await tx
          .deleteFrom('directory')
          .where('payer', '=', payer)
          .executeTakeFirstOrThrow()
        return numDeletedRows > 0n
      }),

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

async function keptVersion(db: Kysely<Tables>): Promise<string | undefined> {
  const row = await db.selectFrom('directory_version').select('version').executeTakeFirst()
  return row?.version
}

/** In one transaction with whatever changes the table: a version that was kept is always right. */
async function forgetVersion(tx: Kysely<Tables>): Promise<void> {
  await tx.deleteFrom('directory_version').execute()
}

/** Asked for at every step, and as long as the table to compute: so it is kept. */
async function computeVersion(tx: Kysely<Tables>): Promise<string> {
  const rows = await tx.selectFrom('directory').selectAll().orderBy('payer').execute()
  const content = rows.map(({ payer, account }) => [payer, account])
  const version = keccak(utf8(JSON.stringify(content)))
  await forgetVersion(tx)
  await tx.insertInto('directory_version').values({ version }).execute()
  return version
}
