import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import dotenv from 'dotenv'
import { z } from 'zod'
import { ConfigError } from './domain/errors.js'
import { awsKmsKey } from './domain/key-reference.js'
import { formatWad, type Wad } from './domain/money.js'
import { learnCredentials, learnSecret, withoutCredentials } from './runtime/redaction.js'
import { type HostFilter, hostFilter, plainTextProblem } from './runtime/secure-url.js'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Setting {
  /** Of the environment, `.env`, and `settings` in `flowmeter.config.json`. */
  readonly env: string
  readonly help: string
  /** May come from the file that NAME_FILE names, and is never shown. */
  readonly secret?: true
  /** Names that other programs have for the same; taken where the own one is not set. */
  readonly aliases?: readonly string[]
  /** The command that makes it for a new installation. */
  readonly madeBy?: 'init' | 'deploy'
}
export type Settings = Readonly<Record<string, Setting>>

export const CONFIG_FILE = 'flowmeter.config.json'
export const INSECURE_HTTP = 'ALLOW_INSECURE_HTTP'
/** Names in `.env` that are meant for us. */
const OURS = /^(FLARE|FLOW|METER|LITELLM|POLL|SEAL|HOLD|SETTLE|FLOWMETER)_/
/** The later ones are used where the earlier ones say nothing. */
export type Origin = 'environment' | '.env' | typeof CONFIG_FILE

export interface Found {
  readonly value: string
  readonly origin: Origin
  /** The variable that said it: the name itself, an alias, or one of them with _FILE. */
  readonly from: string
}

/** What does not fit a line of text is looked at by its owners. */
const settingsSection = z.record(
  z.string(),
  z.union([z.string(), z.number(), z.boolean()]).transform(String),
)

/**
 * The environment, `.env` and `flowmeter.config.json` of a folder, from the strongest on. Notes what
 * is wrong in `problems`, and what may be in `warnings`; no value of a setting is in either.
 */
export class SettingLayers {
  readonly problems: string[] = []
  readonly warnings: string[] = []
  /** Files that secrets were read from. */
  readonly secretFiles: string[] = []
  /** `flowmeter.config.json` without its settings; undefined where it cannot be read. */
  readonly file: unknown
  readonly folder: string
  readonly #layers: readonly { readonly origin: Origin; readonly values: Environment }[]
  readonly #isPlainTextAllowed: HostFilter

