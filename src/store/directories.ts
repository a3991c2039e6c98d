import { type Kysely, type Selectable, sql } from 'kysely'
import { keccak, utf8 } from '../domain/bytes.js'
import type { DirectoryAnswer } from '../domain/directory-answer.js'
import type { Clock } from '../ports/clock.js'
import type { Directories } from '../ports/payers.js'
import { accountOf, accountText, count } from './columns.js'
import { inTransaction, slicesOf } from './in-transaction.js'
import type { DirectoryAnswersTable, Tables } from './tables.js'

/** 5 columns a row, and SQLite binds at most 32,766 variables a statement. */
const ROWS_A_STATEMENT = 500

export function sqlDirectories(db: Kysely<Tables>, clock: Clock): Directories {
  return {
    async version(names) {
      if (names.length === 0) return ''
      const rows = await db
        .selectFrom('directories')
        .select(['name', 'version'])
        .where('name', 'in', names)
        .orderBy('name')
        .execute()
      return keccak(utf8(JSON.stringify(rows.map(({ name, version }) => [name, version]))))
    },

    async isRead(name) {
      const row = await db
        .selectFrom('directories')
        .select('read_at_ms')
        .where('name', '=', name)
        .executeTakeFirst()
      return row !== undefined && row.read_at_ms !== null
    },

    async states() {
      const rows = await db
        .selectFrom('directories')
        .selectAll()
        .select(
          sql<bigint>`(select count(*) from directory_answers
            where directory = name and account is not null)`.as('entries'),
        )
        .orderBy('name')
        .execute()
      return rows.map((row) => ({
        name: row.name,
        version: row.version,
        readAtMs: row.read_at_ms === null ? undefined : Number(row.read_at_ms),
        entries: count(row.entries),
        problem: row.problem ?? undefined,
      }))
    },

    find: (name, payers) => find(db, name, payers),

    save: (name, answers, isWhole) =>
      inTransaction(db, async (tx) => {
        const before = await tx
          .selectFrom('directories')
          .select(['version', 'read_at_ms'])
          .where('name', '=', name)
          .executeTakeFirst()
        const changed = isWhole
          ? answers
          : differing(answers, await find(tx, name, [...answers.keys()]))
        const content = JSON.stringify(
          [...changed].map(([payer, one]) => rowOf(name, payer, one)).sort(byPayer),
        )
        const version = isWhole
          ? keccak(utf8(content))
          : changed.size === 0
            ? (before?.version ?? keccak(utf8('')))
            : keccak(utf8(`${before?.version} ${content}`))
        const isSame = before?.version === version && before.read_at_ms !== null
        if (!isSame) {
          if (isWhole)
            await tx.deleteFrom('directory_answers').where('directory', '=', name).execute()
          for (const some of slicesOf([...changed], ROWS_A_STATEMENT)) {
            await tx
              .insertInto('directory_answers')
              .values(some.map(([payer, one]) => rowOf(name, payer, one)))
              .onConflict((conflict) =>
                conflict.columns(['directory', 'payer']).doUpdateSet({
                  account: sql`excluded.account`,
                  reason: sql`excluded.reason`,
                  is_final: sql`excluded.is_final`,
                }),
              )
              .execute()
          }
        }
        const state = { version, read_at_ms: BigInt(clock.now()), problem: null }
        await saveState(tx, name, state)
        return isSame ? 'same' : 'changed'
      }),

    async saveProblem(name, problem) {
      await db
        .insertInto('directories')
        .values({ name, version: '', read_at_ms: null, problem })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ problem }))
        .execute()
    },
  }
}

async function saveState(
  db: Kysely<Tables>,
  name: string,
  state: { readonly version: string; readonly read_at_ms: bigint; readonly problem: null },
): Promise<void> {
  await db
    .insertInto('directories')
    .values({ name, ...state })
    .onConflict((conflict) => conflict.column('name').doUpdateSet(state))
    .execute()
}

async function find(
  db: Kysely<Tables>,
  name: string,
  payers: readonly string[],
): Promise<Map<string, DirectoryAnswer>> {
  const found = new Map<string, DirectoryAnswer>()
  for (const some of slicesOf(payers, ROWS_A_STATEMENT)) {
    const rows = await db
      .selectFrom('directory_answers')
      .selectAll()
      .where('directory', '=', name)
      .where('payer', 'in', some)
      .execute()
    for (const row of rows) found.set(row.payer, answerOf(row))
  }
  return found
}

function answerOf({
  account,
  reason,
  is_final,
}: Selectable<DirectoryAnswersTable>): DirectoryAnswer {
  if (account !== null) return { account: accountOf(account) }
  return { reason: reason ?? '', ...(BigInt(is_final) === 1n ? { isFinal: true } : {}) }
}

function rowOf(directory: string, payer: string, answer: DirectoryAnswer) {
  return answer.account === undefined
    ? { directory, payer, account: null, reason: answer.reason, is_final: answer.isFinal ? 1 : 0 }
    : { directory, payer, account: accountText(answer.account), reason: null, is_final: 0 }
}

function byPayer(a: { readonly payer: string }, b: { readonly payer: string }): number {
  return a.payer < b.payer ? -1 : a.payer > b.payer ? 1 : 0
}

function differing(
  answers: ReadonlyMap<string, DirectoryAnswer>,
  before: ReadonlyMap<string, DirectoryAnswer>,
): Map<string, DirectoryAnswer> {
  const textOf = (answer: DirectoryAnswer | undefined) =>
    answer && `${answer.account} ${'reason' in answer ? answer.reason : ''}`
  return new Map(
    [...answers].filter(([payer, answer]) => textOf(before.get(payer)) !== textOf(answer)),
  )
}
