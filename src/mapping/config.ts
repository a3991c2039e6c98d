import { z } from 'zod'
import { PAYER_FIELDS, type PayerField } from '../domain/usage-record.js'

const HOUR_MS = 3_600_000

/** Permanent, like the name of a source: kept answers are found by it. */
const directoryName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'lower-case letters, digits, - and _')
const refreshMs = z
  .int()
  .min(1_000)
  .max(24 * HOUR_MS)
  .default(60_000)

/** A query whose first two columns are payer and account number: the whole table, each time. */
const sqlDirectory = z.strictObject({
  kind: z.literal('sql'),
  name: directoryName,
  /** The variable with `postgres://…` or `sqlite:path`, so that no password is in a file. */
  databaseUrlEnv: z.string().min(1),
  query: z.string().min(1),
  refreshMs,
  timeoutMs: z.int().min(100).max(600_000).default(30_000),
})
export type SqlDirectoryConfig = z.infer<typeof sqlDirectory>

/** A JavaScript module that exports `accountOf(payer)`; its path is from the folder of settings. */
const moduleDirectory = z.strictObject({
  kind: z.literal('module'),
  name: directoryName.default('module'),
  path: z.string().min(1),
  refreshMs,
  /** For one payer. */
  timeoutMs: z.int().min(10).max(60_000).default(1_000),
})
export type ModuleDirectoryConfig = z.infer<typeof moduleDirectory>

const strategyConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('direct') }),
  z.strictObject({ kind: z.literal('prefix'), prefix: z.string().min(1).default('vault_') }),
  z.strictObject({ kind: z.literal('directory') }),
  z.strictObject({ kind: z.literal('hash') }),
  z.strictObject({ kind: z.literal('legacy_hash') }),
  sqlDirectory,
  moduleDirectory,
])
export type StrategyConfig = z.infer<typeof strategyConfig>

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
