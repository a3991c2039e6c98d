import {
  type AccountNumber,
  type AccountRange,
  ALL_ACCOUNTS,
  accountNumber,
} from '../domain/ids.js'
import type { ParkedBatch, StoredBatch, Stores } from '../ports/stores.js'

/*
 * Everything, a bounded part at a time: a store grows for years, and what is in memory must not.
 */

/** A manifest and a proof each: some ten kilobytes. */
const BATCHES_A_PAGE = 100
const PARKED_A_PAGE = 1_000
const ACCOUNTS_A_PAGE = 1_000

/** All accounts, in ranges of about a thousand (vault, period)s. */
export async function* accountRanges({
  totals,
}: Pick<Stores, 'totals'>): AsyncGenerator<AccountRange> {
  for (let from: AccountNumber = ALL_ACCOUNTS.from; ; ) {
    const range = await totals.nextRange(from)
    yield range
    if (range.to === ALL_ACCOUNTS.to) return
    from = accountNumber(range.to + 1n)
  }
}

/** Those that live on prepaid credits, in order. */
export async function* creditAccounts({
  payments,
}: Pick<Stores, 'payments'>): AsyncGenerator<AccountNumber> {
  for (let after: AccountNumber | undefined; ; ) {
    const page = await payments.accounts(after, ACCOUNTS_A_PAGE)
    yield* page
    after = page.at(-1)
    if (page.length < ACCOUNTS_A_PAGE) return
  }
}

/** In order. */
export async function* allBatches({
  batches,
}: Pick<Stores, 'batches'>): AsyncGenerator<StoredBatch> {
  for (let from = 1n; ; ) {
    const page = await batches.page(from, BATCHES_A_PAGE)
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < BATCHES_A_PAGE) return
    from = last.id + 1n
  }
}

/** In order. */
export async function* parkedBatches({
  batches,
}: Pick<Stores, 'batches'>): AsyncGenerator<ParkedBatch> {
  for (let from = 1n; ; ) {
    const page = await batches.parked(from, PARKED_A_PAGE)
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < PARKED_A_PAGE) return
    from = last.id + 1n
  }
}
