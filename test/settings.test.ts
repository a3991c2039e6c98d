import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { configTools } from '../src/cli/config-tools.js'
import { allSchemas, allSettings, loadConfig } from '../src/config.js'
import { redact } from '../src/runtime/redaction.js'
import { defaultText, SettingLayers } from '../src/settings.js'
import { runCli, tempFolder } from './cli/run-cli.js'
import { COMPLETE_ENV, envWithout } from './cli/settings.js'

// Goal: an operator can tell where each setting comes from, and a slip is told, never guessed at.
// Method: the same setting in several places, by several names; and secrets that must not be seen.

type Files = Readonly<Record<string, string>>

function folderWith(files: Files): string {
  const folder = tempFolder()
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

const settings = (values: object): Files => ({
  'flowmeter.config.json': JSON.stringify({ settings: values }),
})

function messageOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('these settings were taken')
}

describe('layers', () => {
  const setting = { env: 'PORT' }

  test('environment, then .env, then flowmeter.config.json', () => {
    const files = { '.env': 'PORT=2\n', ...settings({ PORT: 3 }) }
    const both = folderWith(files)
    expect(new SettingLayers({ PORT: '1' }, both).find(setting)).toMatchObject({
      value: '1',
      origin: 'environment',
    })
    expect(new SettingLayers({ PORT: '' }, both).find(setting)?.origin).toBe('.env')
    const alone = new SettingLayers({}, folderWith(settings({ PORT: 3 })))
    expect(alone.find(setting)).toEqual({
      value: '3',
      origin: 'flowmeter.config.json',
      from: 'PORT',
    })
    expect(new SettingLayers({}, tempFolder()).find(setting)).toBeUndefined()
  })

  test('a file that a stronger layer names wins over a value of a weaker one', () => {
    const folder = folderWith({ '.env': 'METER_KEY=weak\n', key: 'strong\n' })
    const secret = { env: 'METER_KEY', secret: true } as const
    const layers = new SettingLayers({ METER_KEY_FILE: 'key' }, folder)
    expect(layers.find(secret)).toEqual({
      value: 'strong',
      origin: 'environment',
      from: 'METER_KEY_FILE',
    })
  })

  test('addresses in the file are settings like others', () => {
    const { FLARE_ANCHOR_ADDRESS = '' } = COMPLETE_ENV
    const folder = folderWith(settings({ FLARE_ANCHOR_ADDRESS, PORT: 1234 }))
    const config = loadConfig(envWithout('FLARE_ANCHOR_ADDRESS'), folder)
    expect([config.attestor.anchorAddress, config.port]).toEqual([FLARE_ANCHOR_ADDRESS, 1234])
  })

  test.each([
    [{ METER_KEY: 'canary' }, 'settings.METER_KEY: a secret does not belong here'],
    [{ METER_KYE_FILE: 'x' }, 'settings.METER_KYE_FILE: is no setting'],
    [{ PORT: ['canary'] }, 'expected names of settings with text'],
    [['canary'], 'expected names of settings with text'],
  ])('in the file: %j', (values, says) => {
    const message = messageOf(() => loadConfig(COMPLETE_ENV, folderWith(settings(values))))
    expect(message).toContain(says)
    expect(message).not.toContain('canary')
  })
})

describe('names that other programs have', () => {
  const without = envWithout('LITELLM_API_URL', 'LITELLM_API_KEY')

  test.each([
    ...['LITELLM_BASE_URL', 'LITELLM_PROXY_URL', 'LITELLM_PROXY_API_BASE', 'LITELLM_API_BASE'],
  ])('%s is the URL', (name) => {
    const key = 'sk-canary-proxy'
    const env = { ...without, [name]: 'http://127.0.0.1:9', LITELLM_PROXY_API_KEY: key }
    const config = loadConfig(env, tempFolder())
    expect(config.sources).toMatchObject([
      { apiUrl: 'http://127.0.0.1:9', apiKeyEnv: 'LITELLM_PROXY_API_KEY' },
    ])
    expect([redact(key), config.warnings]).toEqual(['[redacted]', []])
  })

  test('a master key from a file', () => {
    const folder = folderWith({ key: 'sk-master-canary\n' })
    const env = { ...envWithout('LITELLM_API_KEY'), LITELLM_MASTER_KEY_FILE: 'key' }
    const config = loadConfig(env, folder)
    expect(config.secretOf('LITELLM_MASTER_KEY')).toBe('sk-master-canary')
  })

  test('two names that differ: the own one counts, and it is said; alike ones are fine', () => {
    const env = { ...COMPLETE_ENV, LITELLM_BASE_URL: 'http://127.0.0.1:10/canary' }
    const { sources, warnings } = loadConfig(env, tempFolder())
    expect(sources).toMatchObject([{ apiUrl: COMPLETE_ENV.LITELLM_API_URL }])
    expect(warnings).toEqual([
      'LITELLM_API_URL (environment) and LITELLM_BASE_URL (environment) are both set and differ: ' +
        'LITELLM_API_URL is used',
    ])
    const same = { ...COMPLETE_ENV, LITELLM_BASE_URL: COMPLETE_ENV.LITELLM_API_URL ?? '' }
    expect(loadConfig(same, tempFolder()).warnings).toEqual([])
  })
})

