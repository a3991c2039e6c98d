import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { attestorSettings } from '../src/attestors/index.js'
import {
  type Config,
  coreSettings,
  loadConfig,
  loadMappingConfig,
  loadSettings,
} from '../src/config.js'
import { ConfigError } from '../src/domain/errors.js'
import { httpSettings } from '../src/http/config.js'
import { redact } from '../src/runtime/redaction.js'
import { publicDeskConfig, publicDeskSettings, settlerSettings } from '../src/settlers/index.js'
import { tracesSettings } from '../src/traces/index.js'
import { root, tempFolder } from './cli/run-cli.js'
import { COMPLETE_ENV, envWithout, REQUIRED } from './cli/settings.js'

const ALL_SETTINGS: readonly { readonly env: string; readonly secret?: true }[] = [
  ...Object.values(coreSettings),
  ...Object.values(attestorSettings),
  ...Object.values(settlerSettings),
  ...Object.values(httpSettings),
  ...Object.values(tracesSettings),
]

/** Any text will do for these: a name, a path, a schedule, a key of somebody else's. */
const FREE_TEXT = [
  ...['HOST', 'LOG_FILE', 'METER_SIGNER_FILE', 'FLARE_API_KEY', 'RECEIPT_SECRET'],
  'OTEL_SERVICE_NAME',
  // Read by the scheduler: see test/cli/start.test.ts.
  'POLL_CRON',
]

function load(env: Readonly<Record<string, string>>, files: Readonly<Record<string, string>> = {}) {
  return loadConfig(env, folderWith(files))
}

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = tempFolder()
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

/** The message of the ConfigError that loading ends with. */
function refusal(
  env: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>> = {},
): string {
  try {
    load(env, files)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as ConfigError).message
  }
  throw new Error('these settings were taken')
}

function problemsOf(message: string): string[] {
  return message.split('\n').flatMap((line) => /^ {2}- (.*)$/.exec(line)?.[1] ?? [])
}

describe('what is missing or wrong', () => {
  test('nothing set: everything that has no default is named, in one message', () => {
    const problems = problemsOf(refusal({}))
    for (const name of REQUIRED) {
      expect(problems.filter((problem) => problem.startsWith(`${name}: is missing`))).toHaveLength(
        1,
      )
    }
    expect(problems).toHaveLength(REQUIRED.length)
  })

  test('the message counts its problems and says where settings come from', () => {
    const message = refusal(envWithout('METER_KEY'))
    expect(message).toMatch(
      /^The settings have 1 problem:\n {2}- METER_KEY: is missing \(flowmeter init makes it\)\n/,
    )
    expect(message).toContain('.env.example')
  })

  test.each(REQUIRED)('without %s, that alone is the problem', (name) => {
    const problems = problemsOf(refusal(envWithout(name)))
    expect(problems.map((problem) => problem.split(':')[0])).toEqual([name])
  })

  // Goal: nobody corrects settings one by one, and nothing of a value gets into a log or a ticket.
  // Method: set every setting that there is to a text of its own that cannot be right.
  test('all wrong at once: each is named and none is shown', () => {
    const wrong = Object.fromEntries(
      ALL_SETTINGS.map(({ env }) => [env, `canary ${env.toLowerCase()} that is none`]),
    )
    const message = refusal({
      ...wrong,
      LITELLM_API_URL: 'canary://url',
      LITELLM_API_KEY: 'canary',
    })
    const named = new Set(problemsOf(message).map((problem) => problem.split(/[: ]/)[0]))
    const expected = ALL_SETTINGS.map(({ env }) => env).filter((env) => !FREE_TEXT.includes(env))
    expect([...named].sort()).toEqual([...expected, 'LITELLM_API_URL'].sort())
    expect(message.toLowerCase()).not.toContain('canary')
  })

  test.each([
    ['DATABASE_URL', 'postgres://user:canary@localhost/db'],
    ['POLL_INTERVAL', '-1'],
    ['SEAL_INTERVAL', '10 min'],
    ['SEAL_EXPOSURE', '1e3'],
    ['COLLECT_FROM', 'yesterday'],
    ['SETTLE_ENTRIES_MAX', '0'],
    ['RECEIPT_SECRET', 'short'],
    ['HOLD_UNKNOWN_MODELS', 'yes'],
    ['PORT', '65536'],
    ['ALLOWED_IPS', '10.0.0.1, nowhere'],
    ['TOKEN_IPS', '10.0.0.0/33'],
    ['TRUSTED_PROXIES', 'localhost'],
    ['HTTP_HOSTS', 'https://meter.example.org'],
    ['ADMIN_TOKEN', 'too-short'],
    ['REQUIRE_TOKEN', 'yes'],
    ['HTTP_RATE_LIMIT', '-1'],
    ['LOG_LEVEL', 'loud'],
    ['FLARE_ENDPOINT', 'http://127.0.0.1:9, ftp://canary'],
    ['FLARE_CHAIN_ID', '43113'],
    ['FLARE_ANCHOR_ADDRESS', '0x1234'],
    ['METER_KEY', `0x${'c2'.repeat(31)}`],
    ['FLOW_NETWORK', 'localnet'],
    ['FLOW_PRIVATE_KEY', `${'c3'.repeat(32)}00`],
    ['FLOW_KEY_INDEXES', '0,0'],
    ['FLOW_PROVIDER_ID', '18446744073709551616'],
  ])('%s is refused by its name', (name, value) => {
    const message = refusal({ ...COMPLETE_ENV, [name]: value })
    const problems = problemsOf(message)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(new RegExp(`^${name}\\b`))
    expect(problems[0]?.length).toBeGreaterThan(`${name}: `.length + 10)
    expect(message).not.toContain(value)
  })
})

