import { assert } from './errors.js'

declare const brand: unique symbol
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name }

export type AccountNumber = Brand<bigint, 'AccountNumber'>
/** The number that a batch has on the chains: each meter counts its own from 1. */
export type BatchSeq = Brand<bigint, 'BatchSeq'>
/** Names a batch in the store, whichever meter signed it; see `batchId`. */
export type BatchId = Brand<bigint, 'BatchId'>
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

/** At most 20 digits, so that no text of a customer becomes a huge number first. */
const CANONICAL_NUMBER = /^(?:0|[1-9][0-9]{0,19})$/

/**
 * The one number that a text stands for, or nothing: no sign, no leading zero, no space, no other
 * script's digits, so that two payers can never share an account by spelling.
 */
export function canonicalAccount(text: string): AccountNumber | undefined {
  if (!CANONICAL_NUMBER.test(text)) return undefined
  const value = BigInt(text)
  return value < U64_END ? accountNumber(value) : undefined
}

export const ALL_ACCOUNTS: AccountRange = {
  from: accountNumber(0n),
  to: accountNumber(U64_END - 1n),
}

export function batchSeq(value: bigint): BatchSeq {
  assert(value >= 1n && value < U64_END, `not a batch number: ${value}`)
  return value as BatchSeq
}

const SEQ_BITS = 40n
const SEQ_END = 1n << SEQ_BITS
const ERAS_MAX = 1_000_000

/**
 * `era · 2^40 + seq`: ids ascend in the order of sealing, and those of the first meter are its numbers.
 *
 * @param seq 0 for what comes before the first batch of its meter
 * @param era how many meters this store had before
 */
export function batchId(seq: bigint, era = 0): BatchId {
  assert(seq >= 0n && seq < SEQ_END, `not a batch number: ${seq}`)
  assert(era >= 0 && era < ERAS_MAX, `not a count of meters: ${era}`)
  return ((BigInt(era) << SEQ_BITS) + seq) as BatchId
}

/** An id from the store. */
export function storedBatchId(value: bigint): BatchId {
  return batchId(seqOf(value), eraOf(value))
}

export function eraOf(id: bigint): number {
  return Number(id >> SEQ_BITS)
}

/** Its number on the chains. */
export function seqOf(id: bigint): bigint {
  return id % SEQ_END
}

/** For people and purposes: `7`; of the third meter, `3.7`. */
export function batchName(id: bigint): string {
  const era = eraOf(id)
  return era === 0 ? seqOf(id).toString() : `${era + 1}.${seqOf(id)}`
}

/** Undefined where it is no name of a batch. */
export function readBatchName(text: string): BatchId | undefined {
  const [, meter = '1', seq = ''] = /^(?:([1-9]\d{0,5})\.)?([1-9]\d{0,11})$/.exec(text) ?? []
  if (seq === '' || BigInt(seq) >= SEQ_END) return undefined
  return batchId(BigInt(seq), Number(meter) - 1)
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
  anchor: (id: BatchId) => `anchor/${batchName(id)}` as Purpose,
  request: (id: BatchId, attempt: number) => `request/${batchName(id)}/${attempt}` as Purpose,
  policy: (rewardEpoch: number) => `policy/${rewardEpoch}` as Purpose,
  accept: (id: BatchId) => `accept/${batchName(id)}` as Purpose,
  /** Names its entries by their positions, both inclusive: `settle/7/0-127`. */
  settle: (id: BatchId, { first, count }: EntrySpan) =>
    `settle/${batchName(id)}/${first}-${first + count - 1}` as Purpose,
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
export function settledSpan(id: BatchId, name: Purpose): EntrySpan | undefined {
  const [, batch, first, last] = /^settle\/([\d.]+)\/(\d+)-(\d+)$/.exec(name) ?? []
  if (batch !== batchName(id)) return undefined
  return { first: Number(first), count: Number(last) - Number(first) + 1 }
}
