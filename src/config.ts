import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import dotenv from 'dotenv'
import { z } from 'zod'
import { attestorConfig, attestorSettings } from './attestors/index.js'
import { ConfigError } from './domain/errors.js'
import { parseWad } from './domain/money.js'
import { isAllowList } from './http/allow-list.js'
import { mappingConfig } from './mapping/index.js'
import { aggregationConfig } from './operator/index.js'
import { defaultPlanAliases } from './pricing/default-plan.js'
import { modelAliases } from './pricing/model-aliases.js'
import { settlerConfig, settlerSettings } from './settlers/index.js'
import {
  type SourceConfig,
  secretVariablesOf,
  sourceConfig,
  sourcesConfig,
} from './sources/index.js'

const text = z.string().trim()
const seconds = 1_000
const minutes = 60 * seconds
const hours = 60 * minutes

const milliseconds = (fallback: number) => z.coerce.number().int().min(0).default(fallback)
const flag = z
  .enum(['true', 'false'], 'expected true or false')
  .default('false')
  .transform((value) => value === 'true')
const list = text
  .default('')
  .transform((value) => value.split(',').flatMap((item) => item.trim() || []))

const amount = text
  .regex(/^\d{1,18}(\.\d{1,18})?$/, 'expected an amount, such as 25 or 12.50')
  .transform(parseWad)

/** What belongs to no adapter. */
const coreConfig = z.strictObject({
  databaseUrl: text
    .regex(/^sqlite:./, 'expected sqlite: and a path, such as sqlite:data/flowmeter.sqlite')
    .default('sqlite:data/flowmeter.sqlite')
    .transform((url) => url.slice('sqlite:'.length)),
  pollCron: text.default('*/1 * * * *'),
  pollIntervalMs: milliseconds(60 * seconds),
  settleMs: milliseconds(75 * seconds),
  overlapMs: milliseconds(2 * hours),
  rescanMs: milliseconds(48 * hours),
  rescanEveryMs: milliseconds(6 * hours),
  sealIntervalMs: milliseconds(10 * minutes),
  sealExposure: amount.optional(),
  holdMultiple: z.coerce.number().int().min(0).max(1_000_000).default(20),
  holdAbove: amount.default(parseWad('100')),
  holdDayLimit: amount.optional(),
  workerIntervalMs: milliseconds(2 * seconds),
  /** Where the reading of a source that is not known yet begins. */
  collectFrom: z
    .union([z.literal('now'), z.iso.datetime(), z.iso.date()], 'expected now, or a UTC date')
    .default('now'),
  settleEntriesMax: z.coerce.number().int().min(1).max(1000).default(300),
  receiptSecret: text.min(
    32,
    'expected at least 32 characters, such as from: openssl rand -hex 32',
  ),
  holdUnknownModels: flag,
  host: text.default('127.0.0.1'),
  port: z.coerce.number().int().min(0).max(65_535).default(3000),
  allowedIps: list.refine(
    isAllowList,
    'expected addresses or CIDR ranges, such as 10.0.0.7 or 10.0.0.0/8',
  ),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
  logFile: text.default('logs/connector.log'),
})

