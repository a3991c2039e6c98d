import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { computeAddress } from 'ethers'
import { describe, expect, test } from 'vitest'
import type { Asker } from '../../src/cli/init.js'
import { initTools } from '../../src/cli/init-tools.js'
import { loadConfig } from '../../src/config.js'
import { runCli, tempFolder } from './run-cli.js'
import { runProgram } from './run-program.js'
import { COMPLETE_ENV, envWithout } from './settings.js'

// Goal: a new operator gets keys that nobody else can read or has seen, and never loses one.
// Method: the built program in an empty folder, and in folders where something is there already.

const KEYS = [
  ...['admin-token', 'flare-gas.key', 'flow-account.key', 'flow-deployer.key'],
  ...['flow-provider.key', 'meter.key', 'receipt-secret'],
]

/** Every file below a folder with its content. */
function contentsOf(folder: string): Record<string, string> {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
  return Object.fromEntries(
    paths
      .filter((path) => statSync(join(folder, path)).isFile())
      .map((path) => [path, readFileSync(join(folder, path), 'utf8')]),
  )
}

describe('in an empty folder, without a terminal', () => {
  test('makes all keys for their owner alone, shows none, and .env names them', async () => {
    const cwd = tempFolder()
    const run = await runCli(['init'], { cwd })
    expect([run.code, run.stderr]).toEqual([0, ''])
    expect(readdirSync(join(cwd, 'keys')).sort()).toEqual(KEYS)
    expect(statSync(join(cwd, 'keys')).mode & 0o777).toBe(0o700)
    const env = readFileSync(join(cwd, '.env'), 'utf8')
    for (const name of KEYS) {
      const path = join(cwd, 'keys', name)
      expect([name, statSync(path).mode & 0o777]).toEqual([name, 0o600])
      const secret = readFileSync(path, 'utf8').trim().replace(/^0x/, '')
      expect(secret.length).toBeGreaterThanOrEqual(43)
      expect(run.stdout + env).not.toContain(secret)
      expect(env).toContain(`_FILE=keys/${name}\n`)
    }
    expect(statSync(join(cwd, '.env')).mode & 0o777).toBe(0o600)
    const meter = computeAddress(readFileSync(join(cwd, 'keys/meter.key'), 'utf8').trim())
    expect(run.stdout).toContain(`public: ${meter.toLowerCase()}`)
    for (const says of ['faucet.flare.network/coston2', '20 C2FLR', 'testnet-faucet.onflow.org']) {
      expect(run.stdout).toContain(says)
    }
  })

  test('a second run changes nothing and says so', async () => {
    const cwd = tempFolder()
    await runCli(['init'], { cwd })
    const before = contentsOf(cwd)
    const again = await runCli(['init', '--network', 'testnet'], { cwd })
    expect([again.code, again.stdout.split('\n')[0]]).toEqual([
      0,
      'nothing was changed: all is there',
    ])
    expect(contentsOf(cwd)).toEqual(before)
  })

  test('what it makes is what the daemon takes, once the rest is said', async () => {
    const cwd = tempFolder()
    const url = 'http://127.0.0.1:9/litellm'
    writeFileSync(join(cwd, 'viewer.key'), 'sk-canary\n')
    const args = ['--litellm-url', url, '--litellm-key-file', 'viewer.key', '--network', 'mainnet']
    expect((await runCli(['init', '--yes', ...args], { cwd })).code).toBe(0)
    const { FLARE_ANCHOR_ADDRESS = '', FLOW_ACCOUNT_ADDRESS = '' } = COMPLETE_ENV
    const config = loadConfig(
      {
        FLARE_ANCHOR_ADDRESS,
        FLOW_ACCOUNT_ADDRESS,
        FLOW_CONTRACTS_ADDRESS: FLOW_ACCOUNT_ADDRESS,
        FLOW_PROVIDER_ID: '1',
      },
      cwd,
    )
    expect(config.sources).toMatchObject([{ apiUrl: url }])
    expect(config.secretOf('LITELLM_API_KEY')).toBe('sk-canary')
    expect([config.attestor.chainId, config.settler.network]).toEqual([14, 'mainnet'])
    expect(config.attestor.rpcUrls[0]).toMatch(/flare-api/)
  })
})