  constructor(processEnv: Environment, folder: string) {
    this.folder = folder
    const environment = withoutEmpty(processEnv)
    const dotEnv = withoutEmpty(readDotenv(folder))
    const { settings, rest } = this.#readFile({ ...dotEnv, ...environment }.FLOWMETER_CONFIG)
    this.file = rest
    this.#layers = [
      { origin: 'environment', values: environment },
      { origin: '.env', values: dotEnv },
      { origin: CONFIG_FILE, values: settings },
    ]
    this.#isPlainTextAllowed = this.#readExceptions()
  }

  /** Names that a layer sets. */
  namesOf(origin: Origin): readonly string[] {
    return this.#layers.flatMap((one) => (one.origin === origin ? Object.keys(one.values) : []))
  }

  /** What a setting is said to be; undefined: nobody says. */
  find({ env: name, secret, aliases = [] }: Omit<Setting, 'help'>): Found | undefined {
    const found: Found[] = []
    for (const { origin, values } of this.#layers) {
      for (const from of [name, ...aliases]) {
        const value = values[from]
        if (value !== undefined) found.push({ value, origin, from })
        else if (secret === true) found.push(...this.#fromFile(from, values, origin))
      }
    }
    const [first] = found
    const other = found.find(
      ({ from, value }) => baseOf(from) !== baseOf(first?.from ?? '') && value !== first?.value,
    )
    if (first !== undefined && other !== undefined) {
      const both = `${first.from} (${first.origin}) and ${other.from} (${other.origin})`
      this.warn(`${both} are both set and differ: ${first.from} is used`)
    }
    if (first !== undefined) this.#look(first, secret === true)
    return first
  }

  /** A variable that holds a secret, whatever its name. */
  secret(name: string): string | undefined {
    return this.find({ env: name, secret: true })?.value
  }

  /** Looks at every URL in the file, for whoever uses more of it than the settings. */
  checkFile(): void {
    for (const [path, value] of textsIn(this.file)) {
      this.#look({ value, from: `${CONFIG_FILE}, ${path}` }, false)
    }
  }

  /**
   * A name in the file that is none of ours is a mistake, and so is a secret there; one in `.env` may
   * belong to another program.
   *
   * @param named variables that hold secrets, whatever their names
   */
  checkNames(settings: readonly Settings[], named: readonly string[]): void {
    const known = settings.flatMap((group) => Object.values(group))
    const secrets = new Set([
      ...known.flatMap(({ env, secret, aliases = [] }) =>
        secret === true ? [env, ...aliases] : [],
      ),
      ...named,
    ])
    const names = new Set([
      ...known.flatMap(({ env, aliases = [] }) => [env, ...aliases]),
      ...[...secrets].flatMap((name) => [name, `${name}_FILE`]),
    ])
    for (const name of this.namesOf(CONFIG_FILE)) {
      const where = `${CONFIG_FILE}, settings.${name}`
      if (!names.has(name)) this.problems.push(`${where}: is no setting`)
      else if (secrets.has(name)) {
        const fix = `put it into a file and its path into ${name}_FILE`
        this.problems.push(`${where}: a secret does not belong here, ${fix}`)
      }
    }
    for (const name of this.namesOf('.env')) {
      if (OURS.test(name) && !names.has(name)) this.warn(`.env: ${name} is no setting of Flowmeter`)
    }
  }

  /** Why a URL that is to become a setting cannot; undefined where it can. */
  problemOf(url: string): string | undefined {
    return plainTextProblem(url, this.#isPlainTextAllowed)
  }

  warn(message: string): void {
    if (!this.warnings.includes(message)) this.warnings.push(message)
  }

  /** @throws ConfigError `settings` where anything was wrong */
  check(): void {
    if (this.problems.length > 0) throw settingsError(this.problems, this.warnings)
  }

  /** Whoever reads a setting has its keys kept out of all that is told, and its URLs looked at. */
  #look({ value, from }: Pick<Found, 'value' | 'from'>, isSecret: boolean): void {
    if (isSecret && awsKmsKey(value) === undefined) learnSecret(value)
    else learnCredentials(value)
    const problem = this.problemOf(value)
    if (problem !== undefined) this.problems.push(`${from}: ${problem}`)
  }

  #readExceptions(): HostFilter {
    const said = this.#layers.find(({ values }) => values[INSECURE_HTTP] !== undefined)
    const items = said?.values[INSECURE_HTTP]?.split(',').flatMap((one) => one.trim() || []) ?? []
    const filter = hostFilter(items)
    if (filter !== undefined) return filter
    const expected = 'expected hosts, such as litellm, .internal.example.org or 10.0.0.0/8'
    this.problems.push(`${INSECURE_HTTP}: ${expected}`)
    return () => true // One problem is told, not one more for each URL.
  }

  #fromFile(name: string, values: Environment, origin: Origin): Found[] {
    const from = `${name}_FILE`
    const path = values[from]
    if (path === undefined) return []
    const whole = resolve(this.folder, path)
    try {
      const value = readFileSync(whole, 'utf8').trim()
      if (!this.secretFiles.includes(whole)) this.secretFiles.push(whole)
      if (value !== '') return [{ value, origin, from }]
      this.problems.push(`${from}: the file is empty`)
      return []
    } catch {
      this.problems.push(`${from}: the file cannot be read`)
      return []
    }
  }

  #readFile(named: string | undefined): { settings: Environment; rest: unknown } {
    const path = named === undefined ? join(this.folder, CONFIG_FILE) : resolve(this.folder, named)
    if (!existsSync(path)) {
      if (named !== undefined) this.problems.push('FLOWMETER_CONFIG: there is no such file')
      return { settings: {}, rest: named === undefined ? {} : undefined }
    }
    let value: unknown
    let text = ''
    try {
      text = readFileSync(path, 'utf8')
      value = JSON.parse(text)
    } catch (error) {
      this.problems.push(`${path}: is not JSON${placeOf(error, text)}`)
      return { settings: {}, rest: undefined }
    }
    if (typeof value !== 'object' || value === null || !('settings' in value)) {
      return { settings: {}, rest: value }
    }
    const { settings, ...rest } = value
    const parsed = settingsSection.safeParse(settings)
    if (parsed.success) return { settings: withoutEmpty(parsed.data), rest }
    const message = 'expected names of settings with text, numbers, true or false'
    this.problems.push(`${CONFIG_FILE}, settings: ${message}`)
    return { settings: {}, rest }
  }
}

/** One setting as it is now, for people: nothing secret is in it. */
export interface ShownSetting {
  readonly name: string
  /** Undefined: neither said nor has it a default. A secret's says no more than that it is there. */
  readonly value: string | undefined
  readonly origin: Origin | 'default' | 'unset'
  /** The variable that said it, where it is not the setting's own. */
  readonly from?: string
  readonly isSecret: boolean
  readonly help: string
}

