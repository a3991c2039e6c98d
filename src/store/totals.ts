import { type Kysely, type Selectable, sql } from 'kysely'
import { modelId, storedBatchId } from '../domain/ids.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { Totals } from '../ports/stores.js'
import { accountOf, accountText } from './columns.js'
import type { Tables, UsageTotalsTable } from './tables.js'

export function sqlTotals(db: Kysely<Tables>): Totals {
  return {
    async of({ accountNumber, periodStart }) {
      const rows = await db
        .selectFrom('usage_totals')
        .selectAll()
        .where('account', '=', accountText(accountNumber))
        .where('period_start', '=', BigInt(periodStart))
        .orderBy('model_id')
        .execute()
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

    async rows() {
      const rows = await db.selectFrom('usage_totals').selectAll().execute()
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

    async all() {
      const rows = await db
        .selectFrom('stated_totals')
        .selectAll()
        .orderBy('account')
        .orderBy('period_start')
        .execute()
      return rows.map((row) => ({
        accountNumber: accountOf(row.account),
        periodStart: Number(row.period_start),
        statedBy: storedBatchId(row.stated_by),
      }))
    },
  }
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
