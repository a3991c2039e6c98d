import type { Kysely, Selectable } from 'kysely'
import { accountOfSubject, byokOf } from '../domain/budget-subject.js'
import { wad } from '../domain/money.js'
import type { Budget, BudgetSubject, BudgetTerms } from '../ports/runways.js'
import type { BudgetsTable } from './budget-tables.js'
import { accountOf, accountText } from './columns.js'
import type { Tables } from './tables.js'

const OPERATOR = 'operator'
const BYOK = '-byok'

export function sqlBudgetTerms(db: Kysely<Tables>): BudgetTerms {
  return {
    async budget(subject) {
      const row = await db
        .selectFrom('budgets')
        .selectAll()
        .where('subject', '=', subjectText(subject))
        .executeTakeFirst()
      return row === undefined ? undefined : budget(row)
    },

    async budgets(subjects) {
      if (subjects.length === 0) return new Map()
      const rows = await db
        .selectFrom('budgets')
        .selectAll()
        .where('subject', 'in', subjects.map(subjectText))
        .execute()
      return new Map(rows.map((row) => [subjectOf(row.subject), budget(row)]))
    },

    async list(after, limit) {
      const rows = await db
        .selectFrom('budgets')
        .selectAll()
        .where('subject', '>', after === undefined ? '' : subjectText(after))
        .orderBy('subject') // Digits come before letters.
        .limit(limit)
        .execute()
      return rows.map((row) => ({ subject: subjectOf(row.subject), budget: budget(row) }))
    },

    async saveBudget(subject, { hard, soft, currency, days, fromDay }) {
      const terms = {
        hard: hard.toString(),
        soft: soft?.toString() ?? null,
        currency,
        days: BigInt(days),
        from_day: BigInt(fromDay),
        seen_from_day: null,
        seen_spent: null,
      }
      await db
        .insertInto('budgets')
        .values({ subject: subjectText(subject), ...terms })
        .onConflict((conflict) => conflict.column('subject').doUpdateSet(terms))
        .execute()
    },

    async removeBudget(subject) {
      const { numDeletedRows } = await db
        .deleteFrom('budgets')
        .where('subject', '=', subjectText(subject))
        .executeTakeFirstOrThrow()
      return numDeletedRows > 0n
    },

    async operatorSpent(fromDay) {
      const row = await db
        .selectFrom('budgets')
        .select('seen_spent')
        .where('subject', '=', OPERATOR)
        .where('seen_from_day', '=', BigInt(fromDay))
        .executeTakeFirst()
      return wad(BigInt(row?.seen_spent ?? 0))
    },

    async saveOperatorSpent(fromDay, spent) {
      await db
        .updateTable('budgets')
        .set({ seen_from_day: BigInt(fromDay), seen_spent: spent.toString() })
        .where('subject', '=', OPERATOR)
        .execute()
    },

    async saveOperatorDay(day, spent, currency) {
      const row = { currency, spent: spent.toString() }
      await db
        .insertInto('operator_days')
        .values({ day: BigInt(day), ...row })
        .onConflict((conflict) => conflict.column('day').doUpdateSet(row))
        .execute()
    },

    async operatorDays(since, currency) {
      const rows = await db
        .selectFrom('operator_days')
        .select(['day', 'spent'])
        .where('day', '>=', BigInt(since))
        .where('currency', '=', currency)
        .execute()
      return new Map(rows.map(({ day, spent }) => [Number(day), wad(BigInt(spent))]))
    },

    async pruneOperatorDays(beforeDay) {
      await db.deleteFrom('operator_days').where('day', '<', BigInt(beforeDay)).execute()
    },

    async tier(account) {
      const row = await db
        .selectFrom('account_tiers')
        .select('tier')
        .where('account', '=', accountText(account))
        .executeTakeFirst()
      return row?.tier
    },

    async tiers(accounts) {
      if (accounts.length === 0) return new Map()
      const rows = await db
        .selectFrom('account_tiers')
        .selectAll()
        .where('account', 'in', accounts.map(accountText))
        .execute()
      return new Map(rows.map((row) => [accountOf(row.account), row.tier]))
    },

    async listTiers(after, limit) {
      const rows = await db
        .selectFrom('account_tiers')
        .selectAll()
        .where('account', '>', after === undefined ? '' : accountText(after))
        .orderBy('account')
        .limit(limit)
        .execute()
      return rows.map(({ account, tier }) => ({ account: accountOf(account), tier }))
    },

    async saveTier(account, tier) {
      await db
        .insertInto('account_tiers')
        .values({ account: accountText(account), tier })
        .onConflict((conflict) => conflict.column('account').doUpdateSet({ tier }))
        .execute()
    },

    async removeTier(account) {
      const { numDeletedRows } = await db
        .deleteFrom('account_tiers')
        .where('account', '=', accountText(account))
        .executeTakeFirstOrThrow()
      return numDeletedRows > 0n
    },
  }
}

/** In the order of accounts: the number has 20 digits, and what is a part of an account comes after it. */
function subjectText(subject: BudgetSubject): string {
  const account = accountOfSubject(subject)
  if (account === undefined) return OPERATOR
  return subject === account ? accountText(account) : `${accountText(account)}${BYOK}`
}

function subjectOf(text: string): BudgetSubject {
  if (text === OPERATOR) return text
  return text.endsWith(BYOK) ? byokOf(accountOf(text.slice(0, -BYOK.length))) : accountOf(text)
}

function budget(row: Selectable<BudgetsTable>): Budget {
  return {
    hard: wad(BigInt(row.hard)),
    soft: row.soft === null ? undefined : wad(BigInt(row.soft)),
    currency: row.currency,
    days: Number(row.days),
    fromDay: Number(row.from_day),
  }
}
