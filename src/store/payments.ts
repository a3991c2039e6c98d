import { type Kysely, type Selectable, sql } from 'kysely'
import type { Clock } from '../ports/clock.js'
import type { Payments, SetAsideReason, StoredPayment } from '../ports/payments.js'
import { accountOf, accountText } from './columns.js'
import type { PaymentsTable } from './ledger-tables.js'
import type { Tables } from './tables.js'

/** Of a payment in its currency, by either of its names; empty: told before currencies were kept. */
const GIVEN_BACK = sql<bigint>`(select coalesce(sum(r.amount_minor), 0) from payment_refunds r
  where r.payment in (payments.payment_id, payments.alias)
    and r.currency in (payments.currency, ''))`

export function sqlPayments(db: Kysely<Tables>, clock: Clock): Payments {
  return {
    async openAccount(account) {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('credit_accounts')
        .values({ account: accountText(account), opened_at_ms: BigInt(clock.now()) })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirstOrThrow()
      return numInsertedOrUpdatedRows === 1n
    },

    async isAccount(account) {
      const row = await db
        .selectFrom('credit_accounts')
        .select('account')
        .where('account', '=', accountText(account))
        .executeTakeFirst()
      return row !== undefined
    },

    async accounts(after, limit) {
      const rows = await db
        .selectFrom('credit_accounts')
        .select('account')
        .where('account', '>', after === undefined ? '' : accountText(after))
        .orderBy('account')
        .limit(limit)
        .execute()
      return rows.map(({ account }) => accountOf(account))
    },

    async payment(name) {
      const row = await db
        .selectFrom('payments')
        .selectAll()
        .where((where) => where.or([where('payment_id', '=', name), where('alias', '=', name)]))
        .executeTakeFirst()
      return row === undefined ? undefined : storedPayment(row)
    },

    async savePayment({ id, alias, account, amountMinor, currency }, setAside) {
      await db
        .insertInto('payments')
        .values({
          payment_id: id,
          alias: alias ?? null,
          account: account === undefined ? null : accountText(account),
          amount_minor: amountMinor,
          currency,
          seen_at_ms: BigInt(clock.now()),
          set_aside: setAside ?? null,
        })
        .onConflict((conflict) => conflict.column('payment_id').doNothing())
        .execute()
    },

    async resolve(id, account) {
      await db
        .updateTable('payments')
        .set({ account: accountText(account), set_aside: null })
        .where('payment_id', '=', id)
        .where('set_aside', 'is not', null)
        .execute()
    },

    async setAside(limit) {
      const rows = await db
        .selectFrom('payments')
        .selectAll()
        .where('set_aside', 'is not', null)
        .where('amount_minor', '>', GIVEN_BACK)
        .orderBy('seen_at_ms')
        .orderBy('payment_id')
        .limit(limit)
        .execute()
      return rows.map(storedPayment)
    },

    async saveRefund({ payment, id, amountMinor, currency }) {
      // Told before currencies were kept, and now again: it is the same refund.
      const older = await db
        .deleteFrom('payment_refunds')
        .where('payment', '=', payment)
        .where('refund_id', '=', id)
        .where('currency', '=', '')
        .returning('amount_minor')
        .executeTakeFirst()
      const amount = older && older.amount_minor > amountMinor ? older.amount_minor : amountMinor
      await db
        .insertInto('payment_refunds')
        .values({ payment, refund_id: id, amount_minor: amount, currency })
        .onConflict((conflict) =>
          conflict.columns(['payment', 'refund_id', 'currency']).doUpdateSet({
            amount_minor: sql<bigint>`case when excluded.amount_minor > payment_refunds.amount_minor then excluded.amount_minor else payment_refunds.amount_minor end`,
          }),
        )
        .execute()
    },

    async refunded(id) {
      const row = await db
        .selectFrom('payments')
        .select(GIVEN_BACK.as('back'))
        .where('payment_id', '=', id)
        .executeTakeFirst()
      return BigInt(row?.back ?? 0)
    },
  }
}

function storedPayment(row: Selectable<PaymentsTable>): StoredPayment {
  return {
    id: row.payment_id,
    ...(row.alias === null ? {} : { alias: row.alias }),
    account: row.account === null ? undefined : accountOf(row.account),
    amountMinor: row.amount_minor,
    currency: row.currency,
    seenAtMs: Number(row.seen_at_ms),
    setAside: (row.set_aside as SetAsideReason | null) ?? undefined,
  }
}
