import { z } from 'zod'
import { durationSeconds, parseDollars, RATE_MAX } from '../domain/key-limits.js'
import { type LitellmGatewayConfig, litellmGateway } from './litellm/config.js'
import { termsConfig, termsProblem } from './terms-config.js'

const dollars = z
  .string()
  .refine((text) => parseDollars(text) !== undefined, 'expected dollars as text, such as "12.50"')
  .transform((text) => parseDollars(text) ?? null)

const duration = z
  .string()
  .refine(
    (text) => durationSeconds(text) !== undefined,
    'expected up to 24h, a number of days such as 30d, or 1mo',
  )

const rate = z.int().min(0).max(RATE_MAX)

/** What a key may do of which nothing else is said, and the most that customers may give theirs. */
const keysConfig = z.strictObject({
  maxBudget: dollars.nullable().prefault('10'),
  budgetDuration: duration.nullable().default('30d'),
  rpmLimit: rate.nullable().default(100),
  tpmLimit: rate.nullable().default(10_000),
  /** None named: every model. */
  models: z.array(z.string().min(1)).max(100).default([]),
  /** Keys that a customer may make for an account, deleted ones included for a budget's time. */
  perCustomer: z.int().min(0).max(1_000).default(5),
  /** From one comparison with LiteLLM to the next, where nothing changed. */
  checkEveryMs: z.int().min(1_000).max(86_400_000).default(300_000),
})

/** `budgets` of flowmeter.config.json. Without it no key is managed, and nobody is blocked. */
export const budgetsConfig = z
  .strictObject({ ...litellmGateway, keys: keysConfig.prefault({}), ...termsConfig })
  .superRefine((budgets, context) => {
    const message = termsProblem(budgets)
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['defaultTier'], message })
  })

export type BudgetsConfig = z.infer<typeof budgetsConfig>
export type KeysConfig = BudgetsConfig['keys']

/** Of a source, what says whether keys can be managed where it reads. */
export interface GatewaySource {
  readonly kind: string
  readonly name: string
  readonly apiUrl?: string
  readonly apiKeyEnv?: string
}

export interface GatewayPlace {
  readonly source: string
  readonly apiUrl: string
}

/** Which LiteLLM it is, or what is wrong with how it is named. */
export function placeOfGateway(
  { source: named, apiUrl }: LitellmGatewayConfig,
  sources: readonly GatewaySource[],
): GatewayPlace | string {
  const candidates = sources.filter(({ kind, name }) =>
    named === undefined ? kind === 'litellm' : name === named,
  )
  const [source, another] = candidates
  if (source === undefined) {
    return named === undefined
      ? 'source: name the source of the LiteLLM whose keys are managed'
      : `source: there is no source "${named}"`
  }
  if (another !== undefined) return 'source: there are several of kind litellm, name one'
  const url = apiUrl ?? (source.kind === 'litellm' ? source.apiUrl : undefined)
  if (url === undefined) return `apiUrl: source "${source.name}" has no address of its LiteLLM`
  return { source: source.name, apiUrl: url }
}

/** The metering key may only read, whatever happens to it: so it is never the admin key. */
export function adminKeyProblem(
  { adminKeyEnv }: LitellmGatewayConfig,
  sources: readonly GatewaySource[],
  secretOf: (variable: string) => string,
): string | undefined {
  const adminKey = secretOf(adminKeyEnv)
  const metering = sources.flatMap(({ apiKeyEnv }) => (apiKeyEnv === undefined ? [] : [apiKeyEnv]))
  const same = metering.find((name) => adminKey !== '' && secretOf(name) === adminKey)
  if (same === undefined) return undefined
  return `${adminKeyEnv}: is the same key as ${same}; make another one in LiteLLM, of the role proxy_admin`
}
