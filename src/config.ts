import { z } from 'zod'
import { attestorConfig, attestorSettings } from './attestors/index.js'
import { parseWad } from './domain/money.js'
import {
  adminKeyProblem,
  type BudgetsConfig,
  budgetsConfig,
  placeOfGateway,
} from './gateways/index.js'
import { type HttpConfig, httpConfig, httpSettings } from './http/config.js'
import { mappingConfig } from './mapping/index.js'
import { notifyConfig, secretsOfTarget } from './notifiers/index.js'
import { aggregationConfig } from './operator/index.js'
import { creditsConfig } from './payments/config.js'
import { defaultPlanAliases } from './pricing/default-plan.js'
import { modelAliases } from './pricing/model-aliases.js'
import {
  CONFIG_FILE,
  type Environment,
  INSECURE_HTTP,
  SettingLayers,
  type Settings,
  sayIssue,
  settingsError,
} from './settings.js'
import {
  customerSettings,
  deployerSettings,
  providerSettings,
  settlerConfig,
  settlerSettings,
} from './settlers/index.js'
import {
  litellmSettings,
  type SourceConfig,
  secretVariablesOf,
  sourceConfig,
  sourcesConfig,
} from './sources/index.js'
import { type TracesConfig, tracesConfig, tracesSettings } from './traces/index.js'

const text = z.string().trim()
const seconds = 1_000
const minutes = 60 * seconds
const hours = 60 * minutes

const milliseconds = (fallback: number) => z.coerce.number().int().min(0).default(fallback)
const flag = z
  .enum(['true', 'false'], 'expected true or false')
  .default('false')
  .transform((value) => value === 'true')

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
    madeBy: 'init',
    help: 'key of the receipts’ salts; keep it: receipts cannot be made again without it',
  },
  holdUnknownModels: { env: 'HOLD_UNKNOWN_MODELS', help: 'true: models without a name wait' },
  logLevel: { env: 'LOG_LEVEL', help: 'trace, debug, info, warn, error or fatal' },
  logFile: { env: 'LOG_FILE', help: 'rotated copy of the log; logs/connector.log' },
  allowInsecureHttp: {
    env: INSECURE_HTTP,
    help: 'other machines that may be asked without TLS: hosts, .domains, CIDR ranges; none',
  },
  file: {
    env: 'FLOWMETER_CONFIG',
    help: 'path of the JSON file for lists; flowmeter.config.json in the working directory',
  },
} as const

/** `flowmeter.config.json`: what does not fit a line of text. */
const fileConfig = z.strictObject({
  sources: sourcesConfig.optional(),
  mapping: mappingConfig.prefault({}),
  aggregation: aggregationConfig.optional(),
  notify: notifyConfig.default([]),
  modelAliases: modelAliases.default(defaultPlanAliases),
  credits: creditsConfig.optional(),
  budgets: budgetsConfig.optional(),
})

export type Config = z.infer<typeof coreConfig> &
  HttpConfig &
  Omit<z.infer<typeof fileConfig>, 'sources'> & {
    readonly sources: readonly SourceConfig[]
    readonly attestor: z.infer<typeof attestorConfig>
    readonly settler: z.infer<typeof settlerConfig>
    readonly traces: TracesConfig
    /** Of the settings: relative paths are from there. */
    readonly folder: string
    /** The value of a variable that holds a secret. */
    readonly secretOf: (variable: string) => string
    /** What may be a mistake, without the value of any setting. */
    readonly warnings: readonly string[]
    /** Paths of the files that secrets were read from. */
    readonly secretFiles: readonly string[]
  }

/** Every setting that the program knows, by where it belongs. */
export const allSettings: Readonly<Record<string, Settings>> = {
  LiteLLM: litellmSettings,
  Flare: attestorSettings,
  Flow: settlerSettings,
  HTTP: httpSettings,
  Traces: tracesSettings,
  'The daemon': coreSettings,
}

/** Of people's own commands, which the daemon does not look at. */
const personSettings = { providerSettings, customerSettings, deployerSettings }

