import { setImmediate as breathe } from 'node:timers/promises'
import { accountNumber } from '../domain/ids.js'
import { formatUfix64, formatWad, type Wad, wad } from '../domain/money.js'
import { periodAt } from '../domain/period.js'
import { percent } from '../domain/share.js'
import type { UsageCell } from '../ports/report-facts.js'
import type { Balance } from '../ports/settler.js'
import { Profile } from '../pricing/forecast.js'
import type { Plan } from '../pricing/plan.js'
import { type Billable, billableOf, priceOf } from '../pricing/price.js'
import { exhaustionOf } from './exhaustion.js'
import { columnsOf, type Findings, type ReportQuestion, type Row } from './report.js'
import { day, type ReportStores, readUsage, type Terms } from './usage.js'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const WEEK = 7
/** Four weeks make the profile, and one more shows how well it would have done. */
const PROFILE_DAYS = 28
const HISTORY_DAYS = PROFILE_DAYS + WEEK
/** 1970-01-01 was a Thursday. */
const EPOCH_WEEKDAY = 3
/** Each keeps its history in memory. */
const VAULTS_MAX = 2_000

const COLUMNS = columnsOf({
  account: 'the vault',
  period: 'the day on which the running billing period begins',
  period_ends: 'the day on which it ends, exclusive',
  method: 'weekday, daily, or none while fewer than 3 whole days were seen',
  days_seen: 'whole days that the profile is made of',
  price_so_far: 'of the period, in the currency named; exact',
  projected: 'price of the period at its end',
  projected_low: 'the truth is below it in about 10 of 100 cases',
  projected_high: 'the truth is above it in about 10 of 100 cases',
  last_week_off_percent: 'how far the same method, a week ago, was off for the week that followed',
  last_week_inside: 'whether that week was between its low and its high: yes or no',
  balance: 'tokens that lie in the vault',
  exhausted_on: 'the day on which they will be used up; later: not within 366 days',
  exhausted_earliest: 'the same with high usage: earlier in about 10 of 100 cases',
  exhausted_latest: 'the same with low usage: later in about 10 of 100 cases',
  currency: 'of the plan',
})

const NOTES = [
  'A profile of the last four weeks: the mean of each hour of the week, or of the day while there are less than two weeks. Low and high are about 80 of 100 cases, from how much days differed from their weekday’s mean. Growth, holidays and a change of customers are not foreseen: last_week_off_percent shows what that did lately.',
  'exhausted_on prices later periods by the plans that are fixed for them now, at the last price of the token, without deposits to come, and without caps, pauses and the end of an entitlement.',
]

