import { z } from 'zod'
import { PAYER_FIELDS, type PayerField } from '../domain/usage-record.js'
import * as kinds from './kinds.js'

export type { ModuleDirectoryConfig, SqlDirectoryConfig } from './answers.js'

type Kind = (typeof kinds)[keyof typeof kinds]

const schemas = Object.values(kinds).map(({ config }) => config as unknown as z.ZodObject)

/** The settings of one strategy of the chain. */
export type StrategyConfig = z.infer<Kind['config']>

const strategyConfig = z.discriminatedUnion(
  'kind',
  schemas as [z.ZodObject, ...z.ZodObject[]],
) as unknown as z.ZodType<StrategyConfig>

interface PayerChoice {
  readonly payerField?: PayerField | undefined
  readonly trustEndUser?: boolean | undefined
}

const TRUST =
  'end_user is whatever the client sends: set "trustEndUser": true here if only your own ' +
  'backend can call LiteLLM, or choose user, api_key or team_id'

const choice = {
  payerField: z.enum(PAYER_FIELDS).default('user'),
  /** `end_user` is written by the client of LiteLLM, who could have anybody pay. */
  trustEndUser: z.boolean().optional(),
}
const isTrusted = ({ payerField, trustEndUser }: PayerChoice): boolean =>
  payerField !== 'end_user' || trustEndUser === true
const refusal = { message: TRUST, path: ['payerField'] }

export const mappingConfig = z
  .strictObject({
    ...choice,
    /** Sources whose records name their payer in another field than the rest. */
    sources: z
      .record(z.string().min(1), z.strictObject(choice).refine(isTrusted, refusal))
      .optional(),
    /** Asked in this order; the first that has an answer gives it. */
    chain: z
      .array(strategyConfig)
      .min(1, 'name at least one strategy, such as directory, prefix, direct or hash')
      .default([{ kind: 'directory' }, { kind: 'prefix', prefix: 'vault_' }, { kind: 'direct' }])
      .refine(hasDistinctNames, 'two directories of the chain have the same name'),
  })
  .refine(isTrusted, refusal)
export type MappingConfig = z.infer<typeof mappingConfig>

function hasDistinctNames(chain: readonly StrategyConfig[]): boolean {
  const names = chain.flatMap((one) => ('name' in one ? [one.name] : []))
  return new Set(names).size === names.length
}
