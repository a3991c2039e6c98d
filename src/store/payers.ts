import { type Kysely, sql } from 'kysely'
import type { AccountNumber } from '../domain/ids.js'
import type { RecordKey } from '../domain/usage-record.js'
import type { Clock } from '../ports/clock.js'
import { nameOfRecord, type Payers, type WaitingChoice } from '../ports/payers.js'
import { accountOf, accountText, count } from './columns.js'
import { inTransaction, slicesOf } from './in-transaction.js'
import type { Tables } from './tables.js'

const ROWS_A_STATEMENT = 500
/** Far above what a gateway has of users whose usage waits at one moment. */
const PAYERS_MAX = 1_000_000

export function sqlPayers(db: Kysely<Tables>, clock: Clock): Payers {
  const waitingOf = (source: string) =>
    db
      .selectFrom('usage_records')
      .where('source', '=', source)
      .where('batch_seq', 'is', null)
      .where('excluded', 'is', null)
      .where(sql<boolean>`not exists (select 1 from record_decisions
        where decided_source = source and decided_request_id = request_id
          and verdict = 'exclude')`)
  return {
    async waiting(source, field) {
      const rows = await waitingOf(source)
        .select(sql.ref<string>(field).as('payer'))
        .distinct()
        .limit(PAYERS_MAX)
        .execute()
      return rows.map(({ payer }) => payer)
    },

    async waitingUsage(source, field) {
      const rows = await waitingOf(source)
        .select(['model', 'unmapped_reason', sql.ref<string>(field).as('payer')])
        .select([
          sql<bigint>`min(started_at_ms)`.as('oldest'),
          sql<bigint>`max(started_at_ms)`.as('newest'),
          sql<bigint>`count(*)`.as('records'),
          sql<bigint | string>`sum(prompt_tokens + completion_tokens)`.as('tokens'),
        ])
        .groupBy([sql.ref(field), 'model', 'unmapped_reason'])
        .orderBy('records', 'desc')
        .orderBy(sql.ref(field))
        .limit(PAYERS_MAX)
        .execute()
      return rows.map((row) => ({
        source,
        payer: row.payer,
        model: row.model,
        reason: row.unmapped_reason ?? undefined,
        oldestAtMs: count(row.oldest),
        newestAtMs: count(row.newest),
        records: count(row.records),
        tokens: BigInt(row.tokens),
      }))
    },

    release: (choice, account) =>
      inTransaction(db, async (tx) => {
        const row = { account: accountText(account), at: BigInt(clock.now()) }
        await sql`insert into releases (release_source, release_request_id, account, released_at_ms)
          select source, request_id, ${row.account}, ${row.at} from usage_records
          where ${chosen(choice)}
          on conflict (release_source, release_request_id)
          do update set account = excluded.account, released_at_ms = excluded.released_at_ms
        `.execute(tx)
        return lookAgain(tx, choice)
      }),

    lookAgain: (choice) => inTransaction(db, (tx) => lookAgain(tx, choice)),

    async released(keys) {
      const found = new Map<string, AccountNumber>()
      for (const [source, ids] of bySource(keys)) {
        for (const some of slicesOf(ids, ROWS_A_STATEMENT)) {
          const rows = await db
            .selectFrom('releases')
            .select(['release_request_id', 'account'])
            .where('release_source', '=', source)
            .where('release_request_id', 'in', some)
            .execute()
          for (const { release_request_id: requestId, account } of rows) {
            found.set(nameOfRecord({ source, requestId }), accountOf(account))
          }
        }
      }
      return found
    },

    saveClaims: (claims) =>
      inTransaction(db, async (tx) => {
        for (const some of slicesOf([...claims], ROWS_A_STATEMENT)) await saveSome(tx, some)
      }),

    async rivals(claims) {
      const payers = new Map<string, string[]>()
      for (const some of slicesOf([...new Set(claims.values())], ROWS_A_STATEMENT)) {
        const texts = some.map(accountText)
        for (const table of ['payer_claims', 'directory'] as const) {
          const rows = await db
            .selectFrom(table)
            .select(['payer', 'account'])
            .where('account', 'in', texts)
            .orderBy('payer')
            .execute()
          for (const { payer, account } of rows) {
            payers.set(account, [...(payers.get(account) ?? []), payer])
          }
        }
      }
      const rivals = new Map<string, string>()
      for (const [payer, account] of claims) {
        const other = payers.get(accountText(account))?.find((one) => one !== payer)
        if (other !== undefined) rivals.set(payer, other)
      }
      return rivals
    },

    async rivalsVersion() {
      const row = await db.selectFrom('rivals_version').select('version').executeTakeFirst()
      return String(row?.version ?? 0n)
    },
  }
}

/** Saves what differs, and counts the version up where an account has, or had, several payers. */
async function saveSome(
  db: Kysely<Tables>,
  claims: readonly (readonly [string, AccountNumber])[],
): Promise<void> {
  const payers = claims.map(([payer]) => payer)
  const rows = await db
    .selectFrom('payer_claims')
    .selectAll()
    .where('payer', 'in', payers)
    .execute()
  const before = new Map(rows.map(({ payer, account }) => [payer, account]))
  const fresh = claims
    .map(([payer, account]) => ({ payer, account: accountText(account) }))
    .filter(({ payer, account }) => before.get(payer) !== account)
  if (fresh.length === 0) return
  const touched = fresh.flatMap(({ payer, account }) => {
    const left = before.get(payer)
    return left === undefined ? [account] : [account, left]
  })
  const hadRivals = await hasRivals(db, touched)
  await db
    .insertInto('payer_claims')
    .values(fresh)
    .onConflict((conflict) =>
      conflict.column('payer').doUpdateSet({ account: sql`excluded.account` }),
    )
    .execute()
  if (!hadRivals && !(await hasRivals(db, touched))) return
  await sql`insert into rivals_version (id, version) values (1, 1)
    on conflict (id) do update set version = rivals_version.version + 1`.execute(db)
}

async function hasRivals(db: Kysely<Tables>, accounts: readonly string[]): Promise<boolean> {
  const row = await db
    .selectFrom('payer_claims')
    .select('account')
    .where('account', 'in', accounts)
    .groupBy('account')
    .having(sql`count(*)`, '>', 1)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** The next attribution takes them for new. */
async function lookAgain(db: Kysely<Tables>, choice: WaitingChoice): Promise<number> {
  const { numUpdatedRows } = await db
    .updateTable('usage_records')
    .set({ mapping_version: null })
    .where(sql<boolean>`${chosen(choice)}`)
    .executeTakeFirstOrThrow()
  return Number(numUpdatedRows)
}

function chosen({ source, field, payer }: WaitingChoice) {
  return sql`source = ${source} and ${sql.ref(field)} = ${payer}
    and batch_seq is null and excluded is null`
}

function bySource(keys: readonly RecordKey[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const { source, requestId } of keys) {
    const ids = groups.get(source) ?? []
    ids.push(requestId)
    groups.set(source, ids)
  }
  return groups
}