describe('where something is there already', () => {
  test('keys that settings have are left out; .env keeps every letter', async () => {
    const cwd = tempFolder()
    const mine = `# mine\nMETER_KEY=0x${'c2'.repeat(32)}\nLITELLM_BASE_URL=http://127.0.0.1:9`
    writeFileSync(join(cwd, '.env'), mine)
    const run = await runCli(['init', '--json'], { cwd })
    expect(readFileSync(join(cwd, '.env'), 'utf8').startsWith(`${mine}\n`)).toBe(true)
    expect(existsSync(join(cwd, 'keys/meter.key'))).toBe(false)
    const { keys, missing } = JSON.parse(run.stdout) as {
      keys: { setting: string; where: string }[]
      missing: string[]
    }
    expect(keys.find(({ setting }) => setting === 'METER_KEY')?.where).toBe('METER_KEY (.env)')
    expect(missing).toEqual(['LITELLM_API_KEY'])
    expect(run.stdout).not.toContain('c2'.repeat(32))
  })

  // A run that died between the keys and .env.
  test('keys without .env are taken, never overwritten', async () => {
    const cwd = tempFolder()
    await runCli(['init'], { cwd })
    const keys = contentsOf(join(cwd, 'keys'))
    writeFileSync(join(cwd, '.env'), '')
    expect((await runCli(['init'], { cwd })).code).toBe(0)
    expect(contentsOf(join(cwd, 'keys'))).toEqual(keys)
    expect(readFileSync(join(cwd, '.env'), 'utf8')).toContain('METER_KEY_FILE=keys/meter.key')
  })

  test('a key file that is named and not there: no new key takes its place', async () => {
    const cwd = tempFolder()
    writeFileSync(join(cwd, '.env'), 'METER_KEY_FILE=elsewhere/meter.key\n')
    const run = await runCli(['init'], { cwd })
    expect(run.code).toBe(78)
    expect(run.stderr).toContain('METER_KEY_FILE: the file cannot be read')
    expect(existsSync(join(cwd, 'keys'))).toBe(false)
  })

  test('a key file that holds no key is told, without its content', async () => {
    const cwd = tempFolder()
    writeFileSync(join(cwd, 'meter'), 'canary')
    writeFileSync(join(cwd, '.env'), 'METER_KEY_FILE=meter\n')
    const run = await runCli(['init'], { cwd })
    expect([run.code, run.stderr]).toEqual([78, expect.stringContaining('64 hex digits')])
    expect(run.stderr + run.stdout).not.toContain('canary')
  })

  test('what cannot be meant is refused before anything is written', async () => {
    for (const args of [
      ['--network', 'goerli'],
      ['--litellm-url', 'ftp://x'],
    ]) {
      const cwd = tempFolder()
      expect((await runCli(['init', ...args], { cwd })).code).toBe(2)
      expect(readdirSync(cwd)).toEqual([])
    }
  })

  // One folder, one network: keys and addresses of two would end in a mixture of both.
  test('another network, URL or key than the one that is there is refused, and nothing changes', async () => {
    const cwd = tempFolder()
    writeFileSync(join(cwd, 'one.key'), 'sk-canary-one')
    writeFileSync(join(cwd, 'two.key'), 'sk-canary-two')
    const first = ['--litellm-url', 'https://one.example', '--litellm-key-file', 'one.key']
    await runCli(['init', '--network', 'mainnet', ...first], { cwd })
    const before = contentsOf(cwd)
    for (const [flag, value] of [
      ['--network', 'testnet'],
      ['--litellm-url', 'https://two.example'],
      ['--litellm-key-file', 'two.key'],
    ] as const) {
      const run = await runCli(['init', flag, value], { cwd })
      expect([run.code, run.stderr]).toEqual([78, expect.stringContaining(`- ${flag}: `)])
      expect(run.stderr).not.toContain('canary')
    }
    const same = await runCli(['init', '--json', ...first], { cwd })
    expect(JSON.parse(same.stdout)).toMatchObject({ network: 'mainnet', changed: [] })
    expect(contentsOf(cwd)).toEqual(before)
  })

  test('a file with a LiteLLM key has to be there and to hold one', async () => {
    for (const [name, says] of [
      ['nonesuch', 'cannot be read'],
      ['empty', 'is empty'],
    ] as const) {
      const cwd = tempFolder()
      writeFileSync(join(cwd, 'empty'), '\n')
      const run = await runCli(['init', '--litellm-key-file', name], { cwd })
      expect([run.code, readdirSync(cwd)]).toEqual([78, ['empty']])
      expect(run.stderr).toContain(`--litellm-key-file: the file ${says}`)
    }
  })

  test('so is a LiteLLM that would be asked without TLS, unless its host is named', async () => {
    const cwd = tempFolder()
    const args = ['init', '--yes', '--litellm-url', 'http://litellm:4000']
    const run = await runCli(args, { cwd })
    expect([run.code, readdirSync(cwd)]).toEqual([78, []])
    expect(run.stderr).toContain('ALLOW_INSECURE_HTTP')
    expect((await runCli(args, { cwd, env: { ALLOW_INSECURE_HTTP: 'litellm' } })).code).toBe(0)
  })
})