test('a slip in .env is told beside what is missing for it', () => {
  const folder = folderWith({ '.env': 'METER_KYE=canary\nOTHER_PROGRAM=1\n' })
  const message = messageOf(() => loadConfig(envWithout('METER_KEY'), folder))
  expect(message).toContain('  - METER_KEY: is missing')
  expect(message).toContain('  warning: .env: METER_KYE is no setting of Flowmeter')
  expect(message).not.toMatch(/canary|OTHER_PROGRAM/)
})

test('the default that is shown is the one that is used', () => {
  for (const [group, table] of Object.entries(allSettings)) {
    for (const [field, { env, help }] of Object.entries(table)) {
      const schema = allSchemas[group]?.[field]
      const fallback = schema && defaultText(schema)
      // Help tells it in words, too: after the last semicolon.
      const [, told] = /; (\d+|[a-z]+\/?[\w./-]*\.\w+|main|none)$/.exec(help) ?? []
      if (told === undefined || told === 'none') continue
      if (env === 'FLOWMETER_CONFIG') continue
      expect([env, fallback]).toEqual([env, told])
    }
  }
})

describe('flowmeter config', () => {
  const url = 'https://user:canary@rpc.example.com/v1/canarycanarycanary99?x-apikey=canary&a=b'

  test('print: where each comes from, and no secret, not even inside a URL', async () => {
    const cwd = folderWith({
      '.env': `FLARE_ENDPOINT=${url}\nLITELLM_MASTER_KEY=sk-canary\n`,
      ...settings({ FLOW_NETWORK: 'emulator' }),
    })
    const env = { METER_KEY: `0x${'ca'.repeat(32)}` }
    for (const more of [[], ['--all'], ['--json']]) {
      const run = await runCli(['config', 'print', ...more], { cwd, env })
      expect([run.code, run.stderr]).toEqual([0, ''])
      expect(run.stdout).not.toMatch(/canary|caca/)
    }
    const { stdout } = await runCli(['config', 'print', '--all'], { cwd, env })
    expect(stdout).toMatch(/METER_KEY +\(secret, 66 characters\) {2}\(environment\)/)
    expect(stdout).toMatch(/LITELLM_API_KEY .*\(\.env, as LITELLM_MASTER_KEY\)/)
    expect(stdout).toMatch(/FLOW_NETWORK +emulator {2}\(flowmeter\.config\.json\)/)
    expect(stdout).toMatch(/PORT +3000 {2}\(default\)/)
    expect(stdout).toMatch(/FLOW_PROVIDER_ID +\(unset\)/)
    expect(stdout).toContain('https://…@rpc.example.com/v1/…?x-apikey=…&a=…')
  })

  test('every setting is shown', () => {
    const shown = Object.values(configTools({}, tempFolder()).show()).flat()
    const names = Object.values(allSettings).flatMap((group) => Object.values(group))
    expect(shown.map(({ name }) => name)).toEqual(names.map(({ env }) => env))
    expect(shown.length).toBeGreaterThan(50)
  })

  test('validate: all problems at once and 78, or that there are none', async () => {
    const cwd = tempFolder()
    const fine = await runCli(['config', 'validate', '--json'], { cwd, env: COMPLETE_ENV })
    expect([fine.code, JSON.parse(fine.stdout)]).toEqual([0, { ok: true, warnings: [] }])
    const env = { ...envWithout('METER_KEY'), PORT: 'canary' }
    const wrong = await runCli(['config', 'validate'], { cwd, env })
    expect(wrong.code).toBe(78)
    expect(wrong.stderr).toContain('The settings have 2 problems')
    expect(wrong.stderr).not.toContain('canary')
  })
})
