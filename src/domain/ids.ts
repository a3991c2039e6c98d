import { assert } from './errors.js'

declare const brand: unique symbol
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name }

export type AccountNumber = Brand<bigint, 'AccountNumber'>
export type BatchSeq = Brand<bigint, 'BatchSeq'>
export type ModelId = Brand<number, 'ModelId'>

const U64_END = 1n << 64n

/** Accounts from one number to another, both included. */
export interface AccountRange {
  readonly from: AccountNumber
  readonly to: AccountNumber
}

/** The one place where a number becomes an account: it has to fit Cadence's UInt64. */
export function accountNumber(value: bigint): AccountNumber {
  assert(value >= 0n && value < U64_END, `not an account number: ${value}`)
  return value as AccountNumber
}

export const ALL_ACCOUNTS: AccountRange = {
  from: accountNumber(0n),
  to: accountNumber(U64_END - 1n),
}

export function batchSeq(value: bigint): BatchSeq {
  assert(value >= 1n && value < U64_END, `not a batch number: ${value}`)
  return value as BatchSeq
}

/** Id 0 stands for every model that has no row or no name of its own. */
export const OTHER_MODEL = 0 as ModelId

export function modelId(value: number): ModelId {
  assert(Number.isInteger(value) && value >= 0 && value < 1 << 16, `not a model id: ${value}`)
  return value as ModelId
}

/** Names one effect on a chain. Derived, so that no retry can cause it a second time. */
export type Purpose = Brand<string, 'Purpose'>
export const purpose = {
  anchor: (seq: BatchSeq) => `anchor/${seq}` as Purpose,
  request: (seq: BatchSeq, attempt: number) => `request/${seq}/${attempt}` as Purpose,
  policy: (rewardEpoch: number) => `policy/${rewardEpoch}` as Purpose,
  accept: (seq: BatchSeq) => `accept/${seq}` as Purpose,
  /** Names its entries by their positions, both inclusive: `settle/7/0-127`. */
  settle: (seq: BatchSeq, { first, count }: EntrySpan) =>
    `settle/${seq}/${first}-${first + count - 1}` as Purpose,
  /** @param afterS the instant of the price that is to be followed by a newer one */
  price: (token: string, currency: string, afterS: number) =>
    `price/${token}/${currency}/${afterS}` as Purpose,
}

/** Entries of a batch that stand one after the other. */
export interface EntrySpan {
  /** Position in the batch, from 0. */
  readonly first: number
  readonly count: number
}

/** Undefined unless the purpose is to settle entries of this batch. */
export function settledSpan(seq: BatchSeq, name: Purpose): EntrySpan | undefined {
  const [, batch, first, last] = /^settle\/(\d+)\/(\d+)-(\d+)$/.exec(name) ?? []
  if (batch !== seq.toString()) return undefined
  return { first: Number(first), count: Number(last) - Number(first) + 1 }
}
