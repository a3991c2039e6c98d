import type { AccountNumber } from '../domain/ids.js'
import type { PayerField } from '../domain/usage-record.js'
import type { MappingConfig, StrategyConfig } from './config.js'
import * as kinds from './kinds.js'
import type { MappingData, MappingStrategy, StrategyKind } from './strategy.js'

export { type MappingConfig, mappingConfig } from './config.js'

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
        if (answer.isFinal) break
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

interface Sources {
  readonly sources?: MappingConfig['sources']
}

/** The field that names the payer in the records of a source. */
export function payerFieldOf(
  { payerField, sources }: Pick<MappingConfig, 'payerField'> & Sources,
  source: string,
): PayerField {
  const own = sources !== undefined && Object.hasOwn(sources, source) ? sources[source] : undefined
  return own?.payerField ?? payerField
}

function createStrategy(config: StrategyConfig): MappingStrategy {
  const kind = Object.values(kinds).find((one) => one.config.shape.kind.value === config.kind)
  if (kind === undefined) throw new Error(`no kind of strategy is called ${config.kind}`)
  // A kind takes the settings of its own schema, which is how it was found.
  return (kind as StrategyKind<StrategyConfig>).create(config)
}
