import { canonicalAccount, type MappingStrategy } from './strategy.js'

/** The payer is the account number itself: `42`. */
export function directStrategy(): MappingStrategy {
  return {
    name: 'direct',
    map: (payer) => {
      const account = canonicalAccount(payer)
      return account === undefined
        ? { reason: 'is not a number from 0 to 18446744073709551615, written plainly' }
        : { account }
    },
  }
}
