import { z } from 'zod'

/** Full weight: keys of an account that have it together may sign for it. */
const ENOUGH = 1000

export const trustedKeysView = z.object({
  keys: z.array(
    z.object({ index: z.coerce.number(), weight: z.coerce.number(), isRevoked: z.boolean() }),
  ),
  holdsCheckpoints: z.boolean(),
  holdsPrices: z.boolean(),
  holdsTokens: z.boolean(),
  checkpointDelay: z.coerce.number(),
  meterDelay: z.coerce.number(),
  proposedEpoch: z.coerce.number().nullable(),
  adoptableAt: z.coerce.number().nullable(),
})

export type TrustedKeys = z.infer<typeof trustedKeysView>

/** What one look found. A `fix` says that an operator should know it, not that it is broken. */
export interface Told {
  readonly detail: string
  readonly fix?: string
}

/** Who can change the contracts, and with them everything. */
export function contractKeys({ keys }: Pick<TrustedKeys, 'keys'>): Told {
  const live = keys.filter(({ isRevoked, weight }) => !isRevoked && weight > 0)
  const revoked = keys.length - keys.filter(({ isRevoked }) => !isRevoked).length
  const counted = `${live.length} of ${keys.length} keys count, ${revoked} revoked`
  const needed = signersNeeded(live.map(({ weight }) => weight))
  if (needed === undefined) return { detail: `${counted}: nobody can change the contracts` }
  if (needed > 1) {
    return { detail: `${counted}: at least ${needed} have to sign together to change a contract` }
  }
  const alone = live.filter(({ weight }) => weight >= ENOUGH).map(({ index }) => index)
  return {
    detail: `${counted}: key ${alone.join(' or ')} alone can change every contract`,
    fix: 'Before it is about money: spread the weight over several keys, or revoke them.',
  }
}

/** What governance can do, and whether it is about to. */
export function governors(keys: TrustedKeys): Told {
  const { holdsCheckpoints, holdsPrices, holdsTokens, checkpointDelay, meterDelay } = keys
  const held = [
    holdsCheckpoints && 'checkpoints',
    holdsPrices && 'prices',
    holdsTokens && 'allowed tokens',
  ].filter(Boolean)
  const whose = held.length === 0 ? 'nothing' : held.join(', ')
  const delays = `checkpoints wait ${checkpointDelay} s, meters ${meterDelay} s`
  const detail = `the contract account governs ${whose}; ${delays}`
  const { proposedEpoch, adoptableAt } = keys
  if (proposedEpoch === null || adoptableAt === null) return { detail }
  const from = new Date(adoptableAt * 1000).toISOString()
  return {
    detail: `${detail}. A checkpoint of reward epoch ${proposedEpoch} is proposed, from ${from} on`,
    fix: 'Compare it with "flowmeter checkpoint"; cancel it (cancel_checkpoint) if it is another.',
  }
}

/** The fewest keys that have full weight together; undefined where all of them have not. */
function signersNeeded(weights: readonly number[]): number | undefined {
  let weight = 0
  for (const [i, heaviest] of weights.toSorted((a, b) => b - a).entries()) {
    weight += heaviest
    if (weight >= ENOUGH) return i + 1
  }
  return undefined
}
