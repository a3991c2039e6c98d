import { accountNumber } from '../domain/ids.js'
import { formatUfix64, formatWad } from '../domain/money.js'
import { change, percent } from '../domain/share.js'
import { type PeriodBill, readBills, together, type Used } from './bills.js'
import { columnsOf, type Findings, type ReportQuestion, ROWS_MAX, type Row } from './report.js'
import { day, type ReportStores, type Terms, tokensOf } from './usage.js'

const USE = {
  requests: 'calls',
  tokens: 'prompt and completion tokens',
  cost: 'what the bill rose by in the span, in the currency named; exact',
  currency: 'of the plan',
  trend_percent: 'tokens of the second half of the span against the first',
}
const USER_COLUMNS = columnsOf({
  payer: 'as the source names them',
  account: 'the vault that pays',
  ...USE,
  share_percent: 'of the tokens of this vault',
})
const VAULT_COLUMNS = columnsOf({
  account: 'the vault',
  period: 'the day on which the billing period begins',
  plan: 'its plan in this period',
  payers: 'how many different ones used it',
  ...USE,
  charged: 'by Flow for this period up to now, whatever the span',
  balance: 'tokens that lie in the vault now',
  owed: 'by the vault now, over all periods',
})
const NOTES = [
  'cost is what the price of the period rose by during the span, by the start of calls: spans side by side add up to the bill.',
]

/** What each payer does with the vault that pays. */
export async function userBehaviour(
  stores: ReportStores,
  terms: Terms,
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<Findings> {
  const bills = await readBills(stores, terms, question, signal)
  const wholes = new Map<bigint, bigint>()
  const found = new Map<string, { account: bigint; payer: string; parts: Used[] }>()
  for (const { account, usage, payers } of bills) {
    wholes.set(account, (wholes.get(account) ?? 0n) + tokensOf(usage))
    for (const [payer, used] of payers) {
      const name = JSON.stringify([`${account}`, payer])
      const one = found.get(name) ?? { account, payer, parts: [] }
      one.parts.push(used)
      found.set(name, one)
    }
  }
  const rows = [...found.values()]
    .map(({ account, payer, parts }) => ({ account, payer, used: together(parts) }))
    .sort((a, b) => compare(tokensOf(b.used.usage), tokensOf(a.used.usage)))
    .map(
      ({ account, payer, used }): Row => ({
        payer,
        account: account.toString(),
        ...shown(used),
        share_percent: percent(tokensOf(used.usage), wholes.get(account) ?? 0n) ?? null,
      }),
    )
  const notes = [
    ...NOTES,
    'Tiers are reached by a vault as a whole: what its bill rose by is shared among its payers by billable tokens, to the last wad.',
  ]
  return {
    columns: USER_COLUMNS,
    rows: rows.slice(0, ROWS_MAX),
    notes,
    isCut: rows.length > ROWS_MAX,
  }
}

/** What each vault does in each of its periods. */
export async function vaultBehaviour(
  stores: ReportStores,
  terms: Terms,
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<Findings> {
  const bills = (await readBills(stores, terms, question, signal)).sort(
    (a, b) => compare(a.account, b.account) || a.periodStart - b.periodStart,
  )
  const accounts = [...new Set(bills.map(({ account }) => accountNumber(account)))]
  const balances = new Map(
    (await stores.books.balancesOf(accounts)).map((one) => [one.account as bigint, one]),
  )
  const keys = bills.map(({ account, periodStart }) => ({
    accountNumber: accountNumber(account),
    periodStart,
  }))
  const applied = new Map(
    (await stores.books.appliedOf(keys)).map((one) => [
      nameOf(one.accountNumber, one.periodStart),
      one,
    ]),
  )
  const rows = bills.map((bill: PeriodBill): Row => {
    const { account, periodStart } = bill
    const balance = balances.get(account)
    const charged = applied.get(nameOf(account, periodStart))?.charged
    return {
      account: account.toString(),
      period: day(periodStart),
      plan: terms.planId(account, periodStart) ?? null,
      payers: bill.payers.size,
      ...shown(bill),
      charged: charged === undefined ? null : formatWad(charged),
      balance: balance === undefined ? null : formatUfix64(balance.balance),
      owed: balance === undefined ? null : formatWad(balance.owed),
    }
  })
  const notes = NOTES
  return {
    columns: VAULT_COLUMNS,
    rows: rows.slice(0, ROWS_MAX),
    notes,
    isCut: rows.length > ROWS_MAX,
  }
}

function shown({ usage, cost, halves }: Used): Row {
  return {
    requests: usage.requests,
    tokens: tokensOf(usage),
    cost: cost === undefined ? null : formatWad(cost.amount),
    currency: cost?.currency ?? null,
    trend_percent: change(...halves) ?? null,
  }
}

function nameOf(account: bigint, periodStart: number): string {
  return `${account}/${periodStart}`
}

function compare(a: bigint, b: bigint): number {
  return a === b ? 0 : a < b ? -1 : 1
}
