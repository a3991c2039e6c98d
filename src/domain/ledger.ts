import { assert } from './errors.js'
import type { AccountNumber, Brand } from './ids.js'
import type { Wad } from './money.js'

/** 1e-3 of a credit. */
export type Millicredits = Brand<bigint, 'Millicredits'>

export const millicredits = (value: bigint): Millicredits => value as Millicredits

/**
 * Where millicredits lie. What customers hold was sold or granted, and what they used was charged:
 * so all accounts together are 0, always.
 */
export type LedgerAccount = `customer/${bigint}` | 'sales' | 'grants' | 'usage'

export function customerAccount(account: AccountNumber): LedgerAccount {
  return `customer/${account}`
}

/** What a transaction adds to one account; below 0, what it takes. */
export interface Posting {
  readonly account: LedgerAccount
  readonly amount: Millicredits
}

export type LedgerKind = 'top_up' | 'grant' | 'charge' | 'refund'

/** One fact. Never changed and never deleted: what was wrong gets a counter-entry. */
export interface LedgerTransaction {
  /** Derived from what caused it, so that no repetition posts it twice: `top_up/stripe/<event>`. */
  readonly id: string
  readonly kind: LedgerKind
  readonly atMs: number
  /** For the statement; one line. */
  readonly memo: string
  /** At least two, of accounts that differ, and together 0. */
  readonly postings: readonly Posting[]
}

const MEMO_CHARACTERS_MAX = 200
/** Sums of them still fit 64 bits; more than four trillion dollars at once are a bug. */
const AMOUNT_MAX = 2n ** 62n

/** Moves an amount from one account to the other. An amount below 0 moves it back. */
export function transfer(
  fact: Omit<LedgerTransaction, 'postings'>,
  { from, to, amount }: { from: LedgerAccount; to: LedgerAccount; amount: Millicredits },
): LedgerTransaction {
  assert(from !== to, `${fact.id} moves millicredits from ${from} to itself`)
  assert(amount !== 0n, `${fact.id} moves nothing`)
  assert(amount < AMOUNT_MAX && -amount < AMOUNT_MAX, `${fact.id} moves too much`)
  return {
    ...fact,
    memo: fact.memo.replaceAll(/\s+/g, ' ').slice(0, MEMO_CHARACTERS_MAX),
    postings: [
      { account: from, amount: millicredits(-amount) },
      { account: to, amount },
    ],
  }
}

/** What all postings together are: 0, or somebody wrote into the store. */
export function sumOf(postings: readonly Posting[]): Millicredits {
  return millicredits(postings.reduce((sum, { amount }) => sum + amount, 0n))
}

/** 1,000 credits for one dollar: one credit is worth a tenth of a cent. */
export const WAD_PER_CREDIT = 1_000_000_000_000_000n

/**
 * What a period's whole charge is in millicredits, rounded down: the only division. Of a charge that
 * rose only the difference of two of these is posted, so that any number of batches in any order
 * comes to the same sum.
 */
export function chargeInMillicredits(charged: Wad): Millicredits {
  return millicredits((charged * 1000n) / WAD_PER_CREDIT)
}

/** For people: `1.5` of 1500. Exact. */
export function formatCredits(amount: Millicredits): string {
  const sign = amount < 0n ? '-' : ''
  const text = (amount < 0n ? -amount : amount).toString().padStart(4, '0')
  const fraction = text.slice(-3).replace(/0+$/, '')
  return `${sign}${text.slice(0, -3)}${fraction === '' ? '' : `.${fraction}`}`
}
