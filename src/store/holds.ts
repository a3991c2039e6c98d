import { type Kysely, type Selectable, sql } from 'kysely'
import { type Hold, type HoldReason, keyId } from '../domain/virtual-key.js'
import type { Clock } from '../ports/clock.js'
import type { Holds } from '../ports/keys.js'
import { accountOf, accountText } from './columns.js'
import { inTransaction } from './in-transaction.js'
import type { KeyHoldsTable } from './key-tables.js'
import { touchKeys } from './keys.js'
import type { Tables } from './tables.js'

export function sqlHolds(db: Kysely<Tables>, clock: Clock): Holds {
  return {
    place: ({ account, key = '', reason, text, untilMs }) =>
      inTransaction(db, async (tx) => {
        const row = {
          ...{ account: accountText(account), key_id: key, reason, text },
          until_ms: untilMs === undefined ? null : BigInt(untilMs),
        }
        const before = await tx
          .selectFrom('key_holds')
          .select('since_ms')
          .where('account', '=', row.account)
          .where('key_id', '=', key)
          .where('reason', '=', reason)
          .where(stands(clock.now()))
          .executeTakeFirst()
        const since_ms = before?.since_ms ?? BigInt(clock.now())
        await tx
          .insertInto('key_holds')
          .values({ ...row, since_ms })
          .onConflict((conflict) =>
            conflict
              .columns(['account', 'key_id', 'reason'])
              .doUpdateSet({ text, since_ms, until_ms: row.until_ms }),
          )
          .execute()
        if (before === undefined) await touchKeys(tx, clock, touched(row))
        return before === undefined
      }),

    lift: (account, reason, key) =>
      inTransaction(db, async (tx) => {
        const row = { account: accountText(account), key_id: key ?? '' }
        const { numDeletedRows } = await tx
          .deleteFrom('key_holds')
          .where('account', '=', row.account)
          .where('key_id', '=', row.key_id)
          .where('reason', '=', reason)
          .where(stands(clock.now()))
          .executeTakeFirstOrThrow()
        if (numDeletedRows > 0n) await touchKeys(tx, clock, touched(row))
        return numDeletedRows > 0n
      }),

    async of(account) {
      const rows = await db
        .selectFrom('key_holds')
        .selectAll()
        .where('account', '=', accountText(account))
        .where(stands(clock.now()))
        .orderBy('since_ms')
        .orderBy('reason')
        .orderBy('key_id')
        .execute()
      return rows.map(hold)
    },

    async accounts(after, limit) {
      const rows = await db
        .selectFrom('key_holds')
        .select('account')
        .distinct()
        .where('account', '>', after === undefined ? '' : accountText(after))
        .where(stands(clock.now()))
        .orderBy('account')
        .limit(limit)
        .execute()
      return rows.map(({ account }) => accountOf(account))
    },

    async counts() {
      const rows = await db
        .selectFrom('key_holds')
        .select(['reason', sql<bigint>`count(distinct account)`.as('accounts')])
        .where(stands(clock.now()))
        .groupBy('reason')
        .execute()
      return Object.fromEntries(rows.map(({ reason, accounts }) => [reason, Number(accounts)]))
    },

    expire: (limit) =>
      inTransaction(db, async (tx) => {
        const rows = await tx
          .selectFrom('key_holds')
          .selectAll()
          .where('until_ms', '<=', BigInt(clock.now()))
          .orderBy('until_ms')
          .limit(limit)
          .execute()
        for (const { account, key_id, reason } of rows) {
          await tx
            .deleteFrom('key_holds')
            .where('account', '=', account)
            .where('key_id', '=', key_id)
            .where('reason', '=', reason)
            .execute()
          await touchKeys(tx, clock, touched({ account, key_id }))
        }
        return rows.length
      }),
  }
}

function stands(nowMs: number) {
  return sql<boolean>`(until_ms is null or until_ms > ${BigInt(nowMs)})`
}

function touched({ account, key_id }: Pick<KeyHoldsTable, 'account' | 'key_id'>) {
  return key_id === '' ? { account } : { id: key_id }
}

function hold(row: Selectable<KeyHoldsTable>): Hold {
  return {
    account: accountOf(row.account),
    key: row.key_id === '' ? undefined : keyId(row.key_id),
    reason: row.reason as HoldReason,
    text: row.text,
    sinceMs: Number(row.since_ms),
    untilMs: row.until_ms === null ? undefined : Number(row.until_ms),
  }
}
