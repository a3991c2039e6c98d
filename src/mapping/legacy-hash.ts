import { z } from 'zod'
import { utf8 } from '../domain/bytes.js'
import { accountNumber } from '../domain/ids.js'
import { md5 } from '../domain/md5.js'
import type { StrategyKind } from './strategy.js'

const MODULUS = 1_000_000n
/** `0x` and the first 32 bits, which is all of the digest that those integrations looked at. */
const FIRST_32_BITS = 10

const config = z.strictObject({ kind: z.literal('legacy_hash') })

/**
 * The number that older integrations gave a user: the first 32 bits of md5 of the payer, modulo a
 * million. Among 1 200 payers two share a number more likely than not, so whoever shares one with
 * another known payer is refused, both of them, until the directory tells them apart.
 */
export const legacyHash = {
  config,
  create: () => ({
    name: 'legacy_hash',
    map: (payer, { rivals }) => {
      const account = accountNumber(BigInt(md5(utf8(payer)).slice(0, FIRST_32_BITS)) % MODULUS)
      const rival = rivals?.get(payer)
      if (rival === undefined) return { account }
      const reason = `account ${account} would be shared with "${rival}": name both in the directory`
      return { reason, isFinal: true }
    },
  }),
} satisfies StrategyKind<z.infer<typeof config>> & { readonly config: typeof config }