/** What each setting is, and who says so. Values are as they were written, not yet looked at. */
export function showSettings(
  layers: SettingLayers,
  settings: Settings,
  schemas: Readonly<Record<string, z.ZodType>>,
): readonly ShownSetting[] {
  return Object.entries(settings).map(([field, setting]): ShownSetting => {
    const { env: name, help } = setting
    const isSecret = setting.secret === true
    const found = layers.find(setting)
    const schema = schemas[field]
    const fallback = schema === undefined ? undefined : defaultText(schema)
    if (found === undefined) {
      const origin = fallback === undefined ? 'unset' : 'default'
      return { name, value: fallback, origin, isSecret, help }
    }
    const { value, origin, from } = found
    const isHidden = isSecret && awsKmsKey(value) === undefined
    const shown = isHidden ? `(secret, ${value.length} characters)` : withoutCredentials(value)
    return { name, value: shown, origin, isSecret, help, ...(from === name ? {} : { from }) }
  })
}

/** The default of a setting as one would write it; undefined where it has none, or it is nothing. */
export function defaultText(schema: z.ZodType): string | undefined {
  const { def } = schema as unknown as { readonly def: SchemaDef }
  switch (def.type) {
    case 'default':
    case 'prefault':
      return textOf(def.defaultValue) || undefined
    case 'optional':
    case 'nullable':
      return def.innerType && defaultText(def.innerType)
    case 'pipe':
      return (def.in && defaultText(def.in)) ?? (def.out && defaultText(def.out))
    default:
      return undefined
  }
}

interface SchemaDef {
  readonly type: string
  readonly defaultValue?: unknown
  readonly innerType?: z.ZodType
  readonly in?: z.ZodType
  readonly out?: z.ZodType
}

/** Amounts of money are the only large integers among settings. */
function textOf(value: unknown): string {
  if (typeof value === 'bigint') return formatWad(value as Wad)
  return Array.isArray(value) ? value.map(String).join(',') : String(value)
}

export function settingsError(
  problems: readonly string[],
  warnings: readonly string[] = [],
): ConfigError {
  const lines = [...new Set(problems)].map((problem) => `  - ${problem}`)
  const warned = warnings.map((warning) => `  warning: ${warning}\n`).join('')
  return new ConfigError(
    'settings',
    `The settings have ${lines.length} problem${lines.length === 1 ? '' : 's'}:\n` +
      `${lines.join('\n')}\n${warned}They come from the environment, .env and flowmeter.config.json; ` +
      '.env.example explains each.',
  )
}

/** What is wrong with a value, for who wrote it; undefined: zod's own words are as good. */
export function sayIssue(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is missing'
      return `expected ${NAMES_OF_TYPES[issue.expected] ?? issue.expected}`
    case 'too_small':
      return `expected at least ${issue.minimum}${unitOf(issue.origin)}`
    case 'too_big':
      return `expected at most ${issue.maximum}${unitOf(issue.origin)}`
    case 'invalid_value':
      return `expected ${issue.values.map(String).join(' or ')}`
    case 'unrecognized_keys':
      return `${issue.keys.map((key) => JSON.stringify(key)).join(', ')} is nothing that belongs here`
    default:
      return undefined
  }
}

const NAMES_OF_TYPES: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters'
  return origin === 'array' ? ' items' : ''
}

/** Every text in a JSON value, by its path with points. */
function textsIn(value: unknown, path: readonly string[] = []): [path: string, text: string][] {
  if (typeof value === 'string') return [[path.join('.'), value]]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, part]) => textsIn(part, [...path, name]))
}

/** Where a text stops being JSON. The error's own message may have what stands there: a secret. */
function placeOf(error: unknown, text: string): string {
  const position = error instanceof SyntaxError && /at position (\d+)/.exec(error.message)?.[1]
  return position ? `, see line ${text.slice(0, Number(position)).split('\n').length}` : ''
}

function baseOf(name: string): string {
  return name.replace(/_FILE$/, '')
}

function readDotenv(folder: string): Record<string, string> {
  const path = join(folder, '.env')
  return existsSync(path) ? dotenv.parse(readFileSync(path)) : {}
}

/** An empty variable is an unset one: supervisors and compose files set them so. */
function withoutEmpty(env: Environment): Record<string, string> {
  const entries = Object.entries(env).filter(([, value]) => (value ?? '').trim() !== '')
  return Object.fromEntries(entries) as Record<string, string>
}
