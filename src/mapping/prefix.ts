import { canonicalAccount, type MappingStrategy } from './strategy.js'

/** The account number behind a fixed text: `vault_42`. */
export function prefixStrategy(prefix: string): MappingStrategy {
  return {
    name: 'prefix',
    map: (payer) => {
      if (!payer.startsWith(prefix)) return { reason: `does not begin with "${prefix}"` }
      const account = canonicalAccount(payer.slice(prefix.length))
      return account === undefined
        ? { reason: `has no plain number from 0 to 18446744073709551615 after "${prefix}"` }
        : { account }
    },
  }
}
