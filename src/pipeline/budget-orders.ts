import { accountOfSubject } from '../domain/budget-subject.js'
import { TerminalError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import { formatWad, type Wad } from '../domain/money.js'
import { periodAt } from '../domain/period.js'
import type { Tier } from '../domain/quota.js'
import type { Clock } from '../ports/clock.js'
import type { BudgetSubject } from '../ports/runways.js'
import type { Store, Stores } from '../ports/stores.js'
import { type Budget, budgetWindow, DAY_MS } from '../pricing/budget.js'
import { tierOf } from './account-state.js'
import type { BudgetSettings } from './budget-settings.js'
import { limitsUnder } from './key-ceilings.js'
import { note } from './operator-log.js'
import { planOf } from './plan-of.js'
import type { Ordered } from './record-correction.js'

export interface BudgetOrderParts {
  readonly store: Store
  readonly clock: Clock
  readonly terms: Pick<BudgetSettings, 'tiers' | 'defaultTier' | 'byokModels'>
}

/** What somebody wants of a budget: it begins today. */
export type BudgetWish = Pick<Budget, 'hard' | 'soft' | 'currency' | 'days'>

const DAYS_MAX = 366
const KEYS_MAX = 10_000

/**
 * Gives an account, or all of them together, a budget in the place of the one that it had. The brake
 * at the gateway follows: keys get the budget as their own, whatever they had before.
 *
 * @throws TerminalError `bad_budget`, `no_vault`
 */
export function setBudget(
  { store, clock, terms }: BudgetOrderParts,
  subject: BudgetSubject,
  wish: BudgetWish,
  ordered: Ordered,
): Promise<Budget> {
  const problem = problemOf(wish) ?? nothingCounted(subject, terms)
  if (problem !== undefined) throw new TerminalError('bad_budget', problem)
  const today = Math.floor(clock.now() / DAY_MS)
  return store.transaction(async (stores) => {
    await checkVault(stores, subject)
    await checkCurrency(stores, subject, wish, clock.now())
    const before = await stores.budgetTerms.budget(subject)
    // Other amounts are no new beginning: what was spent since the window began counts.
    const isSameWindow = before?.days === wish.days && before.currency === wish.currency
    const budget = { ...wish, fromDay: isSameWindow ? before.fromDay : today }
    const { fromDay } = budgetWindow(budget, clock.now())
    const spent = await stores.budgetTerms.operatorSpent(fromDay)
    await stores.budgetTerms.saveBudget(subject, budget)
    // Else all would go on until the next look at all accounts has ended.
    if (subject === 'operator' && isSameWindow) {
      await stores.budgetTerms.saveOperatorSpent(fromDay, spent)
    }
    await giveLimits(stores, subject, terms)
    await note(
      stores,
      'budgets set',
      changed(subject, budgetText(before), budgetText(budget)),
      ordered,
    )
    return budget
  })
}

/** @throws TerminalError `no_budget` */
export function unsetBudget(
  { store }: Pick<BudgetOrderParts, 'store'>,
  subject: BudgetSubject,
  ordered: Ordered,
): Promise<void> {
  return store.transaction(async (stores) => {
    const before = await stores.budgetTerms.budget(subject)
    if (!(await stores.budgetTerms.removeBudget(subject))) {
      throw new TerminalError('no_budget', `${nameOf(subject)} has no budget`)
    }
    await note(stores, 'budgets unset', changed(subject, budgetText(before), 'none'), ordered)
  })
}

/**
 * Gives an account a tier: its keys get the tier's limits, lower or higher than what they had.
 *
 * @throws TerminalError `no_tier`, `no_vault`
 */
export function setTier(
  { store, terms }: BudgetOrderParts,
  account: AccountNumber,
  tier: string,
  ordered: Ordered,
): Promise<Tier> {
  const found = terms.tiers.get(tier)
  if (found === undefined) {
    const names = [...terms.tiers.keys()].join(', ')
    throw new TerminalError('no_tier', `there is no tier of this name; there are ${names}`)
  }
  return store.transaction(async (stores) => {
    await checkVault(stores, account)
    const before = (await stores.budgetTerms.tier(account)) ?? 'none'
    await stores.budgetTerms.saveTier(account, tier)
    await giveLimits(stores, account, terms)
    await note(stores, 'quotas set', changed(account, before, tier), ordered)
    return found
  })
}

/** Back to the tier that the settings give to all. @throws TerminalError `no_tier` */
export function unsetTier(
  { store }: Pick<BudgetOrderParts, 'store'>,
  account: AccountNumber,
  ordered: Ordered,
): Promise<void> {
  return store.transaction(async (stores) => {
    const before = (await stores.budgetTerms.tier(account)) ?? 'none'
    if (!(await stores.budgetTerms.removeTier(account))) {
      throw new TerminalError('no_tier', `account ${account} was given no tier`)
    }
    await note(stores, 'quotas unset', changed(account, before, 'none'), ordered)
  })
}

/** `1000 USD in 30 days, soft 800`, for people and logs. */
export function budgetText(budget: Budget | undefined): string {
  if (budget === undefined) return 'none'
  const { hard, soft, currency, days } = budget
  const softly = soft === undefined ? '' : `, soft ${formatWad(soft)}`
  return `${formatWad(hard)} ${currency} in ${days} days${softly}`
}

export function nameOf(subject: BudgetSubject): string {
  return subject === 'operator' ? 'the operator' : `account ${subject}`
}

function nothingCounted(
  subject: BudgetSubject,
  { byokModels }: BudgetOrderParts['terms'],
): string | undefined {
  if (typeof subject === 'bigint' || subject === 'operator' || byokModels.length > 0)
    return undefined
  return 'the settings name no byokModels, for which clients bring their own provider’s key'
}

function problemOf({ hard, soft, currency, days }: BudgetWish): string | undefined {
  if (hard <= 0n) return 'the hard limit is above 0'
  if (soft !== undefined && (soft <= (0n as Wad) || soft > hard)) {
    return 'the soft limit is above 0 and not above the hard one'
  }
  if (!/^[\x21-\x7e]{1,16}$/.test(currency)) return 'the currency is that of a plan, such as USD'
  return Number.isInteger(days) && days >= 1 && days <= DAYS_MAX
    ? undefined
    : `a budget is for 1 to ${DAYS_MAX} days`
}

/** Once Flow was read, a number that no vault has is a mistake. */
async function checkVault({ books }: Pick<Stores, 'books'>, subject: BudgetSubject): Promise<void> {
  const account = accountOfSubject(subject)
  if (account === undefined || (await books.version()) === '') return
  if ((await books.vaults([account])).length > 0) return
  throw new TerminalError('no_vault', `the provider has no vault ${account} on Flow`)
}

/** A budget counts what is charged in its currency: in another it would never hold anybody. */
async function checkCurrency(
  { books }: Pick<Stores, 'books'>,
  subject: BudgetSubject,
  { currency }: BudgetWish,
  nowMs: number,
): Promise<void> {
  const plans = await books.plans()
  const account = accountOfSubject(subject)
  const [vault] = account === undefined ? [] : await books.vaults([account])
  const ofVault = vault && planOf(vault, periodAt(nowMs, vault.periodKind).startsAt, plans)
  const counted = account === undefined ? [...plans.values()] : ofVault ? [ofVault] : []
  const currencies = [...new Set(counted.map((plan) => plan.currency))]
  if (currencies.length === 0 || currencies.includes(currency)) return
  const what = `${nameOf(subject)} is charged in ${currencies.join(', ')}`
  throw new TerminalError('bad_budget', `${what}: a budget in another currency would count nothing`)
}

/**
 * An operator's budget is no key's; and of calls with the client's own provider's key the gateway counts
 * what that provider asks, which is another amount.
 */
async function giveLimits(
  { keys, budgetTerms }: Pick<Stores, 'keys' | 'budgetTerms'>,
  subject: BudgetSubject,
  terms: BudgetOrderParts['terms'],
): Promise<void> {
  if (typeof subject !== 'bigint') return
  const name = await budgetTerms.tier(subject)
  const tier = tierOf({ tier: name }, terms)
  const budget = await budgetTerms.budget(subject)
  for (const key of await keys.list({ accounts: [subject], limit: KEYS_MAX })) {
    if (key.state !== 'wanted') continue
    await keys.change(key.id, { limits: limitsUnder(key.limits, tier, budget) })
  }
}

function changed(subject: BudgetSubject, before: string, after: string) {
  return { subject: `${subject}`, before, after }
}
