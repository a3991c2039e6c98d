import type { AccountNumber } from '../domain/ids.js'

/** What strategies may look at besides the payer: data, so that they stay pure. */
export interface MappingData {
  /** The operator's table: payer to account number. */
  readonly directory: ReadonlyMap<string, AccountNumber>
}

/** A rule from payer to account number. */
export interface MappingStrategy {
  readonly name: string
  /** The account number, or why this rule has none. */
  readonly map: (payer: string, data: MappingData) => MappingAnswer
}

export type MappingAnswer =
  | { readonly account: AccountNumber }
  | { readonly account?: undefined; readonly reason: string }

const U64_MAX = 2n ** 64n - 1n
/** At most 20 digits, so that no text of a customer becomes a huge number first. */
const CANONICAL_NUMBER = /^(?:0|[1-9][0-9]{0,19})$/

/**
 * The one number that a text stands for, or nothing: no sign, no leading zero, no space, no other
 * script's digits, so that two payers can never share an account by spelling.
 */
export function canonicalAccount(text: string): AccountNumber | undefined {
  if (!CANONICAL_NUMBER.test(text)) return undefined
  const value = BigInt(text)
  return value <= U64_MAX ? (value as AccountNumber) : undefined
}
