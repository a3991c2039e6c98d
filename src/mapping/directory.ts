import { z } from 'zod'
import type { StrategyKind } from './strategy.js'

const config = z.strictObject({ kind: z.literal('directory') })

/** The operator's own table says it. */
export const directory = {
  config,
  create: () => ({
    name: 'directory',
    map: (payer, { directory }) => {
      const account = directory.get(payer)
      return account === undefined ? { reason: 'is not in the directory' } : { account }
    },
  }),
} satisfies StrategyKind<z.infer<typeof config>> & { readonly config: typeof config }
