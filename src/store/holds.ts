import { type Kysely, type Selectable, sql } from 'kysely'
import { type Hold, type HoldChange, type HoldReason, keyId } from '../domain/virtual-key.js'
import type { Clock } from '../ports/clock.js'
import type { Holds } from '../ports/keys.js'
import { accountOf, accountText } from './columns.js'
import { inTransaction } from './in-transaction.js'
import type { HoldChangesTable, KeyHoldsTable } from './key-tables.js'
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
        const before = await named(tx, row).executeTakeFirst()
        const now = BigInt(clock.now())
        const isStanding = before !== undefined && (before.until_ms ?? now + 1n) > now
        if (before !== undefined && !isStanding) await noteEnd(tx, clock, before)
        const since_ms = isStanding ? before.since_ms : now
        await tx
          .insertInto('key_holds')
          .values({ ...row, since_ms })
          .onConflict((conflict) =>
            conflict
              .columns(['account', 'key_id', 'reason'])
              .doUpdateSet({ text, since_ms, until_ms: row.until_ms }),
          )
          .execute()
        if (isStanding) return false
        await noteChange(tx, clock, { ...row, since_ms }, { change: 'blocked', at_ms: now })
        await touchKeys(tx, clock, touched(row))
        return true
      }),

    lift: (account, reason, key) =>
      inTransaction(db, async (tx) => {
        const name = { account: accountText(account), key_id: key ?? '', reason }
        const row = await named(tx, name).where(stands(clock.now())).executeTakeFirst()
        if (row === undefined) return false
        await takeAway(tx, clock, row)
        return true
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
        for (const row of rows) await takeAway(tx, clock, row)
        return rows.length
      }),

    async changes(limit) {
      const rows = await db
        .selectFrom('hold_changes')
        .selectAll()
        .orderBy('number')
        .limit(limit)
        .execute()
      return rows.map(holdChange)
    },

    async forgetChanges(which) {
      const all = db.deleteFrom('hold_changes')
      await ('upTo' in which
        ? all.where('number', '<=', BigInt(which.upTo))
        : all.where('at_ms', '<', BigInt(which.beforeMs))
      ).execute()
    },
  }
}

type HoldName = Pick<KeyHoldsTable, 'account' | 'key_id' | 'reason'>

function named(db: Kysely<Tables>, { account, key_id, reason }: HoldName) {
  return db
    .selectFrom('key_holds')
    .selectAll()
    .where('account', '=', account)
    .where('key_id', '=', key_id)
    .where('reason', '=', reason)
}

async function takeAway(tx: Kysely<Tables>, clock: Clock, row: KeyHoldsTable): Promise<void> {
  await tx
    .deleteFrom('key_holds')
    .where('account', '=', row.account)
    .where('key_id', '=', row.key_id)
    .where('reason', '=', row.reason)
    .execute()
  await noteEnd(tx, clock, row)
  await touchKeys(tx, clock, touched(row))
}

/** A hold ends when its time is over, whenever somebody comes to take it away. */
function noteEnd(tx: Kysely<Tables>, clock: Clock, row: KeyHoldsTable): Promise<void> {
  const now = BigInt(clock.now())
  const at_ms = row.until_ms !== null && row.until_ms < now ? row.until_ms : now
  return noteChange(tx, clock, row, { change: 'unblocked', at_ms })
}

async function noteChange(
  tx: Kysely<Tables>,
  clock: Clock,
  { account, key_id, reason, text, since_ms }: KeyHoldsTable,
  change: Pick<HoldChangesTable, 'change' | 'at_ms'>,
): Promise<void> {
  const standing = await tx
    .selectFrom('key_holds')
    .select(['key_id', 'reason'])
    .where('account', '=', account)
    .where('key_id', 'in', ['', key_id])
    .where(stands(clock.now()))
    .orderBy('reason')
    .execute()
  const others = standing.filter((one) => one.key_id !== key_id || one.reason !== reason)
  await tx
    .insertInto('hold_changes')
    .values({
      ...{ account, key_id, reason, text, since_ms, ...change },
      others: JSON.stringify([...new Set(others.map((one) => one.reason))]),
    })
    .execute()
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

function holdChange(row: Selectable<HoldChangesTable>): HoldChange {
  return {
    number: Number(row.number),
    change: row.change as HoldChange['change'],
    account: accountOf(row.account),
    key: row.key_id === '' ? undefined : keyId(row.key_id),
    reason: row.reason as HoldReason,
    text: row.text,
    sinceMs: Number(row.since_ms),
    atMs: Number(row.at_ms),
    others: JSON.parse(row.others) as HoldReason[],
  }
}
