import { type Kysely, sql } from 'kysely'
import type { AccountState, Runways } from '../ports/runways.js'
import { accountText, count } from './columns.js'
import { inTransaction } from './in-transaction.js'
import { decode, encode } from './json.js'
import type { Tables } from './tables.js'

/** `soft` where one of its budgets is: of a hard one the holds tell. */
function budgetLevel({ budget, byokBudget }: AccountState): string {
  const levels = [budget?.level ?? 'ok', byokBudget?.level ?? 'ok']
  return ['soft', 'hard'].find((level) => levels.some((one) => one === level)) ?? 'ok'
}

export function sqlRunways(db: Kysely<Tables>): Runways {
  return {
    save: (states, lookedAtMs) =>
      inTransaction(db, async (tx) => {
        for (const state of states) {
          const row = {
            level: state.runway.level,
            budget_level: budgetLevel(state),
            looked_at_ms: BigInt(lookedAtMs),
            is_stale: state.problem === undefined ? 0n : 1n,
            runway: encode(state),
          }
          await tx
            .insertInto('runways')
            .values({ account: accountText(state.account), ...row })
            .onConflict((conflict) => conflict.column('account').doUpdateSet(row))
            .execute()
        }
      }),

    async of(accounts) {
      if (accounts.length === 0) return []
      const rows = await db
        .selectFrom('runways')
        .select('runway')
        .where('account', 'in', accounts.map(accountText))
        .orderBy('account')
        .execute()
      return rows.map(({ runway }) => decode<AccountState>(runway))
    },

    async at(level, limit) {
      const rows = await db
        .selectFrom('runways')
        .select('runway')
        .where('level', '=', level)
        .orderBy('account')
        .limit(limit)
        .execute()
      return rows.map(({ runway }) => decode<AccountState>(runway))
    },

    async atSoftBudget(limit) {
      const rows = await db
        .selectFrom('runways')
        .select('runway')
        .where('budget_level', '=', 'soft')
        .orderBy('account')
        .limit(limit)
        .execute()
      return rows.map(({ runway }) => decode<AccountState>(runway))
    },

    async counts() {
      const rows = await db
        .selectFrom('runways')
        .select([
          'level',
          sql<bigint>`count(*)`.as('accounts'),
          sql<bigint>`sum(is_stale)`.as('stale'),
        ])
        .groupBy('level')
        .execute()
      const soft = await db
        .selectFrom('runways')
        .select(sql<bigint>`count(*)`.as('accounts'))
        .where('budget_level', '=', 'soft')
        .executeTakeFirstOrThrow()
      return {
        levels: Object.fromEntries(rows.map(({ level, accounts }) => [level, count(accounts)])),
        stale: rows.reduce((sum, { stale }) => sum + count(stale), 0),
        softBudgets: count(soft.accounts),
      }
    },

    async prune(beforeMs) {
      await db.deleteFrom('runways').where('looked_at_ms', '<', BigInt(beforeMs)).execute()
    },
  }
}
