import type { BudgetSubject } from '../domain/budget-subject.js'
import type { AccountNumber } from '../domain/ids.js'
import type { Wad } from '../domain/money.js'
import type { QuotaLeft } from '../domain/quota.js'
import type { Budget, BudgetState } from '../pricing/budget.js'
import type { Runway } from '../pricing/runway.js'

export type { BudgetSubject } from '../domain/budget-subject.js'
export type { Budget } from '../pricing/budget.js'

/** What operators have said about money and use. */
export interface BudgetTerms {
  budget(subject: BudgetSubject): Promise<Budget | undefined>
  budgets(subjects: readonly BudgetSubject[]): Promise<ReadonlyMap<BudgetSubject, Budget>>
  /** In order of their accounts, the operator's last; from after one. */
  list(
    after: BudgetSubject | undefined,
    limit: number,
  ): Promise<readonly { readonly subject: BudgetSubject; readonly budget: Budget }[]>
  saveBudget(subject: BudgetSubject, budget: Budget): Promise<void>
  /** False where there was none. */
  removeBudget(subject: BudgetSubject): Promise<boolean>

  /** What all accounts have spent in the window from a day on, by the newest look at all of them. */
  operatorSpent(fromDay: number): Promise<Wad>
  saveOperatorSpent(fromDay: number, spent: Wad): Promise<void>
  /** What they have spent on a day, since 1970, by the newest look at all of them on that day. */
  saveOperatorDay(day: number, spent: Wad, currency: string): Promise<void>
  /** In a currency, from a day on. */
  operatorDays(since: number, currency: string): Promise<ReadonlyMap<number, Wad>>
  pruneOperatorDays(beforeDay: number): Promise<void>

  /** The name of the tier that an account was given; undefined: none. */
  tier(account: AccountNumber): Promise<string | undefined>
  tiers(accounts: readonly AccountNumber[]): Promise<ReadonlyMap<AccountNumber, string>>
  listTiers(
    after: AccountNumber | undefined,
    limit: number,
  ): Promise<readonly { readonly account: AccountNumber; readonly tier: string }[]>
  saveTier(account: AccountNumber, tier: string): Promise<void>
  /** False where it had none. */
  removeTier(account: AccountNumber): Promise<boolean>
}

/** What Flow said of a vault when it could last be asked. */
export interface SeenFunds {
  readonly atMs: number
  /** The balance at its value then less what was owed, in wad. */
  readonly funds: Wad
  /** All that was ever charged. */
  readonly charged: Wad
  /** Of the periods that were not settled then. */
  readonly chargedOf: readonly { readonly periodStart: number; readonly charged: Wad }[]
}

/** An account as it stood at the newest look. */
export interface AccountState {
  readonly account: AccountNumber
  readonly atMs: number
  /** Until when its usage was known. */
  readonly knownUntilMs: number
  /** Of its plan in force. */
  readonly currency: string
  /** What pays: its vault, or prepaid credits. */
  readonly from: 'vault' | 'credits'
  readonly seen: SeenFunds
  readonly runway: Runway
  /** What a minute in which nothing can be blocked may add to the exposure; undefined: no bound. */
  readonly worstAMinute: Wad | undefined
  /** All that was ever due, and since the day began. */
  readonly spent: Wad
  readonly spentToday: Wad
  /** In the window of the operator's budget; undefined where it is not of that currency. */
  readonly spentOfOperator: Wad | undefined
  readonly budget: BudgetState | undefined
  /** Of calls with the client's own provider's key, in the window that begins on a day. */
  readonly byokBudget: (BudgetState & { readonly fromDay: number }) | undefined
  readonly tier: string | undefined
  readonly quota: readonly QuotaLeft[]
  readonly byokQuota: readonly QuotaLeft[]
  /** Why it could not be looked at anew: what is said is as old as `seen`. */
  readonly problem: string | undefined
}

export interface RunwayCounts {
  /** Accounts by level. */
  readonly levels: Readonly<Partial<Record<Runway['level'], number>>>
  /** Those that could not be looked at anew. */
  readonly stale: number
  /** Those whose budget is at its soft limit, and not at its hard one. */
  readonly softBudgets: number
}

/** How long the funds of accounts with keys last, by the newest look at each. */
export interface Runways {
  /** @param lookedAtMs when it was tried, whatever could be seen */
  save(states: readonly AccountState[], lookedAtMs: number): Promise<void>
  of(accounts: readonly AccountNumber[]): Promise<readonly AccountState[]>
  /** Those at a level, in order of their numbers. */
  at(level: Runway['level'], limit: number): Promise<readonly AccountState[]>
  /** Those whose budget is at its soft limit, in order of their numbers. */
  atSoftBudget(limit: number): Promise<readonly AccountState[]>
  counts(): Promise<RunwayCounts>
  /** Forgets those that were not looked at since: they have no keys any more. */
  prune(beforeMs: number): Promise<void>
}
