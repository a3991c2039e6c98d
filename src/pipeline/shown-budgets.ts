import { accountOfSubject, byokOf } from '../domain/budget-subject.js'
import type { AccountNumber } from '../domain/ids.js'
import { iso } from '../domain/instant.js'
import { customerAccount, formatCredits } from '../domain/ledger.js'
import { formatWad, type Wad, wad } from '../domain/money.js'
import type { Quota, QuotaLeft, QuotaLimit, Tier } from '../domain/quota.js'
import type { Hold } from '../domain/virtual-key.js'
import type { Clock } from '../ports/clock.js'
import type { AccountState, BudgetSubject } from '../ports/runways.js'
import type { Stores } from '../ports/stores.js'
import {
  type Budget,
  type BudgetLevel,
  budgetState,
  budgetWindow,
  DAY_MS,
  usedUpOn,
} from '../pricing/budget.js'
import { burnPerHour, type RunwayLevel } from '../pricing/runway.js'

/*
 * What people see of runways, budgets and quotas, from the store alone. Money is decimal text, instants
 * ISO 8601 in UTC.
 */

export interface ShownBudget {
  readonly hard: string
  readonly soft: string | null
  readonly currency: string
  readonly days: number
  /** The days on which the running window begins and ends; it ends before `until`. */
  readonly from: string
  readonly until: string
  /** Null: not looked at yet, or of another currency than the vault's plan. */
  readonly spent: string | null
  readonly remaining: string | null
  /** Since the day began, UTC; null as above, and of own provider's keys. */
  readonly spentToday: string | null
  readonly level: BudgetLevel | null
  /** Days in about 80 of 100 cases; `later`: not in this window. Null: too little was seen. */
  readonly usedUpOn: {
    readonly expected: string
    readonly earliest: string
    readonly latest: string
  } | null
}

export interface ShownQuotaLeft {
  readonly limit: QuotaLimit
  /** Of models for which clients bring their own provider's key. */
  readonly isByok: boolean
  readonly allowed: string
  readonly used: string
  readonly left: string
  readonly turnsAt: string
}

export interface ShownRunway {
  readonly account: string
  readonly at: string
  /** All usage that began before is known. */
  readonly knownUntil: string
  readonly paidFrom: AccountState['from']
  readonly currency: string
  readonly level: RunwayLevel
  /** What is left after all usage that is known, settled or not. */
  readonly available: string
  /** Kept back for calls that are on their way: at it or below keys are blocked. */
  readonly reserve: string
  /** What may be used and never be paid, at the worst; null: nothing bounds it. */
  readonly exposure: string | null
  /** By how much it grows with a minute in which nothing can be blocked. */
  readonly exposureAMinute: string | null
  readonly burnPerHour: string
  /** Measured over so long. */
  readonly burnWindowS: number
  /** Until the reserve; null: for ever at this pace. */
  readonly timeLeftS: number | null
  readonly spentToday: string
  readonly budget: ShownBudget | null
  /** Of calls with the client's own provider's key. */
  readonly byokBudget: ShownBudget | null
  readonly tier: string | null
  readonly quota: readonly ShownQuotaLeft[]
  /** Of an account on prepaid credits. */
  readonly credits: string | null
  /** Why keys are blocked. */
  readonly holds: readonly {
    /** Of one key alone; null: every key of the account. */
    readonly key: string | null
    readonly reason: Hold['reason']
    readonly text: string
    readonly since: string
    readonly until: string | null
  }[]
  /** Why it could not be looked at anew. */
  readonly problem: string | null
}

export interface ShownBudgetsParts {
  readonly stores: Pick<
    Stores,
    'runways' | 'holds' | 'budgetTerms' | 'spending' | 'ledger' | 'payments'
  >
  readonly clock: Clock
}

const DAYS_SEEN = 28
const BUDGETS_MAX = 1_000

