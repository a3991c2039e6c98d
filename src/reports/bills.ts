import { type Wad, wad } from '../domain/money.js'
import { allot } from '../domain/share.js'
import { addUsage, NO_USAGE, type Usage } from '../domain/usage-total.js'
import type { UsageCell } from '../ports/report-facts.js'
import { billableOf } from '../pricing/price.js'
import type { ReportQuestion } from './report.js'
import { ModelRows, type ReportStores, readUsage, rise, type Terms, tokensOf } from './usage.js'

/** What one payer, or all of a vault, used in a span, with what the bill rose by. */
export interface Used {
  readonly usage: Usage
  /** In the first and in the second half of the span. */
  readonly halves: readonly [bigint, bigint]
  /** Undefined while the plan is not known, or where currencies differ. */
  readonly cost: { readonly currency: string; readonly amount: Wad } | undefined
}

export interface PeriodBill extends Used {
  readonly account: bigint
  readonly periodStart: number
  readonly payers: ReadonlyMap<string, Used>
}

/**
 * Per (vault, period): what the bill rose by during the span, by the start of calls. Adjacent spans
 * add up to the whole bill. A payer's part of it is by billable tokens: tiers are reached together.
 */
export async function readBills(
  stores: ReportStores,
  terms: Terms,
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<PeriodBill[]> {
  const { fromMs, untilMs } = question
  const middleMs = fromMs + Math.floor((untilMs - fromMs) / 2)
  const drafts = new Map<string, Draft>()
  const take = (part: Part) => (cell: UsageCell) => draftOf(drafts, cell).add(part, cell, terms)
  const spans = [
    [0, terms.periodsSince(fromMs), fromMs],
    [1, fromMs, middleMs],
    [2, middleMs, untilMs],
  ] as const
  for (const [part, from, until] of spans) {
    await readUsage(stores, question, { fromMs: from, untilMs: until }, signal, take(part))
  }
  return [...drafts.values()].filter(({ isUsed }) => isUsed).map((draft) => draft.bill(terms))
}

/** Several of a kind as one: of a payer over several periods. */
export function together(all: readonly Used[]): Used {
  const costs = all.map(({ cost }) => cost)
  const [first] = costs
  const isOne = costs.every((cost) => cost !== undefined && cost.currency === first?.currency)
  const amount = costs.reduce((sum, cost) => sum + (cost?.amount ?? 0n), 0n)
  return {
    usage: all.reduce<Usage>((sum, { usage }) => addUsage(sum, usage), NO_USAGE),
    halves: [
      all.reduce((sum, { halves }) => sum + halves[0], 0n),
      all.reduce((sum, { halves }) => sum + halves[1], 0n),
    ],
    cost:
      first !== undefined && isOne ? { currency: first.currency, amount: wad(amount) } : undefined,
  }
}

/** 0: before the span; 1 and 2: its halves. */
type Part = 0 | 1 | 2

interface PayerDraft {
  usage: Usage
  halves: [bigint, bigint]
  billable: bigint
}

class Draft {
  readonly account: bigint
  readonly periodStart: number
  readonly #before = new ModelRows()
  readonly #all = new ModelRows()
  readonly #payers = new Map<string, PayerDraft>()

  constructor(account: bigint, periodStart: number) {
    this.account = account
    this.periodStart = periodStart
  }

  get isUsed(): boolean {
    return this.#payers.size > 0
  }

  add(part: Part, cell: UsageCell, terms: Terms): void {
    this.#all.add(cell)
    if (part === 0) {
      this.#before.add(cell)
      return
    }
    const plan = terms.plan(this.account, this.periodStart)
    const payer = this.#payers.get(cell.payer) ?? {
      usage: NO_USAGE,
      halves: [0n, 0n],
      billable: 0n,
    }
    payer.usage = addUsage(payer.usage, cell)
    payer.halves[part - 1] = (payer.halves[part - 1] ?? 0n) + tokensOf(cell)
    if (plan !== undefined) payer.billable += billableOf(plan, [cell])
    this.#payers.set(cell.payer, payer)
  }

  bill(terms: Terms): PeriodBill {
    const { account, periodStart } = this
    const plan = terms.plan(account, periodStart)
    const drafts = [...this.#payers]
    const amount = plan === undefined ? 0n : rise(plan, this.#before.rows(), this.#all.rows())
    const shares = allot(
      amount,
      drafts.map(([, { billable }]) => billable),
    )
    const payers = new Map(
      drafts.map(([payer, { usage, halves }], i) => {
        const cost =
          plan === undefined ? undefined : { currency: plan.currency, amount: wad(shares[i] ?? 0n) }
        return [payer, { usage, halves, cost }] as const
      }),
    )
    return { account, periodStart, payers, ...together([...payers.values()]) }
  }
}

function draftOf(drafts: Map<string, Draft>, { account, periodStart }: UsageCell): Draft {
  const name = `${account}/${periodStart}`
  const draft = drafts.get(name) ?? new Draft(account, periodStart)
  drafts.set(name, draft)
  return draft
}