// Goal: what is wrong with a value is said in words of ours, with what to write instead.
test('each kind of slip says what was expected', () => {
  const env = { ...COMPLETE_ENV, PORT: 'abc', SEAL_INTERVAL: '-3', HOLD_MULTIPLE: '1.5' }
  const folder = folderWith({ empty: '\n' })
  const one = (vars: Readonly<Record<string, string>>, config = '{}') =>
    problemsOf(refusal(vars, { 'flowmeter.config.json': config }))
  expect(one({ ...env, LOG_LEVEL: 'loud' }).sort()).toEqual([
    'HOLD_MULTIPLE: expected a whole number',
    'LOG_LEVEL: expected trace or debug or info or warn or error or fatal',
    'PORT: expected a number',
    'SEAL_INTERVAL: expected at least 0',
  ])
  expect(one({ ...envWithout('METER_KEY'), METER_KEY_FILE: join(folder, 'empty') })).toContain(
    'METER_KEY_FILE: the file is empty',
  )
  expect(one(COMPLETE_ENV, '{ "sorces": [] }')).toEqual([
    'flowmeter.config.json: "sorces" is nothing that belongs here',
  ])
  expect(one(COMPLETE_ENV, '{\n  "notify": [],\n}').join()).toMatch(/is not JSON, see line 3$/)
})