/** The environment variable of each setting; a secret may also come as NAME_FILE (a path). */
export const coreSettings = {
  databaseUrl: { env: 'DATABASE_URL', help: 'sqlite: and a path; sqlite:data/flowmeter.sqlite' },
  pollCron: { env: 'POLL_CRON', help: 'when LiteLLM is read, a cron expression in UTC' },
  pollIntervalMs: { env: 'POLL_INTERVAL', help: 'at least this often too, in ms; 60000' },
  settleMs: { env: 'SETTLE_DELAY', help: 'rows younger than this wait for the next reading, ms' },
  overlapMs: { env: 'POLL_OVERLAP', help: 'how far every reading goes back, ms; 7200000' },
  rescanMs: {
    env: 'POLL_RESCAN',
    help: 'how far a deep re-scan goes back, ms; 0 for none; 172800000',
  },
  rescanEveryMs: {
    env: 'POLL_RESCAN_INTERVAL',
    help: 'from one deep re-scan to the next, ms; 21600000',
  },
  sealIntervalMs: { env: 'SEAL_INTERVAL', help: 'least time between two batches, ms; 600000' },
  sealExposure: { env: 'SEAL_EXPOSURE', help: 'sealed at once when unsealed usage is worth this' },
  holdMultiple: {
    env: 'HOLD_MULTIPLE',
    help: 'a new charge above this many times the vault’s dearest period waits; 0 for none; 20',
  },
  holdAbove: { env: 'HOLD_ABOVE', help: 'no charge below it waits for its history; 100' },
  holdDayLimit: { env: 'HOLD_DAY_LIMIT', help: 'charges that go beyond it in 24 hours wait; none' },
  workerIntervalMs: { env: 'WORKER_INTERVAL', help: 'longest wait of an idle worker, ms; 2000' },
  collectFrom: { env: 'COLLECT_FROM', help: 'where a new source begins: now, or a UTC date' },
  settleEntriesMax: { env: 'SETTLE_ENTRIES_MAX', help: 'entries in one Flow transaction; 300' },
  receiptSecret: {
    env: 'RECEIPT_SECRET',
    secret: true,
    help: 'key of the receipts’ salts; keep it: receipts cannot be made again without it',
  },
  holdUnknownModels: { env: 'HOLD_UNKNOWN_MODELS', help: 'true: models without a name wait' },
  host: { env: 'HOST', help: 'address to listen on; 127.0.0.1' },
  port: { env: 'PORT', help: 'port of /status and the others; 3000' },
  allowedIps: { env: 'ALLOWED_IPS', help: 'addresses or CIDR ranges; loopback always may' },
  logLevel: { env: 'LOG_LEVEL', help: 'trace, debug, info, warn, error or fatal' },
  logFile: { env: 'LOG_FILE', help: 'rotated copy of the log; logs/connector.log' },
} as const

interface Setting {
  readonly env: string
  readonly help: string
  readonly secret?: true
}
type Settings = Readonly<Record<string, Setting>>

/** `flowmeter.config.json`: what does not fit a line of text. */
const fileConfig = z.strictObject({
  sources: sourcesConfig.optional(),
  mapping: mappingConfig.prefault({}),
  aggregation: aggregationConfig.optional(),
  modelAliases: modelAliases.default(defaultPlanAliases),
})

export type Config = z.infer<typeof coreConfig> &
  Omit<z.infer<typeof fileConfig>, 'sources'> & {
    readonly sources: readonly SourceConfig[]
    readonly attestor: z.infer<typeof attestorConfig>
    readonly settler: z.infer<typeof settlerConfig>
    /** Of the settings: relative paths are from there. */
    readonly folder: string
    /** The value of a variable that holds a secret. */
    readonly secretOf: (variable: string) => string
    /** Every secret value, for the log to cut out. */
    readonly secrets: readonly string[]
  }

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads `.env`, the environment (which wins) and `flowmeter.config.json` of a folder.
 *
 * @throws ConfigError `settings`, with every problem at once and no value of any setting
 */
export function loadConfig(processEnv: Environment, folder: string): Config {
  const env = { ...withoutEmpty(readDotenv(folder)), ...withoutEmpty(processEnv) }
  const problems: string[] = []
  const secrets: string[] = []
  const secretOf = (variable: string): string => {
    const value = readVariable(env, variable, problems)
    if (value === undefined) problems.push(`${variable}: is missing`)
    if (value !== undefined && !secrets.includes(value)) secrets.push(value)
    return value ?? ''
  }
  const read = <Schema extends z.ZodType>(schema: Schema, settings: Settings): z.infer<Schema> =>
    check(schema, settings, collectValues(env, settings, secrets, problems), problems)

  const core = read(coreConfig, coreSettings)
  const attestor = read(attestorConfig, attestorSettings)
  const settler = read(settlerConfig, settlerSettings)
  const file = readFileConfig(env, folder, problems)
  const sources = file?.sources ?? defaultSources(env, problems)
  for (const variable of sources.flatMap(secretVariablesOf)) secretOf(variable)
  for (const one of file?.mapping.chain ?? []) if (one.kind === 'sql') secretOf(one.databaseUrlEnv)
  if (problems.length > 0 || file === undefined) throw settingsError(problems)
  return { ...core, ...file, sources, attestor, settler, folder, secretOf, secrets }
}

