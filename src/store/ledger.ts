import { type Kysely, type Selectable, sql } from 'kysely'
import { assert } from '../domain/errors.js'
import {
  type LedgerAccount,
  type LedgerKind,
  type LedgerTransaction,
  millicredits,
  sumOf,
} from '../domain/ledger.js'
import type { Ledger } from '../ports/ledger.js'
import { inTransaction } from './in-transaction.js'
import type { LedgerPostingsTable } from './ledger-tables.js'
import type { Tables } from './tables.js'

export function sqlLedger(db: Kysely<Tables>): Ledger {
  return {
    post: (transaction) => inTransaction(db, (tx) => post(tx, transaction)),

    transaction: (id) => transactionOf(db, id),

    balance: async (account) => millicredits((await lastLine(db, account))?.balance ?? 0n),

    charged: (account, periodStart) => {
      const [, customer] = account.split('/')
      return postedTo(db, 'usage', `charge/${customer}/${periodStart}`)
    },

    refunded: (paymentId) => postedTo(db, 'sales', `refund/${paymentId}`, true),

    async statement(account, afterLine, limit) {
      const rows = await db
        .selectFrom('ledger_postings')
        .selectAll()
        .where('ledger_account', '=', account)
        .where('line', '>', BigInt(afterLine))
        .orderBy('line')
        .limit(limit)
        .execute()
      return Promise.all(rows.map((row) => statementLine(db, row)))
    },

    async difference() {
      const { sum } = await db
        .selectFrom('ledger_postings')
        .select(sql<bigint | null>`sum(amount)`.as('sum'))
        .executeTakeFirstOrThrow()
      return millicredits(BigInt(sum ?? 0))
    },
  }
}

/**
 * What transactions under one name brought to an account, and none whose name merely begins so.
 *
 * @param isAlone one more part follows the name: providers' names of payments may have slashes
 */
async function postedTo(db: Kysely<Tables>, account: LedgerAccount, name: string, isAlone = false) {
  const posted = db
    .selectFrom('ledger_postings')
    .select(sql<bigint | null>`sum(amount)`.as('sum'))
    .where('ledger_account', '=', account)
    .where('posted_by', '>=', `${name}/`)
    .where('posted_by', '<', `${name}0`) // The character after the slash.
  const more = sql<boolean>`instr(substr(posted_by, length(${name}) + 2), '/') = 0`
  const { sum } = await (isAlone ? posted.where(more) : posted).executeTakeFirstOrThrow()
  return millicredits(BigInt(sum ?? 0))
}

async function post(tx: Kysely<Tables>, transaction: LedgerTransaction): Promise<boolean> {
  const { id, kind, atMs, memo, postings } = transaction
  assert(postings.length > 1 && sumOf(postings) === 0n, `${id} does not balance`)
  const before = await transactionOf(tx, id)
  if (before !== undefined) {
    const isSame = before.kind === kind && postingsText(before) === postingsText(transaction)
    assert(isSame, `${id} is in the ledger, and says something else there`)
    return false
  }
  await tx
    .insertInto('ledger_transactions')
    .values({ transaction_id: id, kind, at_ms: BigInt(atMs), memo })
    .execute()
  for (const { account, amount } of postings) {
    const last = await lastLine(tx, account)
    const line = (last?.line ?? 0n) + 1n
    const balance = (last?.balance ?? 0n) + amount
    await tx
      .insertInto('ledger_postings')
      .values({ ledger_account: account, line, posted_by: id, amount, balance })
      .execute()
  }
  return true
}

function lastLine(
  db: Kysely<Tables>,
  account: LedgerAccount,
): Promise<Selectable<LedgerPostingsTable> | undefined> {
  return db
    .selectFrom('ledger_postings')
    .selectAll()
    .where('ledger_account', '=', account)
    .orderBy('line', 'desc')
    .limit(1)
    .executeTakeFirst()
}

async function transactionOf(
  db: Kysely<Tables>,
  id: string,
): Promise<LedgerTransaction | undefined> {
  const row = await db
    .selectFrom('ledger_transactions')
    .selectAll()
    .where('transaction_id', '=', id)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const postings = await db
    .selectFrom('ledger_postings')
    .selectAll()
    .where('posted_by', '=', id)
    .orderBy('ledger_account')
    .execute()
  return {
    id,
    kind: row.kind as LedgerKind,
    atMs: Number(row.at_ms),
    memo: row.memo,
    postings: postings.map(({ ledger_account, amount }) => ({
      account: ledger_account as LedgerAccount,
      amount: millicredits(amount),
    })),
  }
}

async function statementLine(db: Kysely<Tables>, row: Selectable<LedgerPostingsTable>) {
  const transaction = await transactionOf(db, row.posted_by)
  assert(transaction !== undefined, `the posting of ${row.posted_by} has no transaction`)
  return {
    transaction,
    amount: millicredits(row.amount),
    balance: millicredits(row.balance),
  }
}

function postingsText({ postings }: LedgerTransaction): string {
  return postings
    .map(({ account, amount }) => `${account} ${amount}`)
    .sort()
    .join('\n')
}