describe('where settings come from', () => {
  test('.env, and the environment wins over it', () => {
    const lines = Object.entries(COMPLETE_ENV).map(([name, value]) => `${name}=${value}`)
    const files = { '.env': `${lines.join('\n')}\nPORT=3001\nLOG_LEVEL=debug\n` }
    const config = load({ PORT: '3002' }, files)
    expect([config.port, config.logLevel]).toEqual([3002, 'debug'])
  })

  test('an empty variable is an unset one', () => {
    const config = load({ ...COMPLETE_ENV, PORT: '', FLARE_API_KEY: '' })
    expect(config.port).toBe(3000)
    expect(config.attestor.apiKey).toBeUndefined()
  })

  test('.env.example, copied and not filled in: what has no default is missing', () => {
    const example = readFileSync(join(root, '.env.example'), 'utf8')
    const problems = problemsOf(refusal({}, { '.env': example }))
    expect(problems.map((problem) => problem.split(' (')[0]).sort()).toEqual(
      REQUIRED.map((name) => `${name}: is missing`).sort(),
    )
  })

  test('NAME_FILE: the secret is the content of that file', () => {
    const folder = folderWith({ meter: `${COMPLETE_ENV.METER_KEY}\n`, litellm: 'sk-from-a-file\n' })
    const config = loadConfig(
      {
        ...envWithout('METER_KEY', 'LITELLM_API_KEY'),
        METER_KEY_FILE: join(folder, 'meter'),
        LITELLM_API_KEY_FILE: join(folder, 'litellm'),
      },
      folder,
    )
    expect(config.attestor.meterKey).toBe(COMPLETE_ENV.METER_KEY)
    expect(config.secretOf('LITELLM_API_KEY')).toBe('sk-from-a-file')
    expect(redact(`sk-from-a-file ${COMPLETE_ENV.METER_KEY}`)).toBe('[redacted] [redacted]')
  })

  test('NAME_FILE: a file that is not there is a problem of its own', () => {
    const problems = problemsOf(
      refusal({ ...envWithout('METER_KEY'), METER_KEY_FILE: '/canary/none' }),
    )
    expect(problems).toContain('METER_KEY_FILE: the file cannot be read')
    expect(problems.join()).not.toContain('canary')
  })

  test('NAME_FILE: an empty file is no secret, whatever names it', () => {
    // Anybody can sign what is signed with nothing.
    const folder = folderWith({ empty: ' \n' })
    const credits = { credits: { stripeSecretEnv: 'STRIPE_SECRET' } }
    writeFileSync(join(folder, 'flowmeter.config.json'), JSON.stringify(credits))
    const env = { ...COMPLETE_ENV, STRIPE_SECRET_FILE: join(folder, 'empty') }
    expect(() => loadConfig(env, folder)).toThrow('STRIPE_SECRET_FILE: the file is empty')
    const blank = { ...COMPLETE_ENV, STRIPE_SECRET: ' ' }
    expect(() => loadConfig(blank, folder)).toThrow('STRIPE_SECRET: is missing')
  })

  test('NAME_FILE is for secrets alone, and the variable itself wins', () => {
    const files = { port: '1', meter: `0x${'dd'.repeat(32)}` }
    const folder = folderWith(files)
    const config = loadConfig(
      { ...COMPLETE_ENV, PORT_FILE: join(folder, 'port'), METER_KEY_FILE: join(folder, 'meter') },
      folder,
    )
    expect([config.port, config.attestor.meterKey]).toEqual([3000, COMPLETE_ENV.METER_KEY])
  })

  test('LiteLLM by its other names', () => {
    const config = load({
      ...envWithout('LITELLM_API_URL', 'LITELLM_API_KEY'),
      LITELLM_BASE_URL: 'http://127.0.0.1:9/',
      LITELLM_MASTER_KEY: 'sk-master-canary',
    })
    expect(config.sources).toMatchObject([
      { name: 'main', apiUrl: 'http://127.0.0.1:9', apiKeyEnv: 'LITELLM_MASTER_KEY' },
    ])
    expect(redact('sk-master-canary')).toBe('[redacted]')
  })
})

describe('connections to other machines', () => {
  const far = 'http://far.example.org'
  const both = `${COMPLETE_ENV.FLARE_ENDPOINT}, ${far}`

  test.each([
    ['LITELLM_API_URL', far],
    ['FLARE_ENDPOINT', both],
    ['FLARE_DA_URL', far],
    ['FLARE_VERIFIER_URL', far],
    ['FLOW_ACCESS_NODE', far],
  ])('%s without TLS is refused unless its host is named', (name, value) => {
    const env = { ...COMPLETE_ENV, [name]: value }
    const problems = problemsOf(refusal(env))
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(new RegExp(`^${name}: is http://.*ALLOW_INSECURE_HTTP`))
    expect(problems[0]).not.toContain('far.example.org')
    expect(() => load({ ...env, ALLOW_INSECURE_HTTP: 'far.example.org' })).not.toThrow()
    expect(() => load({ ...env, ALLOW_INSECURE_HTTP: 'near.example.org' })).toThrow(name)
  })

  // Goal: no setting that takes a URL is forgotten, not even one that is added later.
  test('no setting at all takes one', () => {
    for (const { env } of ALL_SETTINGS.filter((setting) => setting.env !== 'ALLOW_INSECURE_HTTP')) {
      if (env === 'FLOWMETER_CONFIG') continue
      expect(refusal({ ...COMPLETE_ENV, [env]: far })).toContain(`- ${env}: is http://`)
    }
  })

  test('nor do sources in the file, databases, and the addresses that alarms go to', () => {
    const sources = [
      { kind: 'litellm', name: 'west', apiUrl: far },
      { kind: 'litellm-postgres', name: 'east', databaseUrlEnv: 'EAST_URL' },
    ]
    const chain = [
      { kind: 'sql', name: 'users', databaseUrlEnv: 'USERS_URL', query: 'select 1, 2' },
    ]
    const notify = [{ kind: 'slack', name: 'channel', urlEnv: 'SLACK_URL' }]
    const files = {
      'flowmeter.config.json': JSON.stringify({ sources, mapping: { chain }, notify }),
    }
    const env = {
      ...COMPLETE_ENV,
      EAST_URL: 'postgres://role:canary@db.example.org/litellm',
      USERS_URL: 'postgres://role:canary@db.example.org/users?sslmode=disable',
      SLACK_URL: 'http://slack.example.org/canary',
    }
    const message = refusal(env, files)
    const named = problemsOf(message).map((problem) => problem.split(': ')[0])
    expect(named.sort()).toEqual(
      ['EAST_URL', 'SLACK_URL', 'USERS_URL', 'flowmeter.config.json, sources.0.apiUrl'].sort(),
    )
    expect(message).not.toContain('canary')
    const hosts = 'far.example.org,db.example.org,slack.example.org'
    expect(() => load({ ...env, ALLOW_INSECURE_HTTP: hosts }, files)).not.toThrow()
  })

  test('commands of people are bound by it, too', () => {
    const env = { FLOW_ACCESS_NODE: far, FLOW_CONTRACTS_ADDRESS: '0xf8d6e0586b0a20c7' }
    const read = (more: object) =>
      loadSettings(publicDeskConfig, publicDeskSettings, { ...env, ...more }, tempFolder())
    expect(() => read({})).toThrow('FLOW_ACCESS_NODE: is http://')
    expect(read({ ALLOW_INSECURE_HTTP: '.example.org' }).accessNodes).toEqual([far])
  })

  test('the rule itself cannot be switched off', () => {
    const env = { ...COMPLETE_ENV, LITELLM_API_URL: far, ALLOW_INSECURE_HTTP: 'true' }
    expect(problemsOf(refusal(env))).toEqual([
      'ALLOW_INSECURE_HTTP: expected hosts, such as litellm, .internal.example.org or 10.0.0.0/8',
    ])
  })
})

