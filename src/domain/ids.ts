import { assert } from './errors.js'

declare const brand: unique symbol
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name }

export type AccountNumber = Brand<bigint, 'AccountNumber'>
export type BatchSeq = Brand<bigint, 'BatchSeq'>
export type ModelId = Brand<number, 'ModelId'>

const U64_END = 1n << 64n

/** The one place where a number becomes an account: it has to fit Cadence's UInt64. */
export function accountNumber(value: bigint): AccountNumber {
  assert(value >= 0n && value < U64_END, `not an account number: ${value}`)
  return value as AccountNumber
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
  settle: (seq: BatchSeq, firstEntry: number) => `settle/${seq}/${firstEntry}` as Purpose,
  /** @param afterS the instant of the price that is to be followed by a newer one */
  price: (token: string, currency: string, afterS: number) =>
    `price/${token}/${currency}/${afterS}` as Purpose,
}
