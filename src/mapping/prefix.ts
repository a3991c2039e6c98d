import { z } from 'zod'
import { canonicalAccount } from '../domain/ids.js'
import type { StrategyKind } from './strategy.js'

const config = z.strictObject({
  kind: z.literal('prefix'),
  prefix: z.string().min(1).default('vault_'),
})

/** The account number behind a fixed text: `vault_42`. */
export const prefix = {
  config,
  create: ({ prefix: text }) => ({
    name: 'prefix',
    map: (payer) => {
      if (!payer.startsWith(text)) return { reason: `does not begin with "${text}"` }
      const account = canonicalAccount(payer.slice(text.length))
      return account === undefined
        ? { reason: `has no plain number from 0 to 18446744073709551615 after "${text}"` }
        : { account }
    },
  }),
} satisfies StrategyKind<z.infer<typeof config>> & { readonly config: typeof config }
