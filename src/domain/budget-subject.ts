import { type AccountNumber, canonicalAccount } from './ids.js'

/** Whose budget: one account's, its calls with its own provider's key, or all accounts together. */
export type BudgetSubject = AccountNumber | ByokSubject | 'operator'
/** `7-byok`: what account 7 pays for models for which clients bring their own provider's key. */
export type ByokSubject = `${bigint}-byok`

const BYOK = '-byok'

export function byokOf(account: AccountNumber): ByokSubject {
  return `${account as bigint}${BYOK}`
}

/** Whose vault pays; undefined for all of them together. */
export function accountOfSubject(subject: BudgetSubject): AccountNumber | undefined {
  if (subject === 'operator') return undefined
  return typeof subject === 'bigint' ? subject : canonicalAccount(subject.slice(0, -BYOK.length))
}

/** As people write it: `7`, `7-byok` or `operator`; undefined for anything else. */
export function readSubject(text: string): BudgetSubject | undefined {
  if (text === 'operator') return text
  if (!text.endsWith(BYOK)) return canonicalAccount(text)
  const account = canonicalAccount(text.slice(0, -BYOK.length))
  return account === undefined ? undefined : byokOf(account)
}
