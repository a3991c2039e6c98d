import { type AccountNumber, accountNumber } from '../domain/ids.js'
import { type Wad, wad } from '../domain/money.js'
import { periodAt } from '../domain/period.js'
import { hasLimit, type QuotaLeft, quotaLeft, quotaWindows, type Tier } from '../domain/quota.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { StoredKey } from '../ports/keys.js'
import type { AccountState } from '../ports/runways.js'
import type { RecentUse, SpendMark } from '../ports/spending.js'
import type { Stores } from '../ports/stores.js'
import { type Budget, budgetState, budgetWindow, DAY_MS } from '../pricing/budget.js'
import { type Burn, type Runway, runwayOf } from '../pricing/runway.js'
import { type WorstUsage, worstCost, worstUsage } from '../pricing/worst-usage.js'
import type { AccountFacts, PageFacts } from './account-facts.js'
import { type BudgetSettings, exposedMs, reservedMs } from './budget-settings.js'
import { byokSpend, type EarlierUse } from './byok-spend.js'
import { priced } from './usage-price.js'

/** The stretches of time that the burn rate is measured over, ms; the fastest counts. */
export const BURN_WINDOWS_MS = { long: 3_600_000, newest: 300_000 } as const
const MINUTE_MS = 60_000

/** What one look at all accounts has in common. */
export interface Look {
  readonly stores: Stores
  readonly settings: BudgetSettings
  readonly nowMs: number
  readonly knownUntilMs: number
  /** How long the last look at all of them took. */
  readonly tookMs: number
  readonly operator: Budget | undefined
  readonly earlier: EarlierUse
}

/** How an account stands; undefined while that cannot be known. */
export async function accountState(
  facts: AccountFacts,
  page: PageFacts,
  marks: Marks,
  look: Look,
): Promise<AccountState | undefined> {
  const { account, plan, seen, spent, budget, byokBudget, before } = facts
  if (plan === undefined || seen === undefined) return undefined
  const { settings, nowMs, knownUntilMs, operator, stores } = look
  const since = async (day: number) => {
    const start = await marks.spentBefore(facts, day, page, stores)
    return wad(spent > start ? spent - start : 0n)
  }
  const windowOf = (one: Budget) => since(budgetWindow(one, nowMs).fromDay)
  const isCounted = (one: Budget | undefined) => one !== undefined && one.currency === plan.currency
  const tier = tierOf(facts, settings)
  const limits = tier === undefined ? NO_LIMITS : await limitsLeft(account, tier, look)
  const [runway, worstAMinute] = await runwayNow(facts, page, look)
  return {
    account,
    atMs: nowMs,
    knownUntilMs,
    currency: plan.currency,
    from: facts.isOnCredits ? 'credits' : 'vault',
    seen,
    runway,
    worstAMinute,
    spent,
    spentToday: await since(Math.floor(nowMs / DAY_MS)),
    spentOfOperator:
      operator !== undefined && isCounted(operator) ? await windowOf(operator) : undefined,
    budget:
      budget !== undefined && isCounted(budget)
        ? budgetState(budget, await windowOf(budget))
        : undefined,
    byokBudget:
      byokBudget !== undefined && isCounted(byokBudget)
        ? await byokSpend(account, byokBudget, page, look)
        : undefined,
    tier: facts.tier ?? settings.defaultTier,
    ...limits,
    problem: facts.isFresh ? undefined : problemOf(before, facts),
  }
}

function problemOf(before: AccountState | undefined, { seen }: AccountFacts): string {
  const since = new Date(seen?.atMs ?? before?.atMs ?? 0).toISOString()
  return `neither the vault nor the value of its tokens could be read on Flow since ${since}`
}

/**
 * The tier's terms; undefined where the account has none. A tier that the settings no longer name is the
 * one of all: a name that was changed is no end of all limits.
 */
export function tierOf(
  { tier }: { readonly tier: string | undefined },
  { tiers, defaultTier }: Pick<BudgetSettings, 'tiers' | 'defaultTier'>,
): Tier | undefined {
  const ofAll = defaultTier === undefined ? undefined : tiers.get(defaultTier)
  return (tier === undefined ? undefined : tiers.get(tier)) ?? ofAll
}

const NO_LIMITS: { quota: readonly QuotaLeft[]; byokQuota: readonly QuotaLeft[] } = {
  quota: [],
  byokQuota: [],
}