describe('defaults', () => {
  test('are those that .env.example tells', () => {
    const config = load(COMPLETE_ENV)
    expect(config).toMatchObject({
      databaseUrl: 'data/flowmeter.sqlite',
      pollIntervalMs: 60_000,
      settleMs: 75_000,
      overlapMs: 7_200_000,
      sealIntervalMs: 600_000,
      workerIntervalMs: 2_000,
      collectFrom: 'now',
      settleEntriesMax: 300,
      holdUnknownModels: false,
      host: '127.0.0.1',
      port: 3000,
      allowedIps: [],
      logLevel: 'info',
      logFile: 'logs/connector.log',
    })
    expect(config.attestor).toMatchObject({ chainId: 114, signerFile: 'data/meter-signer.json' })
    expect(config.settler).toMatchObject({ keyIndexes: [0], transactionExpiryBlocks: 600 })
    expect(config.mapping.chain.map(({ kind }) => kind)).toEqual(['directory', 'prefix', 'direct'])
    expect(config.mapping.payerField).toBe('user')
  })

  test('without an endpoint, Coston2 and the Flow testnet', () => {
    const config = load(envWithout('FLARE_ENDPOINT', 'FLOW_NETWORK', 'FLOW_ACCESS_NODE'))
    expect(config.attestor.rpcUrls).toEqual(['https://coston2-api.flare.network/ext/C/rpc'])
    expect(config.settler.network).toBe('testnet')
  })
})

