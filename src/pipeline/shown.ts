import { type AccountNumber, accountNumber, batchName, readBatchName } from '../domain/ids.js'
import { iso } from '../domain/instant.js'
import { formatUfix64, formatWad, type Wad, wad } from '../domain/money.js'
import { periodAt } from '../domain/period.js'
import type { Clock } from '../ports/clock.js'
import type { AppliedRecord, Balance, Vault } from '../ports/settler.js'
import type { Stores } from '../ports/stores.js'
import type { BatchView } from '../ports/views.js'
import type { Plan } from '../pricing/plan.js'
import type { Billable } from '../pricing/price.js'
import { tierProgress } from '../pricing/tier-progress.js'
import { planOf } from './plan-of.js'

/*
 * What is shown to people, from the store alone. Every list is bounded. Integers that may pass 2^53
 * and all money are decimal text: nothing is rounded on its way to a screen.
 */

export interface ShownParts {
  readonly stores: Pick<Stores, 'views' | 'books' | 'totals'>
  readonly clock: Clock
}

export interface ShownUsage {
  /** ISO 8601; `until` is exclusive. */
  readonly from: string
  readonly until: string
  readonly bucketS: number
  /** In order of time; `model` is null for all others together. */
  readonly buckets: readonly {
    readonly at: string
    readonly model: string | null
    readonly promptTokens: string
    readonly cachedPromptTokens: string
    readonly completionTokens: string
    readonly requests: number
  }[]
}

export interface ShownPeriod {
  readonly start: string
  readonly planId: string | null
  /** Of the currency. */
  readonly charged: string
  /** Whole billable tokens that Flow has applied. */
  readonly billableTokens: string
  readonly tier: {
    readonly current: number
    readonly toNext: string | null
    readonly tiers: readonly {
      readonly upTo: string | null
      /** Of the currency, for a million billable tokens, before the discount. */
      readonly pricePerMillion: string
      readonly discountPercent: string
    }[]
  } | null
}

export interface ShownVault {
  readonly account: string
  readonly isOpen: boolean
  readonly currency: string | null
  /** Tokens that customers pay with; null before anything was charged. */
  readonly balance: string | null
  readonly charged: string
  readonly paid: string
  readonly owed: string
  readonly writtenOff: string
  /** The newest, newest first. */
  readonly periods: readonly ShownPeriod[]
}

export interface ShownBatch
  extends Omit<BatchView, 'id' | 'sealedAtS' | 'changedAtMs' | 'round' | 'anchorTx'> {
  readonly seq: string
  readonly sealedAt: string
  readonly changedAt: string
  readonly round: number | null
  readonly anchorTx: string | null
}

export interface Page<Item> {
  readonly items: readonly Item[]
  /** What to ask with for the next page; null after the last. */
  readonly next: string | null
}

export const PAGE_MAX = 100
const MODELS_MAX = 8
const BUCKETS_MAX = 400
const PERIODS_SHOWN = 12
const ZERO = wad(0n)

/** The lengths of time that can be asked for, and how they are cut up, in ms. */
export const SPANS = {
  day: { spanMs: 24 * 3_600_000, bucketMs: 30 * 60_000 },
  week: { spanMs: 7 * 24 * 3_600_000, bucketMs: 3 * 3_600_000 },
  month: { spanMs: 31 * 24 * 3_600_000, bucketMs: 24 * 3_600_000 },
} as const
export type Span = keyof typeof SPANS

/** Usage until now, of these vaults alone where they are given. */
export async function shownUsage(
  span: Span,
  accounts: readonly AccountNumber[] | undefined,
  { stores: { views }, clock }: ShownParts,
): Promise<ShownUsage> {
  const { spanMs, bucketMs } = SPANS[span]
  const untilMs = Math.ceil((clock.now() + 1) / bucketMs) * bucketMs
  const fromMs = untilMs - spanMs
  const buckets = await views.usage({
    ...{ fromMs, untilMs, bucketMs, modelsMax: MODELS_MAX },
    ...(accounts === undefined ? {} : { accounts }),
  })
  return {
    from: iso(fromMs),
    until: iso(untilMs),
    bucketS: bucketMs / 1_000,
    buckets: buckets.slice(0, BUCKETS_MAX * (MODELS_MAX + 1)).map((bucket) => ({
      at: iso(bucket.startMs),
      model: bucket.model ?? null,
      promptTokens: bucket.promptTokens.toString(),
      cachedPromptTokens: bucket.cachedPromptTokens.toString(),
      completionTokens: bucket.completionTokens.toString(),
      requests: bucket.requests,
    })),
  }
}