async function limitsLeft(account: AccountNumber, tier: Tier, look: Look) {
  if (!hasLimit(tier.quota) && !hasLimit(tier.byok)) return NO_LIMITS
  const { stores, settings, nowMs } = look
  const used = await stores.spending.quotaUse(account, quotaWindows(nowMs), settings.byokModels)
  return {
    quota: quotaLeft(tier.quota, used.own, nowMs),
    byokQuota: quotaLeft(tier.byok, used.byok, nowMs),
  }
}

async function runwayNow(
  facts: AccountFacts,
  page: PageFacts,
  { settings, nowMs, knownUntilMs, tookMs, stores }: Look,
): Promise<readonly [Runway, Wad | undefined]> {
  const { account, keys, seen, unsettled, before } = facts
  const { rules, gateway, delays } = settings
  const knownForMs = nowMs - knownUntilMs
  const windowMs = exposedMs(knownForMs, delays, tookMs)
  const open = keys
    .filter((key) => mayBeUsed(key, knownUntilMs, settings))
    .map(({ limits }) => limits)
  const worst = worstUsage(open, gateway, windowMs)
  const next = worstUsage(open, gateway, windowMs + MINUTE_MS)
  const periods = periodsBetween(facts, knownUntilMs - delays.callMs, nowMs + windowMs)
  const [now, then] = [await cost(worst, periods, page), await cost(next, periods, page)]
  // A blocked account burns nothing, which says nothing of what it would burn.
  const isHeld = (await stores.holds.of(account)).some(({ reason }) => reason === 'balance')
  const measured = await burnsOf(facts, page)
  const burns = isHeld && before !== undefined ? [before.runway.burn, ...measured] : measured
  const delayMs = reservedMs(knownForMs, delays, tookMs)
  const funds = seen?.funds ?? wad(0n)
  const runway = runwayOf({ funds, unsettled, burns, delayMs, worst: now }, rules)
  const aMinute = now === undefined || then === undefined ? undefined : wad(then - now)
  return [runway, aMinute]
}

/** Not a key that has been blocked for so long that all that it could still do is known. */
function mayBeUsed({ seen }: StoredKey, knownUntilMs: number, { delays }: BudgetSettings): boolean {
  if (seen?.isBlocked !== true) return true
  return knownUntilMs < seen.atMs + delays.callMs + exposedMs(0, delays, 0)
}

/** Billing periods that a stretch of time touches. */
function periodsBetween({ account, vault }: AccountFacts, fromMs: number, untilMs: number) {
  const keys: EntryKey[] = []
  const kind = vault?.periodKind ?? 'month'
  for (let atMs = Math.max(0, fromMs); atMs <= untilMs; ) {
    const { startsAt, endsUntil } = periodAt(atMs, kind)
    keys.push({ accountNumber: accountNumber(account), periodStart: startsAt })
    atMs = endsUntil * 1_000
  }
  return keys
}

async function cost(
  worst: WorstUsage | undefined,
  periods: readonly EntryKey[],
  page: PageFacts,
): Promise<Wad | undefined> {
  if (worst === undefined) return undefined
  let sum = 0n
  for (const key of periods) {
    const plan = page.plan(key.accountNumber, key.periodStart)
    if (plan !== undefined) sum += worstCost(plan, await page.rows(key), worst)
  }
  return wad(sum)
}

async function burnsOf({ recent }: AccountFacts, page: PageFacts): Promise<readonly Burn[]> {
  const newest = recent.filter(({ isNewest }) => isNewest)
  return [
    { cost: await priced(recent, page, true), windowMs: BURN_WINDOWS_MS.long },
    { cost: await priced(newest, page, true), windowMs: BURN_WINDOWS_MS.newest },
  ]
}

/** What accounts had spent before days began, computed from records where no mark was made in time. */
export class Marks {
  readonly #known = new Map<string, Wad>()

  constructor(marks: readonly SpendMark[]) {
    for (const { account, day, spentBefore } of marks) {
      this.#known.set(`${account}/${day}`, spentBefore)
    }
  }

  async spentBefore(
    { account, spent }: AccountFacts,
    day: number,
    page: PageFacts,
    { spending }: Pick<Stores, 'spending'>,
  ): Promise<Wad> {
    const known = this.#known.get(`${account}/${day}`)
    if (known !== undefined) return known
    const sinceMs = day * DAY_MS
    const span = { sinceMs, newestSinceMs: sinceMs, untilMs: Number.MAX_SAFE_INTEGER }
    const used: readonly RecentUse[] = await spending.used([account], span)
    const cost = await priced(used, page, false)
    const spentBefore = wad(spent > cost ? spent - cost : 0n)
    await spending.saveMark({ account, day, spentBefore })
    this.#known.set(`${account}/${day}`, spentBefore)
    return spentBefore
  }
}
