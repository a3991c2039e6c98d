import { type Kysely, type Selectable, sql } from 'kysely'
import { type AccountNumber, ALL_ACCOUNTS, modelId, storedBatchId } from '../domain/ids.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { Stated, Totals } from '../ports/stores.js'
import { accountOf, accountText } from './columns.js'
import { kept } from './kept.js'
import { pendingCorrection } from './pending-corrections.js'
import { unrecordedAt } from './seen-corrections.js'
import { openStop } from './stops.js'
import type { StatedTotalsTable, Tables, UsageTotalsTable } from './tables.js'

const totalsOf = kept((db, account: string, periodStart: bigint) =>
  db
    .selectFrom('usage_totals')
    .selectAll()
    .where('account', '=', account)
    .where('period_start', '=', periodStart)
    .orderBy('model_id'),
)

export function sqlTotals(db: Kysely<Tables>): Totals {
  return {
    async of({ accountNumber, periodStart }) {
      const rows = await totalsOf(db, accountText(accountNumber), BigInt(periodStart))
      return rows.map(usageTotal)
    },

    async periodsOf(account) {
      const rows = await db
        .selectFrom('stated_totals')
        .select('period_start')
        .where('account', '=', accountText(account))
        .orderBy('period_start')
        .execute()
      return rows.map((row) => ({ accountNumber: account, periodStart: Number(row.period_start) }))
    },

    async rows({ from, to }) {
      const rows = await db
        .selectFrom('usage_totals')
        .selectAll()
        .where('account', '>=', accountText(from))
        .where('account', '<=', accountText(to))
        .execute()
      return rows.map((row) => ({
        accountNumber: accountOf(row.account),
        periodStart: Number(row.period_start),
        ...usageTotal(row),
      }))
    },

    async save(key, rows, statedBy) {
      await saveRows(db, key, rows)
      const { account, period_start } = keyColumns(key)
      await db
        .insertInto('stated_totals')
        .values({ account, period_start, stated_by: statedBy })
        .onConflict((conflict) =>
          conflict
            .columns(['account', 'period_start'])
            .doUpdateSet({ stated_by: sql`excluded.stated_by` }),
        )
        .execute()
    },

    lower: (key, rows) => saveRows(db, key, rows),

    all: async ({ from, to }) =>
      (await allStated(db, accountText(from), accountText(to))).map(stated),
    restatable: async ({ from, to }) =>
      (await restatable(db, accountText(from), accountText(to))).map(stated),

    async nextRange(from) {
      const ends = [await lastStated(db, from), await lastSeen(db, from)]
      const to = ends.filter((end) => end !== undefined).sort()[0]
      return { from, to: to === undefined ? ALL_ACCOUNTS.to : accountOf(to) }
    },
  }
}

const STATED = { account: 'stated_totals.account', periodStart: 'stated_totals.period_start' }

/** (Vault, period)s that are looked at together: some hundred kilobytes with all that is known of them. */
const ENTRIES_A_RANGE = 1_000

function statedIn(db: Kysely<Tables>, from: string, to: string) {
  return db
    .selectFrom('stated_totals')
    .selectAll()
    .where('account', '>=', from)
    .where('account', '<=', to)
    .orderBy('account')
    .orderBy('period_start')
}

const allStated = kept(statedIn)

const restatable = kept((db, from: string, to: string) =>
  statedIn(db, from, to)
    .where(({ not, exists }) => not(exists(pendingCorrection(db, STATED))))
    .where(({ not, exists }) => not(exists(openStop(db, STATED))))
    .where(({ not, exists }) => not(exists(unrecordedAt(db, STATED)))),
)

function stated(row: Selectable<StatedTotalsTable>): Stated {
  return {
    accountNumber: accountOf(row.account),
    periodStart: Number(row.period_start),
    statedBy: storedBatchId(row.stated_by),
  }
}

const statedAfter = kept((db, from: string) =>
  db
    .selectFrom('stated_totals')
    .select('account')
    .where('account', '>=', from)
    .orderBy('account')
    .orderBy('period_start')
    .limit(1)
    .offset(ENTRIES_A_RANGE - 1),
)

const seenAfter = kept((db, from: string) =>
  db
    .selectFrom('books')
    .select('name')
    .where('kind', '=', 'applied')
    .where('name', '>=', from)
    .orderBy('name')
    .limit(1)
    .offset(ENTRIES_A_RANGE - 1),
)

/** Undefined where fewer are left than a range holds. */
async function lastStated(db: Kysely<Tables>, from: AccountNumber): Promise<string | undefined> {
  const [row] = await statedAfter(db, accountText(from))
  return row?.account
}

async function lastSeen(db: Kysely<Tables>, from: AccountNumber): Promise<string | undefined> {
  const [row] = await seenAfter(db, accountText(from))
  return row?.name.slice(0, accountText(from).length)
}

function keyColumns({ accountNumber, periodStart }: EntryKey) {
  return { account: accountText(accountNumber), period_start: BigInt(periodStart) }
}

async function saveRows(
  db: Kysely<Tables>,
  key: EntryKey,
  rows: readonly UsageTotal[],
): Promise<void> {
  for (const row of rows) {
    const counters = {
      prompt_tokens: row.promptTokens,
      cached_prompt_tokens: row.cachedPromptTokens,
      completion_tokens: row.completionTokens,
      requests: row.requests,
    }
    await db
      .insertInto('usage_totals')
      .values({ ...keyColumns(key), model_id: BigInt(row.modelId), ...counters })
      .onConflict((conflict) =>
        conflict.columns(['account', 'period_start', 'model_id']).doUpdateSet(counters),
      )
      .execute()
  }
}

function usageTotal(
  row: Omit<Selectable<UsageTotalsTable>, 'account' | 'period_start'>,
): UsageTotal {
  return {
    modelId: modelId(Number(row.model_id)),
    promptTokens: row.prompt_tokens,
    cachedPromptTokens: row.cached_prompt_tokens,
    completionTokens: row.completion_tokens,
    requests: row.requests,
  }
}