/** What the running period will cost, and when the balance is used up. */
export async function projections(
  stores: ReportStores,
  terms: Terms,
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<Findings> {
  const { untilMs } = question
  const today = Math.floor(untilMs / DAY_MS)
  const fromMs = Math.max(0, (today - HISTORY_DAYS) * DAY_MS)
  const since = Math.min(fromMs, terms.periodsSince(untilMs - 1))
  const vaults = new Map<bigint, Seen>()
  let isCut = false
  await readUsage(stores, question, { fromMs: since, untilMs }, signal, (cell) => {
    if (!vaults.has(cell.account) && vaults.size >= VAULTS_MAX) isCut = true
    else seenOf(vaults, cell, terms, untilMs)?.add(cell, today)
  })
  const books = await booksOf(stores, [...vaults.values()])
  const rows: Row[] = []
  for (const seen of [...vaults.values()].sort((a, b) => (a.account < b.account ? -1 : 1))) {
    signal.throwIfAborted()
    rows.push(rowOf(seen, books, terms, untilMs))
    await breathe()
  }
  return { columns: COLUMNS, rows, notes: NOTES, isCut }
}

interface Books {
  readonly balances: ReadonlyMap<bigint, Balance>
  /** Charged on Flow, by account and period. */
  readonly charged: ReadonlyMap<string, Wad>
  /** Of a whole token, by currency; absent where it is not known, or tokens differ. */
  readonly prices: ReadonlyMap<string, bigint>
}

async function booksOf({ books, watch }: ReportStores, seen: readonly Seen[]): Promise<Books> {
  const keys = seen.map(({ account, periodStart }) => ({
    accountNumber: accountNumber(account),
    periodStart,
  }))
  const balances = await books.balancesOf(keys.map((key) => key.accountNumber))
  const applied = await books.appliedOf(keys)
  const prices = new Map<string, bigint>()
  const known = await watch.prices()
  for (const { currency, price } of known) {
    const isOne = known.filter((other) => other.currency === currency).length === 1
    if (isOne && price !== undefined) prices.set(currency, price)
  }
  return {
    balances: new Map(balances.map((one) => [one.account, one])),
    charged: new Map(
      applied.map(({ accountNumber, periodStart, charged }) => [
        `${accountNumber}/${periodStart}`,
        charged,
      ]),
    ),
    prices,
  }
}

/** What is kept of one vault while the usage is read. */
class Seen {
  readonly account: bigint
  readonly periodStart: number
  readonly endsUntilMs: number
  readonly plan: Plan
  /** 1e-4 tokens of the running period. */
  billable = 0n
  /** By day since 1970 and hour of the day. */
  readonly days = new Map<number, bigint[]>()

  constructor(account: bigint, periodStart: number, endsUntilMs: number, plan: Plan) {
    this.account = account
    this.periodStart = periodStart
    this.endsUntilMs = endsUntilMs
    this.plan = plan
  }

  add(cell: UsageCell, today: number): void {
    const billable = billableOf(this.plan, [cell])
    if (cell.periodStart === this.periodStart) this.billable += billable
    const date = Math.floor(cell.hour / 24)
    if (date < today - HISTORY_DAYS || date >= today) return
    const hours = this.days.get(date) ?? new Array<bigint>(24).fill(0n)
    hours[cell.hour % 24] = (hours[cell.hour % 24] ?? 0n) + billable
    this.days.set(date, hours)
  }

  /** Whole days from one to another, quiet ones too; from the day after the first use at the earliest. */
  profile(firstDay: number, untilDay: number): { profile: Profile | undefined; days: number } {
    const first = Math.min(...this.days.keys())
    // Quiet for the whole first week that was looked at: it is new.
    const isNew = first >= untilDay - HISTORY_DAYS + WEEK
    const from = isNew ? Math.max(firstDay, first + 1) : firstDay
    const length = Math.max(0, untilDay - from)
    const days = Array.from({ length }, (_, i) => this.days.get(from + i) ?? QUIET_DAY)
    return { profile: Profile.of({ firstWeekday: weekdayOf(from), days }), days: length }
  }

  total(fromDay: number, untilDay: number): bigint {
    return [...this.days]
      .filter(([date]) => date >= fromDay && date < untilDay)
      .reduce((sum, [, hours]) => hours.reduce((a, b) => a + b, sum), 0n)
  }
}

const QUIET_DAY: readonly bigint[] = new Array<bigint>(24).fill(0n)

function seenOf(
  vaults: Map<bigint, Seen>,
  { account }: UsageCell,
  terms: Terms,
  untilMs: number,
): Seen | undefined {
  const known = vaults.get(account)
  const vault = terms.vaults.get(account)
  if (known !== undefined || vault === undefined) return known
  const { startsAt, endsUntil } = periodAt(untilMs - 1, vault.periodKind)
  const plan = terms.plan(account, startsAt)
  if (plan === undefined) return undefined
  const seen = new Seen(account, startsAt, endsUntil * 1_000, plan)
  vaults.set(account, seen)
  return seen
}

function rowOf(seen: Seen, books: Books, terms: Terms, untilMs: number): Row {
  const { account, periodStart, endsUntilMs, plan, billable } = seen
  const today = Math.floor(untilMs / DAY_MS)
  const { profile, days } = seen.profile(today - PROFILE_DAYS, today)
  const balance = books.balances.get(account)
  const priceOfAll = (more: bigint) => {
    const all = billable + more
    return all === 0n ? wad(0n) : priceOf(plan, all as Billable)
  }
  const soFar = priceOfAll(0n)
  const known = {
    account: account.toString(),
    period: day(periodStart),
    period_ends: day(endsUntilMs / 1_000),
    method: profile?.method ?? 'none',
    days_seen: days,
    price_so_far: formatWad(soFar),
    balance: balance === undefined ? null : formatUfix64(balance.balance),
    currency: plan.currency,
  }
  if (profile === undefined) return { ...NOTHING_SAID, ...known }
  const rest = profile.of(horizonTo(untilMs, endsUntilMs))
  return {
    ...NOTHING_SAID,
    ...known,
    projected: formatWad(priceOfAll(rest.expected)),
    projected_low: formatWad(priceOfAll(rest.low)),
    projected_high: formatWad(priceOfAll(rest.high)),
    ...lastWeek(seen, today),
    ...(balance === undefined ? {} : exhaustion(seen, profile, balance, books, terms, untilMs)),
  }
}

const NOTHING_SAID: Row = Object.fromEntries(COLUMNS.map(({ name }) => [name, null]))

/** How the method would have done a week ago. */
function lastWeek(seen: Seen, today: number): Row {
  const { profile } = seen.profile(today - WEEK - PROFILE_DAYS, today - WEEK)
  if (profile === undefined) return {}
  const said = profile.of(horizonTo((today - WEEK) * DAY_MS, today * DAY_MS))
  const was = seen.total(today - WEEK, today)
  return {
    last_week_off_percent: percent(said.expected - was, was) ?? null,
    last_week_inside: was >= said.low && was <= said.high ? 'yes' : 'no',
  }
}

function exhaustion(
  seen: Seen,
  profile: Profile,
  balance: Balance,
  { prices, charged }: Books,
  terms: Terms,
  untilMs: number,
): Row {
  const price = prices.get(seen.plan.currency)
  if (price === undefined) return {}
  const { account, periodStart, endsUntilMs, billable } = seen
  const days = exhaustionOf({
    untilMs,
    funds: (balance.balance * price) / 10n ** 8n,
    due: balance.owed - (charged.get(`${account}/${periodStart}`) ?? 0n),
    billable,
    periodEndsMs: endsUntilMs,
    periodKind: terms.vaults.get(account)?.periodKind ?? 'month',
    planAt: (startsAt) => terms.plan(account, startsAt),
    forecast: (atMs) => profile.of(horizonTo(untilMs, atMs)),
  })
  return {
    exhausted_on: days.expected,
    exhausted_earliest: days.earliest,
    exhausted_latest: days.latest,
  }
}

/** From an instant to the beginning of a day. The hour that has begun is taken as over. */
export function horizonTo(fromMs: number, untilMs: number) {
  const today = Math.floor(fromMs / DAY_MS)
  const fromHour = Math.ceil((fromMs - today * DAY_MS) / HOUR_MS)
  const fullDays = Math.max(0, Math.floor(untilMs / DAY_MS) - today - 1)
  return { weekday: weekdayOf(today), fromHour, fullDays }
}

/** 0 is Monday. @param date days since 1970 */
function weekdayOf(date: number): number {
  return (((date + EPOCH_WEEKDAY) % WEEK) + WEEK) % WEEK
}
