import { z } from 'zod'
import { keccak, utf8 } from '../domain/bytes.js'
import { accountNumber } from '../domain/ids.js'
import type { StrategyKind } from './strategy.js'

const config = z.strictObject({ kind: z.literal('hash') })

/**
 * The first 64 bits of a hash: every payer has a number of its own without a table. It pays only
 * once that number was reserved and opened as a vault, so a chance twin cannot be charged unseen.
 */
export const hash = {
  config,
  create: () => ({
    name: 'hash',
    map: (payer) => {
      const digest = keccak(utf8('flowmeter.account.v1'), new Uint8Array(1), utf8(payer))
      return { account: accountNumber(BigInt(digest.slice(0, 18))) }
    },
  }),
} satisfies StrategyKind<z.infer<typeof config>> & { readonly config: typeof config }
