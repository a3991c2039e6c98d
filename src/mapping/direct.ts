import { z } from 'zod'
import { canonicalAccount } from '../domain/ids.js'
import type { StrategyKind } from './strategy.js'

const config = z.strictObject({ kind: z.literal('direct') })

/** The payer is the account number itself: `42`. */
export const direct = {
  config,
  create: () => ({
    name: 'direct',
    map: (payer) => {
      const account = canonicalAccount(payer)
      return account === undefined
        ? { reason: 'is not a number from 0 to 18446744073709551615, written plainly' }
        : { account }
    },
  }),
} satisfies StrategyKind<z.infer<typeof config>> & { readonly config: typeof config }