/** The schema of each of these settings, for its default. */
export const allSchemas: Readonly<Record<string, Readonly<Record<string, z.ZodType>>>> = {
  LiteLLM: { sourceName: z.string().default('main') },
  Flare: attestorConfig.shape,
  Flow: settlerConfig.shape,
  HTTP: httpConfig.shape,
  Traces: tracesConfig.shape,
  'The daemon': coreConfig.shape,
}

/**
 * Reads `.env`, the environment (which wins) and `flowmeter.config.json` of a folder.
 *
 * @throws ConfigError `settings`, with every problem at once and no value of any setting
 */
export function loadConfig(processEnv: Environment, folder: string): Config {
  const layers = new SettingLayers(processEnv, folder)
  const { problems, warnings, secretFiles } = layers
  const secretOf = (variable: string): string => {
    const value = layers.secret(variable)
    if (value === undefined) problems.push(`${variable}: is missing`)
    return value ?? ''
  }
  const read = <Schema extends z.ZodType>(schema: Schema, settings: Settings): z.infer<Schema> =>
    check(schema, settings, collectValues(layers, settings), problems)

  // The layers have read these already.
  const { file: _file, allowInsecureHttp: _allowed, ...ofCore } = coreSettings
  const core = read(coreConfig, ofCore)
  const http = read(httpConfig, httpSettings)
  const attestor = read(attestorConfig, attestorSettings)
  const settler = read(settlerConfig, settlerSettings)
  const traces = read(tracesConfig, tracesSettings)
  const file = readFileConfig(layers)
  const sources = file?.sources ?? defaultSources(layers)
  const targets = (file?.notify ?? []).flatMap(secretsOfTarget)
  const named = [...sources.flatMap(secretVariablesOf), ...targets]
  for (const variable of named) secretOf(variable)
  for (const one of file?.mapping.chain ?? []) if (one.kind === 'sql') secretOf(one.databaseUrlEnv)
  const { stripeSecretEnv, paystackSecretEnv } = file?.credits ?? {}
  const { budgets } = file ?? {}
  const others = [stripeSecretEnv, paystackSecretEnv, budgets?.adminKeyEnv].filter(
    (name) => name !== undefined,
  )
  for (const variable of others) secretOf(variable)
  if (budgets !== undefined) checkBudgets(budgets, sources, layers)
  layers.checkNames(
    [...Object.values(allSettings), ...Object.values(personSettings)],
    [...named, ...others],
  )
  layers.check()
  if (file === undefined) throw settingsError(problems)
  return {
    ...core,
    ...http,
    ...file,
    sources,
    attestor,
    settler,
    traces,
    folder,
    secretOf,
    warnings,
    secretFiles,
  }
}

function checkBudgets(
  budgets: BudgetsConfig,
  sources: readonly SourceConfig[],
  layers: SettingLayers,
): void {
  const place = placeOfGateway(budgets, sources)
  if (typeof place === 'string') layers.problems.push(`${CONFIG_FILE}, budgets.${place}`)
  const problem = adminKeyProblem(budgets, sources, (name) => layers.secret(name) ?? '')
  if (problem !== undefined) layers.problems.push(problem)
}

/** The mapping alone, and the store's path: all that `map` needs. Same errors as loadConfig. */
export function loadMappingConfig(
  processEnv: Environment,
  folder: string,
): Pick<Config, 'mapping' | 'databaseUrl'> {
  const { mapping, databaseUrl } = loadAttributionConfig(processEnv, folder)
  return { mapping, databaseUrl }
}

/** All that attribution is made of, and no chain's settings: for commands that look at the store. */
export function loadAttributionConfig(
  processEnv: Environment,
  folder: string,
): Pick<
  Config,
  | ('mapping' | 'modelAliases' | 'aggregation' | 'credits' | 'budgets' | 'holdUnknownModels')
  | ('databaseUrl' | 'sealIntervalMs' | 'secretOf')