/** Undefined for an account that was not looked at: it has no keys, or the daemon has not come to it. */
export async function shownRunway(
  account: AccountNumber,
  parts: ShownBudgetsParts,
): Promise<ShownRunway | undefined> {
  const { runways, holds, ledger, payments } = parts.stores
  const [state] = await runways.of([account])
  if (state === undefined) return undefined
  const { runway, problem, tier, worstAMinute } = state
  const isOnCredits = await payments.isAccount(account)
  return {
    account: `${account}`,
    at: iso(state.atMs),
    knownUntil: iso(state.knownUntilMs),
    paidFrom: state.from,
    currency: state.currency,
    level: runway.level,
    available: formatWad(runway.available),
    reserve: formatWad(runway.reserve),
    exposure: amount(runway.exposure),
    exposureAMinute: amount(worstAMinute),
    burnPerHour: formatWad(burnPerHour(runway.burn)),
    burnWindowS: runway.burn.windowMs / 1_000,
    timeLeftS: runway.timeLeftMs === undefined ? null : Math.floor(runway.timeLeftMs / 1_000),
    spentToday: formatWad(state.spentToday),
    budget: await shownBudget(account, parts),
    byokBudget: await shownBudget(byokOf(account), parts),
    tier: tier ?? null,
    quota: [...state.quota.map(quotaShown(false)), ...state.byokQuota.map(quotaShown(true))],
    credits: isOnCredits ? formatCredits(await ledger.balance(customerAccount(account))) : null,
    holds: (await holds.of(account)).map(({ key, reason, text, sinceMs, untilMs }) => ({
      ...{ key: key ?? null, reason, text, since: iso(sinceMs) },
      until: untilMs === undefined ? null : iso(untilMs),
    })),
    problem: problem ?? null,
  }
}

/** Null where there is none. */
export async function shownBudget(
  subject: BudgetSubject,
  { stores, clock }: ShownBudgetsParts,
): Promise<ShownBudget | null> {
  const budget = await stores.budgetTerms.budget(subject)
  if (budget === undefined) return null
  const window = budgetWindow(budget, clock.now())
  const spent = await spentIn(subject, budget, window.fromDay, stores)
  const state = spent === undefined ? undefined : budgetState(budget, spent)
  return {
    hard: formatWad(budget.hard),
    soft: budget.soft === undefined ? null : formatWad(budget.soft),
    currency: budget.currency,
    days: budget.days,
    from: day(window.fromDay),
    until: day(window.untilDay),
    spent: amount(state?.spent),
    remaining: amount(state?.remaining),
    spentToday: amount(await spentToday(subject, budget, { stores, clock })),
    level: state?.level ?? null,
    usedUpOn: await forecast(subject, budget, spent, { stores, clock }),
  }
}

/** In order of their accounts, the operator's last. */
export async function shownBudgets(
  after: BudgetSubject | undefined,
  limit: number,
  parts: ShownBudgetsParts,
): Promise<{
  readonly items: readonly (ShownBudget & { readonly subject: string })[]
  readonly next: string | null
}> {
  const found = await parts.stores.budgetTerms.list(after, Math.min(limit, BUDGETS_MAX) + 1)
  const items = await Promise.all(
    found.slice(0, limit).map(async ({ subject }) => {
      const shown = await shownBudget(subject, parts)
      return shown === null ? [] : [{ subject: `${subject}`, ...shown }]
    }),
  )
  const last = found.length > limit ? found[limit - 1] : undefined
  return { items: items.flat(), next: last === undefined ? null : `${last.subject}` }
}

export interface ShownTier {
  readonly name: string
  readonly isDefault: boolean
  /** Null: no limit. */
  readonly requestsAnHour: string | null
  readonly requestsADay: string | null
  readonly tokensADay: string | null
  /** The same of models for which clients bring their own provider's key. */
  readonly byok: {
    readonly requestsAnHour: string | null
    readonly requestsADay: string | null
    readonly tokensADay: string | null
  }
  readonly rpmLimit: number | null
  readonly tpmLimit: number | null
  readonly models: readonly string[]
}

export function shownTiers(
  tiers: ReadonlyMap<string, Tier>,
  defaultTier: string | undefined,
): ShownTier[] {
  return [...tiers].map(([name, { quota, byok, rpmLimit, tpmLimit, models }]) => ({
    ...{ name, isDefault: name === defaultTier },
    ...limitsShown(quota),
    byok: limitsShown(byok),
    ...{ rpmLimit, tpmLimit, models },
  }))
}