/**
 * What can be said without any chain's settings: all that `map` and `status` need. `sources` are
 * those of the file. Same errors as loadConfig.
 */
export function loadMappingConfig(
  processEnv: Environment,
  folder: string,
): Pick<Config, 'mapping' | 'databaseUrl' | 'sealIntervalMs'> &
  Pick<z.infer<typeof fileConfig>, 'sources'> {
  const env = { ...withoutEmpty(readDotenv(folder)), ...withoutEmpty(processEnv) }
  const problems: string[] = []
  const one = <Name extends 'databaseUrl' | 'sealIntervalMs'>(name: Name): Config[Name] => {
    const { env: variable } = coreSettings[name]
    const schema: z.ZodType = coreConfig.shape[name]
    return check(schema, coreSettings, env[variable], problems, variable) as Config[Name]
  }
  const databaseUrl = one('databaseUrl')
  const sealIntervalMs = one('sealIntervalMs')
  const file = readFileConfig(env, folder, problems)
  if (problems.length > 0 || file === undefined) throw settingsError(problems)
  return { mapping: file.mapping, databaseUrl, sealIntervalMs, sources: file.sources }
}

/** All that attribution is made of, and no chain's settings: for commands that look at the store. */
export function loadAttributionConfig(
  processEnv: Environment,
  folder: string,
): Pick<
  Config,
  'mapping' | 'modelAliases' | 'aggregation' | 'holdUnknownModels' | 'databaseUrl' | 'secretOf'
> {
  const { mapping, databaseUrl } = loadMappingConfig(processEnv, folder)
  const env = { ...withoutEmpty(readDotenv(folder)), ...withoutEmpty(processEnv) }
  const problems: string[] = []
  const { holdUnknownModels: setting } = coreSettings
  const { holdUnknownModels: schema } = coreConfig.shape
  const holdUnknownModels = check(schema, coreSettings, env[setting.env], problems, setting.env)
  const file = readFileConfig(env, folder, problems)
  const secretOf = (variable: string): string => {
    const value = readVariable(env, variable, problems)
    if (value === undefined) throw settingsError([...problems, `${variable}: is missing`])
    return value
  }
  if (problems.length > 0 || file === undefined) throw settingsError(problems)
  const { modelAliases: aliases, aggregation } = file
  return { mapping, modelAliases: aliases, aggregation, holdUnknownModels, databaseUrl, secretOf }
}

/** The settings of a person's own command, by the variables that they name. Same errors. */
export function loadSettings<Schema extends z.ZodType>(
  schema: Schema,
  settings: Settings,
  processEnv: Environment,
  folder: string,
): z.infer<Schema> {
  const env = { ...withoutEmpty(readDotenv(folder)), ...withoutEmpty(processEnv) }
  const problems: string[] = []
  const values = collectValues(env, settings, [], problems)
  const loaded = check(schema, settings, values, problems)
  if (problems.length > 0) throw settingsError(problems)
  return loaded
}

function settingsError(problems: readonly string[]): ConfigError {
  const lines = [...new Set(problems)].map((problem) => `  - ${problem}`)
  return new ConfigError(
    'settings',
    `The settings have ${lines.length} problem${lines.length === 1 ? '' : 's'}:\n` +
      `${lines.join('\n')}\nThey come from the environment, .env and flowmeter.config.json; ` +
      '.env.example explains each.',
  )
}

function readDotenv(folder: string): Record<string, string> {
  const path = join(folder, '.env')
  return existsSync(path) ? dotenv.parse(readFileSync(path)) : {}
}