> & {
  /** Undefined where the file names none: then it is the one of the environment. */
  readonly fileSources: readonly SourceConfig[] | undefined
} {
  const layers = new SettingLayers(processEnv, folder)
  const { problems } = layers
  const wanted = { databaseUrl: true, holdUnknownModels: true, sealIntervalMs: true } as const
  const values = collectValues(layers, coreSettings)
  const { databaseUrl, holdUnknownModels, sealIntervalMs } = values
  const some = { databaseUrl, holdUnknownModels, sealIntervalMs }
  const core = check(coreConfig.pick(wanted), coreSettings, some, problems)
  const file = readFileConfig(layers)
  const secretOf = (variable: string): string => {
    const value = layers.secret(variable)
    if (value === undefined) throw settingsError([...problems, `${variable}: is missing`])
    return value
  }
  layers.check()
  if (file === undefined) throw settingsError(problems)
  const { mapping, modelAliases: aliases, aggregation, credits, budgets, sources } = file
  const ofFile = { mapping, modelAliases: aliases, aggregation, credits, budgets }
  return { ...ofFile, fileSources: sources, ...core, secretOf }
}

/** The settings of a person's own command, by the variables that they name. Same errors. */
export function loadSettings<Schema extends z.ZodType>(
  schema: Schema,
  settings: Settings,
  processEnv: Environment,
  folder: string,
): z.infer<Schema> {
  const layers = new SettingLayers(processEnv, folder)
  const loaded = check(schema, settings, collectValues(layers, settings), layers.problems)
  layers.check()
  return loaded
}

function collectValues(layers: SettingLayers, settings: Settings): Record<string, string> {
  const values: Record<string, string> = {}
  for (const [name, setting] of Object.entries(settings)) {
    const found = layers.find(setting)
    if (found === undefined) continue
    values[name] = found.value
  }
  return values
}

/** Parses, and notes what is wrong under the names that the operator knows. */
function check<Schema extends z.ZodType>(
  schema: Schema,
  settings: Settings,
  value: unknown,
  problems: string[],
): z.infer<Schema> {
  const parsed = schema.safeParse(value, { error: sayIssue })
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) {
    const [field, ...rest] = issue.path
    const setting = settings[String(field)]
    const where = rest.length > 0 ? ` (item ${rest.join('.')})` : ''
    const isMissing = fieldOf(value, field) === undefined
    const makes = setting?.madeBy === undefined ? '' : ` (flowmeter ${setting.madeBy} makes it)`
    const says = isMissing ? `is missing${makes}` : issue.message
    problems.push(`${setting?.env ?? String(field)}${where}: ${says}`)
  }
  return undefined as z.infer<Schema> // Never used: a problem was noted, and ends the loading.
}

function fieldOf(value: unknown, field: PropertyKey | undefined): unknown {
  return (value as Readonly<Record<string, unknown>>)[String(field)]
}

function readFileConfig(layers: SettingLayers): z.infer<typeof fileConfig> | undefined {
  const { file, problems } = layers
  if (file === undefined) return undefined
  layers.checkFile()
  const parsed = fileConfig.safeParse(file, { error: sayIssue })
  if (parsed.success) return parsed.data
  for (const { path, message } of parsed.error.issues) {
    const where = path.length > 0 ? `, ${path.join('.')}` : ''
    problems.push(`${CONFIG_FILE}${where}: ${message}`)
  }
  return undefined
}

/** One LiteLLM, named by the variables that its integrations have always had. */
function defaultSources(layers: SettingLayers): SourceConfig[] {
  const { problems } = layers
  const apiUrl = layers.find(litellmSettings.apiUrl)
  const apiKey = layers.find(litellmSettings.apiKey)
  if (apiUrl === undefined) {
    problems.push('LITELLM_API_URL: is missing (or name your sources in flowmeter.config.json)')
    if (apiKey === undefined) problems.push('LITELLM_API_KEY: is missing')
    return []
  }
  const parsed = sourceConfig.safeParse({
    kind: 'litellm',
    name: layers.find(litellmSettings.sourceName)?.value ?? 'main',
    apiUrl: apiUrl.value.replace(/\/+$/, ''),
    apiKeyEnv: apiKey?.from.replace(/_FILE$/, '') ?? 'LITELLM_API_KEY',
  })
  if (parsed.success) return [parsed.data]
  for (const issue of parsed.error.issues) {
    const variable = issue.path[0] === 'name' ? 'LITELLM_SOURCE_NAME' : apiUrl.from
    problems.push(`${variable}: ${issue.message}`)
  }
  return []
}