function limitsShown({ requestsAnHour, requestsADay, tokensADay }: Quota) {
  const text = (limit: bigint | null) => limit?.toString() ?? null
  return {
    requestsAnHour: text(requestsAnHour),
    requestsADay: text(requestsADay),
    tokensADay: text(tokensADay),
  }
}

function quotaShown(isByok: boolean): (left: QuotaLeft) => ShownQuotaLeft {
  return ({ limit, allowed, used, left, turnsAtMs }) => ({
    ...{ limit, isByok, allowed: `${allowed}`, used: `${used}`, left: `${left}` },
    turnsAt: iso(turnsAtMs),
  })
}

/** As of the newest look; undefined where there was none in this window. */
async function spentIn(
  subject: BudgetSubject,
  { currency }: Budget,
  fromDay: number,
  { budgetTerms, runways, spending }: ShownBudgetsParts['stores'],
): Promise<Wad | undefined> {
  const account = accountOfSubject(subject)
  if (account === undefined) return budgetTerms.operatorSpent(fromDay)
  const [state] = await runways.of([account])
  if (state === undefined || state.currency !== currency) return undefined
  if (subject !== account) {
    return state.byokBudget?.fromDay === fromDay ? state.byokBudget.spent : undefined
  }
  const [mark] = await spending.marks([account], [fromDay])
  if (mark === undefined) return undefined
  return wad(state.spent > mark.spentBefore ? state.spent - mark.spentBefore : 0n)
}

/** As of the newest look of this day. */
async function spentToday(
  subject: BudgetSubject,
  { currency }: Budget,
  { stores, clock }: ShownBudgetsParts,
): Promise<Wad | undefined> {
  const today = Math.floor(clock.now() / DAY_MS)
  if (subject === 'operator') {
    return (await stores.budgetTerms.operatorDays(today, currency)).get(today)
  }
  if (typeof subject !== 'bigint') return undefined
  const [state] = await stores.runways.of([subject])
  const isOfToday = state?.currency === currency && Math.floor(state.atMs / DAY_MS) === today
  return isOfToday ? state.spentToday : undefined
}

async function forecast(
  subject: BudgetSubject,
  budget: Budget,
  spent: Wad | undefined,
  { stores, clock }: ShownBudgetsParts,
): Promise<ShownBudget['usedUpOn']> {
  if (spent === undefined) return null
  const nowMs = clock.now()
  const today = Math.floor(nowMs / DAY_MS)
  const spentOn = await spentOnDays(subject, budget, today - DAYS_SEEN, stores)
  const days: Wad[] = []
  // Backwards from today, for as long as no day is missing.
  for (let date = today - 1; date >= today - DAYS_SEEN; date -= 1) {
    const used = spentOn(date)
    if (used === undefined) break
    days.unshift(used)
  }
  const seen = { firstDay: today - days.length, days }
  const window = budgetWindow(budget, nowMs)
  return usedUpOn({ hard: budget.hard, spent }, window, seen, nowMs) ?? null
}

/** What was spent on a day that is over; undefined where it was not seen. */
async function spentOnDays(
  subject: BudgetSubject,
  { currency }: Budget,
  since: number,
  { budgetTerms, spending }: ShownBudgetsParts['stores'],
): Promise<(date: number) => Wad | undefined> {
  if (subject === 'operator') {
    const days = await budgetTerms.operatorDays(since, currency)
    return (date) => days.get(date)
  }
  if (typeof subject !== 'bigint') return () => undefined
  const marks = new Map(
    (await spending.marksSince(subject, since)).map(({ day, spentBefore }) => [day, spentBefore]),
  )
  return (date) => {
    const [from, until] = [marks.get(date), marks.get(date + 1)]
    if (from === undefined || until === undefined) return undefined
    return wad(until > from ? until - from : 0n)
  }
}

function amount(value: Wad | undefined): string | null {
  return value === undefined ? null : formatWad(value)
}

function day(date: number): string {
  return iso(date * DAY_MS).slice(0, 10)
}