describe('flowmeter.config.json', () => {
  const source = { kind: 'litellm', name: 'west', apiUrl: 'http://127.0.0.1:9' }

  test('names several sources, each with a key of its own', () => {
    const sources = [
      { ...source, apiKeyEnv: 'WEST_KEY' },
      { ...source, name: 'east', apiKeyEnv: 'EAST_KEY' },
    ]
    const env = { ...envWithout('LITELLM_API_URL', 'LITELLM_API_KEY'), WEST_KEY: 'west-canary' }
    const files = { 'flowmeter.config.json': JSON.stringify({ sources }) }
    expect(problemsOf(refusal(env, files))).toEqual(['EAST_KEY: is missing'])
    const config = load({ ...env, EAST_KEY: 'east-canary' }, files)
    expect(config.sources.map(({ name }) => name)).toEqual(['west', 'east'])
    expect(redact('west-canary, east-canary')).toBe('[redacted], [redacted]')
  })

  test.each([
    ['at the top', { mappings: {} }, 'mappings'],
    ['in a source', { sources: [{ ...source, apiKey: 'sk-canary' }] }, 'apiKey'],
    ['in the mapping', { mapping: { chian: [] } }, 'chian'],
    ['in a strategy', { mapping: { chain: [{ kind: 'direct', prefix: 'canary' }] } }, 'prefix'],
  ])('an unknown key %s is refused by its name, not shown', (_where, value, key) => {
    const message = refusal(COMPLETE_ENV, { 'flowmeter.config.json': JSON.stringify(value) })
    expect(problemsOf(message)).toHaveLength(1)
    expect(message).toContain(key)
    expect(message).not.toContain('canary')
  })

  test('what is no JSON, and a file that is named but not there', () => {
    expect(refusal(COMPLETE_ENV, { 'flowmeter.config.json': '{' })).toContain('is not JSON')
    const named = { ...COMPLETE_ENV, FLOWMETER_CONFIG: '/canary/none.json' }
    expect(problemsOf(refusal(named))).toEqual(['FLOWMETER_CONFIG: there is no such file'])
  })

  test('an empty chain, an empty prefix, a strategy that does not exist', () => {
    for (const chain of [[], [{ kind: 'prefix', prefix: '' }], [{ kind: 'guess' }]]) {
      const files = { 'flowmeter.config.json': JSON.stringify({ mapping: { chain } }) }
      expect(problemsOf(refusal(COMPLETE_ENV, files))[0]).toMatch(
        /^flowmeter\.config\.json, mapping/,
      )
    }
  })
})

describe('what `map` needs', () => {
  test('is the mapping and the place of the store, with no other setting at all', () => {
    const chain = [{ kind: 'prefix', prefix: 'team-' }]
    const files = { 'flowmeter.config.json': JSON.stringify({ mapping: { chain } }) }
    const config = loadMappingConfig({ DATABASE_URL: 'sqlite:elsewhere.sqlite' }, folderWith(files))
    expect(config).toEqual({
      databaseUrl: 'elsewhere.sqlite',
      mapping: { payerField: 'user', chain },
    })
  })

  test('is refused like the rest', () => {
    const load = () => loadMappingConfig({ DATABASE_URL: 'canary.db' }, folderWith({}))
    expect(load).toThrow(/DATABASE_URL: expected sqlite:/)
    expect(load).not.toThrow(/canary/)
  })
})

// Goal: what the log cuts out is what the program holds, not only what the operator typed.
// Method: type secrets with spaces, capitals or without 0x, and look for them as the program uses
// them, in every spelling that some library may give them.
test('every secret is cut out as it is used, however it was typed', () => {
  const gas = 'C1'.repeat(32)
  const flow = `0x${'Ab'.repeat(32)}`
  const config: Config = load({
    ...COMPLETE_ENV,
    FLARE_GAS_KEY: `  ${gas} `,
    FLOW_PRIVATE_KEY: flow,
    RECEIPT_SECRET: ' canary-receipt-secret-of-32-characters ',
  })
  const { attestor, settler, receiptSecret } = config
  for (const used of [attestor.gasKey, attestor.meterKey, settler.privateKey, receiptSecret]) {
    const bare = used.replace(/^0x/, '')
    for (const spelling of [used, bare, bare.toUpperCase()]) {
      expect(redact(`before ${spelling} after`)).not.toContain(spelling)
    }
  }
})