/** An empty variable is an unset one: supervisors and compose files set them so. */
function withoutEmpty(env: Environment): Record<string, string> {
  const entries = Object.entries(env).filter(([, value]) => value !== undefined && value !== '')
  return Object.fromEntries(entries) as Record<string, string>
}

/** The variable itself, or the content of the file that NAME_FILE names. */
function readVariable(env: Environment, name: string, problems: string[]): string | undefined {
  if (env[name] !== undefined) return env[name]
  const path = env[`${name}_FILE`]
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    problems.push(`${name}_FILE: the file cannot be read`)
    return undefined
  }
}

function collectValues(
  env: Environment,
  settings: Settings,
  secrets: string[],
  problems: string[],
): Record<string, string> {
  const values: Record<string, string> = {}
  for (const [name, setting] of Object.entries(settings)) {
    const value =
      setting.secret === true ? readVariable(env, setting.env, problems) : env[setting.env]
    if (value === undefined) continue
    values[name] = value
    if (setting.secret === true) secrets.push(value)
  }
  return values
}

/** Parses, and notes what is wrong under the names that the operator knows. */
function check<Schema extends z.ZodType>(
  schema: Schema,
  settings: Settings,
  value: unknown,
  problems: string[],
  name?: string,
): z.infer<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) {
    const [field, ...rest] = issue.path
    const known = name ?? settings[String(field)]?.env ?? String(field)
    const isMissing = name === undefined && fieldOf(value, field) === undefined
    const where = rest.length > 0 ? ` (item ${rest.join('.')})` : ''
    problems.push(`${known}${where}: ${isMissing ? 'is missing' : issue.message}`)
  }
  return undefined as z.infer<Schema> // Never used: a problem was noted, and ends the loading.
}

function fieldOf(value: unknown, field: PropertyKey | undefined): unknown {
  return (value as Readonly<Record<string, unknown>>)[String(field)]
}

function readFileConfig(
  env: Environment,
  folder: string,
  problems: string[],
): z.infer<typeof fileConfig> | undefined {
  const path = env.FLOWMETER_CONFIG ?? join(folder, 'flowmeter.config.json')
  let value: unknown = {}
  if (existsSync(path)) {
    try {
      value = JSON.parse(readFileSync(path, 'utf8'))
    } catch {
      problems.push(`${path}: is not JSON`)
      return undefined
    }
  } else if (env.FLOWMETER_CONFIG !== undefined) {
    problems.push('FLOWMETER_CONFIG: there is no such file')
    return undefined
  }
  const parsed = fileConfig.safeParse(value)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) {
    problems.push(`flowmeter.config.json, ${issue.path.join('.')}: ${issue.message}`)
  }
  return undefined
}

/** One LiteLLM, named by the variables that its integrations have always had. */
function defaultSources(env: Environment, problems: string[]): SourceConfig[] {
  const apiUrl = env.LITELLM_API_URL ?? env.LITELLM_BASE_URL
  const hasApiKey = env.LITELLM_API_KEY !== undefined || env.LITELLM_API_KEY_FILE !== undefined
  const hasMasterKey = env.LITELLM_MASTER_KEY !== undefined
  if (apiUrl === undefined) {
    problems.push('LITELLM_API_URL: is missing (or name your sources in flowmeter.config.json)')
    if (!hasApiKey && !hasMasterKey) problems.push('LITELLM_API_KEY: is missing')
    return []
  }
  const parsed = sourceConfig.safeParse({
    kind: 'litellm',
    name: env.LITELLM_SOURCE_NAME ?? 'main',
    apiUrl: apiUrl.replace(/\/+$/, ''),
    apiKeyEnv: !hasApiKey && hasMasterKey ? 'LITELLM_MASTER_KEY' : 'LITELLM_API_KEY',
  })
  if (parsed.success) return [parsed.data]
  for (const issue of parsed.error.issues) {
    const variable = issue.path[0] === 'name' ? 'LITELLM_SOURCE_NAME' : 'LITELLM_API_URL'
    problems.push(`${variable}: ${issue.message}`)
  }
  return []
}
