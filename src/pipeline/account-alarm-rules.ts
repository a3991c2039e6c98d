import { type AlarmRule, aboutHolds, ageS, named, nearText } from './alarm-words.js'

const UNSYNCED_S = 300

/** Of `ALARM_RULES`, those about what accounts may spend: keys, budgets and credits. */
export const ACCOUNT_ALARM_RULES = {
  keys_blocked: {
    severity: 'warning',
    means: 'Keys are blocked: an account ran dry, or used up its budget or its quota',
    find: ({ budgets }) => aboutHolds(budgets),
  },
  runway_low: {
    severity: 'info',
    means: 'What an account has lasts for less than the time that somebody is told of',
    find: ({ budgets }) => {
      const near = (budgets?.near ?? []).filter(({ level }) => level === 'warn' || level === 'soft')
      return named(near.map(nearText))
    },
  },
  budget_soft: {
    severity: 'info',
    means: 'A budget has reached its soft limit',
    find: ({ budgets }) => {
      if (budgets === undefined) return undefined
      const { softBudgets, operator } = budgets
      const ours = operator?.level === 'soft' ? ['the operator'] : []
      const accounts = softBudgets.accounts.map((account) => `account ${account}`)
      return named([...ours, ...accounts])
    },
  },
  operator_budget_spent: {
    severity: 'page',
    means: 'The budget of all accounts together is used up: every key is blocked',
    find: ({ budgets }) => {
      const { level, spent, hard, currency } = budgets?.operator ?? {}
      return level === 'hard' ? { says: `${spent} of ${hard} ${currency}` } : undefined
    },
  },
  keys_unsynced: {
    severity: 'warning',
    means: 'LiteLLM does not follow what is wanted of a key: a block may be missing',
    find: ({ budgets, at }) => {
      const { waitingSince, pending = 0, failed = 0, failing = [] } = budgets?.keys ?? {}
      if (waitingSince === undefined || ageS(waitingSince, at) < UNSYNCED_S) return undefined
      const who = named(failing.map(({ alias, problem }) => `${alias}: ${problem}`))
      return { says: who?.says ?? `${pending + failed} keys`, since: waitingSince }
    },
  },
  payments_waiting: {
    severity: 'warning',
    means: 'Money came that bought no credits: nobody knows for whom, or for which package',
    find: ({ payments }) =>
      payments && { says: `${payments.count} payments`, since: payments.since },
  },
  runways_stale: {
    severity: 'warning',
    means: 'Vaults of accounts with keys cannot be read: no key of them is let go on',
    find: ({ budgets }) =>
      budgets !== undefined && budgets.stale > 0
        ? { says: `${budgets.stale} accounts` }
        : undefined,
  },
} as const satisfies Readonly<Record<string, AlarmRule>>