export async function shownVaults(
  {
    after,
    limit,
    among,
  }: {
    readonly after: AccountNumber | undefined
    readonly limit: number
    readonly among?: readonly AccountNumber[]
  },
  { stores, clock }: ShownParts,
): Promise<Page<ShownVault>> {
  const accounts = await stores.views.accounts(after, limit + 1, among)
  const page = accounts.slice(0, limit)
  const items = await vaultsOf(page, 1, { stores, clock })
  return { items, next: accounts.length > limit ? `${page.at(-1)}` : null }
}

/** Undefined where the provider has no such vault. */
export async function shownVault(
  account: AccountNumber,
  parts: ShownParts,
): Promise<ShownVault | undefined> {
  const [vault] = await vaultsOf([account], PERIODS_SHOWN, parts)
  return vault
}

async function vaultsOf(
  accounts: readonly AccountNumber[],
  periodsMax: number,
  { stores: { books }, clock }: ShownParts,
): Promise<ShownVault[]> {
  const plans = await books.plans()
  const balances = new Map((await books.balancesOf(accounts)).map((one) => [one.account, one]))
  const vaults = await books.vaults(accounts)
  return Promise.all(
    vaults.map(async (vault) => {
      const applied = await books.applied({ from: vault.account, to: vault.account })
      const newest = [...applied].sort((a, b) => b.periodStart - a.periodStart)
      const now = planOf(vault, periodAt(clock.now(), vault.periodKind).startsAt, plans)
      return {
        account: vault.account.toString(),
        isOpen: vault.isOpen,
        currency: now?.currency ?? null,
        ...moneyOf(balances.get(vault.account)),
        periods: newest.slice(0, periodsMax).map((record) => shownPeriod(record, vault, plans)),
      }
    }),
  )
}

function moneyOf(balance: Balance | undefined) {
  const { charged = ZERO, paid = ZERO, owed = ZERO, writtenOff = ZERO } = balance ?? {}
  return {
    balance: balance === undefined ? null : formatUfix64(balance.balance),
    charged: formatWad(charged),
    paid: formatWad(paid),
    owed: formatWad(owed),
    writtenOff: formatWad(writtenOff),
  }
}

function shownPeriod(
  { periodStart, charged, billable }: AppliedRecord,
  vault: Vault,
  plans: ReadonlyMap<string, Plan>,
): ShownPeriod {
  const plan = planOf(vault, periodStart, plans)
  const terms = vault.plans.filter(({ fromPeriodStart }) => fromPeriodStart <= periodStart).at(-1)
  const progress = plan && tierProgress(plan, billable as Billable)
  return {
    start: iso(periodStart * 1_000),
    planId: terms?.planId ?? null,
    charged: formatWad(charged),
    billableTokens: (billable / 10_000n).toString(),
    tier:
      progress === undefined
        ? null
        : {
            current: progress.current,
            toNext: progress.toNext?.toString() ?? null,
            tiers: progress.tiers.map(({ upTo, pricePerMillion, discountBps }) => ({
              upTo: upTo?.toString() ?? null,
              pricePerMillion: formatWad((pricePerMillion * 10n ** 12n) as Wad),
              discountPercent: formatWad((discountBps * 10n ** 16n) as Wad),
            })),
          },
  }
}

export async function shownBatches(
  before: string | undefined,
  limit: number,
  { stores: { views } }: Pick<ShownParts, 'stores'>,
): Promise<Page<ShownBatch>> {
  const from = before === undefined ? undefined : readBatchName(before)
  const batches = await views.batches(from, limit + 1)
  const page = batches.slice(0, limit)
  return {
    items: page.map(({ id, sealedAtS, changedAtMs, round, anchorTx, ...batch }) => ({
      ...batch,
      seq: batchName(id),
      sealedAt: iso(sealedAtS * 1_000),
      changedAt: iso(changedAtMs),
      round: round ?? null,
      anchorTx: anchorTx ?? null,
    })),
    next: batches.length > limit ? batchName(page.at(-1)?.id ?? 0n) : null,
  }
}

/** A number that has been asked for, as canonical text; undefined for what is none. */
export function askedAccount(text: string): AccountNumber | undefined {
  if (!/^(0|[1-9]\d{0,19})$/.test(text)) return undefined
  const value = BigInt(text)
  return value < 2n ** 64n ? accountNumber(value) : undefined
}