describe('budgets', () => {
  const withBudgets = (budgets: object, more: object = {}) => ({
    'flowmeter.config.json': JSON.stringify({ budgets, ...more }),
  })
  const ADMIN_KEY = 'sk-admin-of-keys-alone'
  const env = { ...COMPLETE_ENV, BUDGETS_ADMIN_KEY: ADMIN_KEY }

  test('are off unless the file has them, and then have their defaults', () => {
    expect(load(COMPLETE_ENV).budgets).toBeUndefined()
    const { budgets } = load(env, withBudgets({}))
    expect(budgets?.keys).toMatchObject({
      ...{ maxBudget: 10_000_000n, budgetDuration: '30d', rpmLimit: 100, tpmLimit: 10_000 },
      ...{ models: [], perCustomer: 5 },
    })
    expect(redact(`before ${ADMIN_KEY}`)).toBe('before [redacted]')
  })

  test('need an admin key, which may come from a file', () => {
    expect(refusal(COMPLETE_ENV, withBudgets({}))).toContain('BUDGETS_ADMIN_KEY: is missing')
    const files = { ...withBudgets({}), 'admin.key': `${ADMIN_KEY}\n` }
    const folder = folderWith(files)
    const fromFile = { ...COMPLETE_ENV, BUDGETS_ADMIN_KEY_FILE: join(folder, 'admin.key') }
    expect(loadConfig(fromFile, folder).secretOf('BUDGETS_ADMIN_KEY')).toBe(ADMIN_KEY)
  })

  test('are never managed with the key that reads usage', () => {
    const { LITELLM_API_KEY = '' } = COMPLETE_ENV
    const same = { ...COMPLETE_ENV, BUDGETS_ADMIN_KEY: LITELLM_API_KEY }
    const message = refusal(same, withBudgets({}))
    expect(message).toContain('BUDGETS_ADMIN_KEY: is the same key as LITELLM_API_KEY')
    expect(message).not.toContain(LITELLM_API_KEY)
  })

  test('name the LiteLLM that they are about, where there are several or none', () => {
    const litellm = (name: string) => ({
      ...{ kind: 'litellm', name, apiUrl: `https://${name}.example.org` },
      apiKeyEnv: 'LITELLM_API_KEY',
    })
    const sources = [litellm('a'), litellm('b')]
    expect(refusal(env, withBudgets({}, { sources }))).toContain('there are several')
    expect(refusal(env, withBudgets({ source: 'c' }, { sources }))).toContain('no source "c"')
    expect(load(env, withBudgets({ source: 'b' }, { sources })).budgets?.source).toBe('b')
  })

  test('have the tiers that everybody knows, unless the operator has others', () => {
    const { budgets } = load(env, withBudgets({}))
    expect(budgets?.tiers).toMatchObject({
      free: { quota: { requestsAnHour: 10n, requestsADay: 50n, tokensADay: 10_000n } },
      pro: { quota: { requestsAnHour: 100n, requestsADay: null, tokensADay: 100_000n } },
      premium: { quota: { requestsAnHour: null, requestsADay: null, tokensADay: null } },
    })
    const tiers = { team: { quota: { tokensADay: 5 }, rpmLimit: 3, models: ['gpt-4'] } }
    const own = load(env, withBudgets({ tiers, defaultTier: 'team' })).budgets
    expect(own?.tiers).toMatchObject({ team: { rpmLimit: 3, tpmLimit: null, models: ['gpt-4'] } })
    expect(Object.keys(own?.tiers ?? {})).toEqual(['team'])
    const wrong = refusal(env, withBudgets({ tiers, defaultTier: 'free' }))
    expect(wrong).toContain('budgets.defaultTier: there is no tier "free" among team')
  })

  test('refuse what is no limit', () => {
    for (const keys of [
      ...[{ maxBudget: '1.0000001' }, { maxBudget: 10 }, { maxBudget: '-1' }],
      ...[{ budgetDuration: 'soon' }, { rpmLimit: 1.5 }, { tpmLimit: -1 }, { unknown: 1 }],
    ]) {
      expect(refusal(env, withBudgets({ keys }))).toContain('flowmeter.config.json, budgets.keys')
    }
    expect(refusal(env, withBudgets({ runway: { reserveMin: 1 } }))).toContain('reserveMin')
    expect(refusal(env, withBudgets({ tiers: { 'No Tier': {} } }))).toContain('budgets.tiers')
    const none = { maxBudget: null, budgetDuration: null, rpmLimit: null, tpmLimit: null }
    expect(load(env, withBudgets({ keys: none })).budgets?.keys).toMatchObject(none)
  })
})

describe('prepaid credits', () => {
  const withPackage = (price: string, currency: string) => ({
    'flowmeter.config.json': JSON.stringify({
      credits: { packages: [{ credits: 1000, price, currency }] },
    }),
  })

  test('are sold for something, in currencies that have hundredths', () => {
    const sold = load(COMPLETE_ENV, withPackage('0.01', 'EUR')).credits?.packages
    expect(sold).toEqual([{ credits: 1_000n, price: 1n, currency: 'EUR' }])
    expect(refusal(COMPLETE_ENV, withPackage('0.00', 'USD'))).toContain('above 0')
    // A provider counts a dinar in thousandths and a yen as one: 1.00 would be a tenth, or a hundred.
    for (const currency of ['KWD', 'JPY', 'CLF']) {
      expect(refusal(COMPLETE_ENV, withPackage('1.00', currency))).toContain('no hundredths')
    }
  })
})
