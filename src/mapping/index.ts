import { z } from 'zod'
import type { AccountNumber } from '../domain/ids.js'
import { PAYER_FIELDS } from '../domain/usage-record.js'
import { directStrategy } from './direct.js'
import { directoryStrategy } from './directory.js'
import { hashStrategy } from './hash.js'
import { prefixStrategy } from './prefix.js'
import type { MappingData, MappingStrategy } from './strategy.js'

const strategyConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('direct') }),
  z.strictObject({ kind: z.literal('prefix'), prefix: z.string().min(1).default('vault_') }),
  z.strictObject({ kind: z.literal('directory') }),
  z.strictObject({ kind: z.literal('hash') }),
])

/** `payerField`: `end_user` is sent by the client, so only where the operator trusts it. */
export const mappingConfig = z.strictObject({
  payerField: z.enum(PAYER_FIELDS).default('user'),
  /** Asked in this order; the first that has an answer gives it. */
  chain: z
    .array(strategyConfig)
    .min(1, 'name at least one strategy: direct, prefix, directory or hash')
    .default([{ kind: 'directory' }, { kind: 'prefix', prefix: 'vault_' }, { kind: 'direct' }]),
})
export type MappingConfig = z.infer<typeof mappingConfig>

/** What a chain says of one payer, with every step of the way. */
export interface Mapped {
  readonly payer: string
  readonly account?: AccountNumber
  /** The strategy that gave the account. */
  readonly strategy?: string
  readonly steps: readonly { readonly strategy: string; readonly answer: string }[]
}

/** LiteLLM's name for a call with its own master key; nobody's usage until someone says so. */
const NOBODY = new Set(['', 'default_user_id'])

/** Makes the chain. Pure: what it needs to know of the world is handed to each call. */
export function createMapping(config: MappingConfig): (payer: string, data: MappingData) => Mapped {
  const strategies = config.chain.map(createStrategy)
  return (payer, data) => {
    if (NOBODY.has(payer)) {
      const answer = payer === '' ? 'the record names no payer' : 'this is LiteLLM itself'
      return { payer, steps: [{ strategy: 'none', answer }] }
    }
    const steps: { strategy: string; answer: string }[] = []
    for (const strategy of strategies) {
      const answer = strategy.map(payer, data)
      if (answer.account === undefined) {
        steps.push({ strategy: strategy.name, answer: answer.reason })
        continue
      }
      steps.push({ strategy: strategy.name, answer: `account ${answer.account}` })
      return { payer, account: answer.account, strategy: strategy.name, steps }
    }
    return { payer, steps }
  }
}

/** One line that says why a chain has no account for a payer. */
export function whyUnmapped({ steps }: Mapped): string {
  return steps.map(({ strategy, answer }) => `${strategy}: ${answer}`).join('; ')
}

function createStrategy(config: MappingConfig['chain'][number]): MappingStrategy {
  switch (config.kind) {
    case 'direct':
      return directStrategy()
    case 'prefix':
      return prefixStrategy(config.prefix)
    case 'directory':
      return directoryStrategy()
    case 'hash':
      return hashStrategy()
  }
}