describe('with somebody at a terminal', () => {
  function person(answers: readonly string[]): Asker & { readonly asked: string[] } {
    const left = [...answers]
    const asked: string[] = []
    const ask = async (question: string): Promise<string> => {
      asked.push(question)
      return left.shift() ?? ''
    }
    return { ask, askSecret: ask, close: () => {}, asked }
  }

  test('asks for network, URL and key; the key goes into a file of its own', async () => {
    const folder = tempFolder()
    const asker = person(['emulator', 'http://127.0.0.1:9', 'sk-canary-typed'])
    const init = async () => initTools({}, folder)
    const run = await runProgram(['init'], { init, asker: () => asker })
    expect([run.code, asker.asked.length]).toEqual([0, 3])
    expect(readFileSync(join(folder, 'keys/litellm.key'), 'utf8')).toBe('sk-canary-typed\n')
    expect(readFileSync(join(folder, '.env'), 'utf8')).not.toContain('canary')
    expect(run.lines.join('\n')).not.toContain('canary')
    const again = person([])
    await runProgram(['init'], { init, asker: () => again })
    expect(again.asked).toEqual([]) // All is there.
  })

  test('a wrong answer is asked for again, with what is wrong with it', async () => {
    const folder = tempFolder()
    const asker = person(['goerli', 'emulator', 'litellm', 'http://litellm', 'https://litellm', ''])
    const init = async () => initTools({}, folder)
    const run = await runProgram(['init'], { init, asker: () => asker })
    expect([run.code, asker.asked]).toEqual([
      0,
      [
        expect.stringMatching(/^Network/),
        expect.stringMatching(/^there is no network "goerli"[\s\S]*\nNetwork/),
        expect.stringMatching(/^URL/),
        expect.stringMatching(/^"litellm" is no URL[\s\S]*\nURL/),
        expect.stringMatching(/^that is http:[\s\S]*\nURL/),
        expect.stringMatching(/^LiteLLM key/),
      ],
    ])
    expect(readFileSync(join(folder, '.env'), 'utf8')).toContain('LITELLM_API_URL=https://litellm')
  })

  test('--yes asks nothing', async () => {
    const folder = tempFolder()
    const asker = person([])
    const init = async () => initTools(envWithout('LITELLM_API_URL'), folder)
    expect((await runProgram(['init', '--yes'], { init, asker: () => asker })).code).toBe(0)
    expect(asker.asked).toEqual([])
  })
})
