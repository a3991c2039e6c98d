import { type AccountNumber, accountNumber } from '../domain/ids.js'

const ACCOUNT_DIGITS = 20

/** Account numbers reach 2^64, which no engine's bigint holds: text of 20 digits sorts like them. */
export function accountText(account: AccountNumber): string {
  return account.toString().padStart(ACCOUNT_DIGITS, '0')
}

export function accountOf(text: string): AccountNumber {
  return accountNumber(BigInt(text))
}

/** `{ a: count }` of rows, for engines that return counts as bigint, number or text. */
export function count(value: bigint | number | string | null | undefined): number {
  return Number(value ?? 0)
}
