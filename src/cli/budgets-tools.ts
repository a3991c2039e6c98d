import { loadAttributionConfig } from '../config.js'
import { readSubject } from '../domain/budget-subject.js'
import { ConfigError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import {
  type BudgetOrderParts,
  type BudgetWish,
  setBudget,
  setTier,
  unsetBudget,
  unsetTier,
} from '../pipeline/budget-orders.js'
import type { Ordered } from '../pipeline/record-correction.js'
import {
  type ShownBudget,
  type ShownRunway,
  type ShownTier,
  shownBudget,
  shownBudgets,
  shownRunway,
  shownTiers,
} from '../pipeline/shown-budgets.js'
import type { BudgetSubject } from '../ports/runways.js'
import { systemClock as clock } from '../runtime/clock.js'
import { withOpenedStore } from './stored.js'

/** What the operator says about money and use, and how accounts stand. */
export interface BudgetsTools {
  list(): AsyncIterable<ShownBudget & { readonly subject: string }>
  budget(subject: BudgetSubject): Promise<ShownBudget | null>
  /** Undefined where the daemon has not looked at it: it has no keys. */
  runway(account: AccountNumber): Promise<ShownRunway | undefined>
  set(subject: BudgetSubject, wish: BudgetWish, ordered: Ordered): Promise<void>
  unset(subject: BudgetSubject, ordered: Ordered): Promise<void>
  tiers(): readonly ShownTier[]
  accounts(): AsyncIterable<{ readonly account: AccountNumber; readonly tier: string }>
  setTier(account: AccountNumber, tier: string, ordered: Ordered): Promise<void>
  unsetTier(account: AccountNumber, ordered: Ordered): Promise<void>
}

const ROWS_A_PAGE = 500

/** @throws ConfigError `no_budgets` where the settings have no such part */
export function budgetsTools(
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
): BudgetsTools {
  const { budgets, databaseUrl } = loadAttributionConfig(env, folder)
  if (budgets === undefined) {
    throw new ConfigError(
      'no_budgets',
      'flowmeter.config.json has no `budgets`: add it, and nobody uses more than they can pay.',
    )
  }
  const tiers = new Map(Object.entries(budgets.tiers))
  const { defaultTier, byokModels } = budgets
  const terms = { tiers, defaultTier, byokModels }
  const stored = <Result>(work: (parts: BudgetOrderParts) => Promise<Result>) =>
    withOpenedStore(databaseUrl, (store) => work({ store, clock, terms }))
  const shown = ({ store }: BudgetOrderParts) => ({ stores: store, clock })
  return {
    async *list() {
      for (let after: BudgetSubject | undefined; ; ) {
        const { items, next } = await stored((parts) =>
          shownBudgets(after, ROWS_A_PAGE, shown(parts)),
        )
        yield* items
        if (next === null) return
        after = readSubject(next)
      }
    },
    budget: (subject) => stored((parts) => shownBudget(subject, shown(parts))),
    runway: (account) => stored((parts) => shownRunway(account, shown(parts))),
    set: (subject, wish, ordered) =>
      stored(async (parts) => {
        await setBudget(parts, subject, wish, ordered)
      }),
    unset: (subject, ordered) => stored((parts) => unsetBudget(parts, subject, ordered)),
    tiers: () => shownTiers(tiers, defaultTier),
    async *accounts() {
      for (let after: AccountNumber | undefined; ; ) {
        const page = await stored(({ store }) => store.budgetTerms.listTiers(after, ROWS_A_PAGE))
        yield* page
        after = page.at(-1)?.account
        if (page.length < ROWS_A_PAGE) return
      }
    },
    setTier: (account, tier, ordered) =>
      stored(async (parts) => {
        await setTier(parts, account, tier, ordered)
      }),
    unsetTier: (account, ordered) => stored((parts) => unsetTier(parts, account, ordered)),
  }
}
