import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePorts } from '../../devnet/ports.js'
import { allSettings } from '../../src/config.js'
import type { Status } from '../../src/pipeline/status.js'
import type { Setting } from '../../src/settings.js'
import { customerSettings, deployerSettings, providerSettings } from '../../src/settlers/index.js'
import * as sourceKinds from '../../src/sources/kinds.js'
import { mainFile, type Ran, root, runCli } from '../cli/run-cli.js'
import { EchoServer } from '../support/echo-server.js'
import { PATIENCE_MS } from '../support/patience.js'

// Goal: no secret is ever shown, wherever it came from and whatever goes wrong.
// Method: a canary of its own for every setting that is marked secret (the schema itself is asked, so
// that a new one is planted by itself), half of them in files; for every variable that the file of
// lists names; and for every part of a URL that can be a key. All that is outside is a server that
// refuses and repeats what it was sent. Then everything that says anything is run, and all of it
// searched: commands, log, pages, notices, and every file that was written.

const word = (name: string) =>
  `canary-${name.toLowerCase().replaceAll('_', '-')}-${randomBytes(9).toString('hex')}`
const key = () => randomBytes(32).toString('hex')

const echo = new EchoServer()
const cwd = mkdtempSync(join(tmpdir(), 'flowmeter-canaries-'))
/** By what they are in. */
const canaries = new Map<string, string>()
const env: Record<string, string> = {}
const heard = { stdout: '', stderr: '' }
let daemon: ChildProcess
let exited: Promise<string>
let url: string

/** Those that have to be keys of a curve; all others take any text that is long enough. */
const isKey = (name: string) => /_KEY$/.test(name) && !/API_KEY$/.test(name)

/** What stands around a secret in its setting. */
const AROUND: Readonly<Record<string, (secret: string) => string>> = {
  OTEL_EXPORTER_OTLP_HEADERS: (secret) => `x-token=${secret}`,
}

function plant(name: string, secret: string, isInFile: boolean): void {
  canaries.set(name, secret.replace(/^0x/, ''))
  const value = AROUND[name]?.(secret) ?? secret
  if (!isInFile) {
    env[name] = value
    return
  }
  writeFileSync(join(cwd, `input-${name}`), `${value}\n`, { mode: 0o600 })
  env[`${name}_FILE`] = `input-${name}`
}

const personal = [providerSettings, customerSettings, deployerSettings]
const everySetting = [...Object.values(allSettings), ...personal].flatMap((group) =>
  Object.values<Setting>(group),
)

/** What the file of lists names, with the form that its owner asks for. */
const NAMED: Readonly<Record<string, (host: string) => string>> = {
  EAST_KEY: () => word('east'),
  EAST_HINT: () => word('east-hint'),
  PG_URL: (host) => `postgresql://role:${word('pg')}@${host}/litellm`,
  SUMS_KEY: () => word('sums'),
  OCR_TOKEN: () => word('ocr'),
  CRM_URL: (host) => `postgres://crm:${word('crm')}@${host}/crm`,
  SLACK_URL: (host) => `http://${host}/hook/slack/${word('slack')}`,
  HOOK_URL: (host) => `http://${host}/hook/web/${word('hook')}?sig=${word('hook-sig')}`,
  HOOK_SECRET: () => `whsec_${randomBytes(32).toString('base64')}`,
  STRIPE_SECRET: () => `whsec_${word('stripe')}`,
  PAYSTACK_SECRET: () => `sk_live_${word('paystack')}`,
  GATEWAY_ADMIN_KEY: () => word('gateway-admin'),
}

const listsOf = (host: string) => ({
  sources: [
    { kind: 'litellm', name: 'main', apiUrl: `http://${host}/t/${canary('url path of litellm')}` },
    {
      ...{ kind: 'litellm', name: 'east', apiUrl: `http://${host}/east` },
      ...{ apiKeyEnv: 'EAST_KEY', hintTokenEnv: 'EAST_HINT' },
    },
    { kind: 'litellm-postgres', name: 'pg', databaseUrlEnv: 'PG_URL' },
    {
      ...{ kind: 'grouped-usage', name: 'sums', endpoint: 'usage', apiKeyEnv: 'SUMS_KEY' },
      apiUrl: `http://${host}/sums?api_key=${canary('url query of sums')}`,
    },
    { kind: 'usage-events', name: 'ocr', tokenEnv: 'OCR_TOKEN' },
  ],
  mapping: {
    chain: [
      { kind: 'sql', name: 'crm', databaseUrlEnv: 'CRM_URL', query: 'select login, vault from c' },
      { kind: 'prefix', prefix: 'vault_' },
    ],
  },
  notify: [
    { kind: 'slack', name: 'channel', urlEnv: 'SLACK_URL', minSeverity: 'info' },
    { kind: 'webhook', name: 'on-call', urlEnv: 'HOOK_URL', secretEnv: 'HOOK_SECRET' },
  ],
  credits: { stripeSecretEnv: 'STRIPE_SECRET', paystackSecretEnv: 'PAYSTACK_SECRET' },
  budgets: { source: 'main', adminKeyEnv: 'GATEWAY_ADMIN_KEY' },
})

function canary(name: string): string {
  const value = canaries.get(name) ?? word(name.replaceAll(' ', '-'))
  canaries.set(name, value)
  return value
}

beforeAll(async () => {
  const host = await echo.start()
  const [port = 0] = await freePorts(1)
  const user = (name: string) => `user:${canary(`password of ${name}`)}@`
  Object.assign(env, {
    ...{ HOST: '127.0.0.1', PORT: String(port), DATABASE_URL: 'sqlite:store.sqlite' },
    ...{ LOG_LEVEL: 'trace', LOG_FILE: 'logs/connector.log', METER_SIGNER_FILE: 'signer.json' },
    FLARE_ENDPOINT: `http://${host}/${canary('url path of flare')}?x-apikey=${canary('url query of flare')},http://${user('flare')}${host}/rpc`,
    FLARE_DA_URL: `http://${user('da')}${host}/da`,
    FLARE_VERIFIER_URL: `http://${user('verifier')}${host}/verifier`,
    FLARE_ANCHOR_ADDRESS: `0x${'a1'.repeat(20)}`,
    ...{ FLARE_REQUEST_TIMEOUT_MS: '2000', FLOW_REQUEST_TIMEOUT_MS: '2000' },
    FLOW_NETWORK: 'emulator',
    FLOW_ACCESS_NODE: `http://${user('flow')}${host}/flow/${canary('url path of flow')}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://${user('traces')}${host}/otlp`,
    ...{
      FLOW_ACCOUNT_ADDRESS: `0x${'01'.repeat(8)}`,
      FLOW_CONTRACTS_ADDRESS: `0x${'02'.repeat(8)}`,
    },
    ...{
      FLOW_PROVIDER_ADDRESS: `0x${'03'.repeat(8)}`,
      FLOW_CUSTOMER_ADDRESS: `0x${'04'.repeat(8)}`,
    },
    ...{ FLOW_DEPLOYER_ADDRESS: `0x${'05'.repeat(8)}`, FLOW_PROVIDER_ID: '1' },
  })
  const secrets = everySetting.filter(({ secret }) => secret === true)
  secrets.forEach(({ env: name }, i) => {
    plant(name, isKey(name) ? `0x${key()}` : word(name), i % 2 === 0)
  })
  Object.entries(NAMED).forEach(([name, make], i) => {
    plant(name, make(host), i % 2 === 0)
  })
  writeFileSync(join(cwd, 'flowmeter.config.json'), JSON.stringify(listsOf(host)))
  // One of them comes from .env.
  writeFileSync(join(cwd, '.env'), `ADMIN_TOKEN=${env.ADMIN_TOKEN ?? canary('ADMIN_TOKEN')}\n`)
  delete env.ADMIN_TOKEN
  delete env.ADMIN_TOKEN_FILE
  url = `http://127.0.0.1:${port}`
  const { PATH = '', HOME = '' } = process.env
  daemon = spawn(process.execPath, [mainFile, 'start'], { cwd, env: { PATH, HOME, ...env } })
  exited = once(daemon, 'close').then(() => 'it ended')
  daemon.stdout?.on('data', (chunk) => (heard.stdout += String(chunk)))
  daemon.stderr?.on('data', (chunk) => (heard.stderr += String(chunk)))
})

afterAll(async () => {
  daemon?.kill('SIGKILL')
  await echo.stop()
  rmSync(cwd, { recursive: true, force: true })
})

/** Names of canaries in a text, in any spelling. */
function foundIn(text: string | Buffer): string[] {
  const lower = text.toString('latin1').toLowerCase()
  return [...canaries].flatMap(([name, value]) => {
    const spellings = [
      ...partsOf(value),
      Buffer.from(value).toString('base64'),
      Buffer.from(`user:${value}`).toString('base64'),
    ]
    const isThere = spellings.some((one) => lower.includes(one.toLowerCase()))
    return isThere ? [`${name}: …${value.slice(0, 20)}`] : []
  })
}

/** A URL is found by the keys in it, too. */
function partsOf(value: string): string[] {
  const inside = value.match(/canary-[\w-]+-[0-9a-f]{18}/g) ?? []
  return [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1), ...inside]
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    let why = 'not in time'
    const seen = await look().catch((error: unknown) => {
      why = String(error)
      return undefined
    })
    if (seen !== undefined) return seen
    const over = await Promise.race([exited, sleep(100)])
    if (over !== undefined || performance.now() > deadline) {
      throw new Error(`${over ?? why}; stderr: ${heard.stderr}`)
    }
  }
}

const admin = () => ({ authorization: `Bearer ${canaries.get('ADMIN_TOKEN')}` })

test('canaries are in every kind of source, and every secret of the schema', () => {
  const kinds = Object.values(sourceKinds).map(({ config }) => String(config.shape.kind.value))
  expect(listsOf('').sources.map(({ kind }) => kind)).toEqual(expect.arrayContaining(kinds))
  for (const { env: name, secret } of everySetting) {
    expect([name, canaries.has(name)]).toEqual([name, secret === true])
  }
  expect(canaries.size).toBeGreaterThan(25)
})

describe('a running daemon whose every question is refused', () => {
  test('it runs, and what is outside was sent its keys', async () => {
    const status = await until(async () => {
      const answer = await fetch(`${url}/status`, { headers: admin() })
      const seen = (await answer.json()) as Status
      const isRefused = seen.sources.filter(({ problem }) => problem !== undefined).length >= 4
      return isRefused ? seen : undefined
    })
    expect(status.version).toBeTruthy()
    // Those that have to have left this machine, so that they could come back.
    const sent = [
      ...['LITELLM_API_KEY', 'EAST_KEY', 'SUMS_KEY', 'GATEWAY_ADMIN_KEY', 'password of flow'],
      ...['url path of litellm', 'url path of flare', 'url query of flare', 'url path of flow'],
      ...['OTEL_EXPORTER_OTLP_HEADERS', 'password of traces'],
    ]
    await until(async () => {
      const said = echo.heard.join()
      const missing = sent.filter((name) => !said.includes(canaries.get(name) ?? '?'))
      if (missing.length > 0) throw new Error(`not sent yet: ${missing.join()}`)
      return true
    })
    // Nobody is to learn anything from a trace.
    const traces = echo.bodies.filter(({ path }) => path.startsWith('/otlp/'))
    for (const { body } of traces) expect(foundIn(body)).toEqual([])
    // Every worker has met what it cannot get over.
    await until(async () => {
      const answer = await fetch(`${url}/ready`, { headers: admin() })
      const { workers } = (await answer.json()) as {
        workers: Record<string, { ok: boolean }>
      }
      return Object.values(workers).filter(({ ok }) => !ok).length > 3 ? true : undefined
    })
  })

  test('no page and no answer has one', async () => {
    const folder = join(root, 'src/http')
    const text = readdirSync(folder)
      .map((file) => readFileSync(join(folder, file), 'utf8'))
      .join()
    const routes = [...text.matchAll(/server\.get\(\s*'([^']+)'/g)].map(([, path = '']) => path)
    expect(routes.length).toBeGreaterThan(12)
    const kinds = (await (await fetch(`${url}/v1/reports`, { headers: admin() })).json()) as {
      kinds: readonly string[]
    }
    const paths = routes.flatMap((route) =>
      route.includes(':kind')
        ? kinds.kinds.map((kind) => route.replace(':kind', kind))
        : [route.replace(/:\w+/g, '7').replace('*', 'app.js')],
    )
    for (const path of [...paths, '/app.js', '/nothing', `/${canaries.get('ADMIN_TOKEN')}`]) {
      for (const headers of [admin(), {}, { authorization: 'Bearer wrong' }]) {
        const answer = await fetch(`${url}${path}`, {
          headers,
          signal: AbortSignal.timeout(PATIENCE_MS),
        })
        const said = path.endsWith('/events') ? await firstOf(answer) : await answer.text()
        const all = JSON.stringify([...answer.headers]) + said
        expect([path, foundIn(all)]).toEqual([path, []])
      }
    }
  })

  test('no command shows one, nor what it says when it fails', async () => {
    const commands = [
      ...[
        'status',
        'status --json',
        'config print --all',
        'config print --json',
        'config validate',
      ],
      ...['doctor', 'doctor --json', 'map vault_7', 'map alice --explain', 'map alice --json'],
      ...['directory list', 'unmapped list', 'decisions list', 'quarantine list', 'parked list'],
      ...['held list', 'log', 'tokens list', 'notices list', 'notices test', 'report health'],
      ...['report models --json', 'audit source', 'backfill --from 2026-01-01 --dry-run'],
      ...['plans list', 'prices list', 'vaults list', 'vaults list --provider 1', 'checkpoint'],
      ...[
        'provider register-models gpt-4',
        'provider set-meter 0x0101010101010101010101010101010101010101',
      ],
      ...['deploy --deployer 0x0505050505050505 --dry-run', 'flow add-keys --count 2'],
      ...['init --yes', 'credits show', 'vaults pause 7', 'receipts make 7', '--help'],
    ]
    const answers = new Set<number | null>()
    for (const command of commands) {
      const ran: Ran = await runCli(command.split(' '), { cwd, env })
      answers.add(ran.code)
      expect([command, foundIn(ran.stdout + ran.stderr)]).toEqual([command, []])
    }
    // Some work without a network, most do not.
    expect(answers.size).toBeGreaterThan(2)
  })

  test('settings that are wrong are told without their values', async () => {
    const wrong = Object.fromEntries(
      [...canaries.keys()].map((name) => [name, `${canaries.get(name)}!`]),
    )
    const ran = await runCli(['start'], { cwd, env: { ...env, ...wrong, PORT: 'x' } })
    expect([ran.code, foundIn(ran.stdout + ran.stderr)]).toEqual([78, []])
  })

  test('notices carry none, to whomever they are sent', async () => {
    const told = () => new Set(hooks().map(({ path }) => path.split('/')[2]))
    await until(async () => (told().size === 2 ? true : undefined))
    for (const { body } of hooks()) expect(foundIn(body)).toEqual([])
  })

  test('nothing of it was written down: store, log, signer file', async () => {
    daemon.kill('SIGTERM')
    await exited
    expect(foundIn(heard.stdout + heard.stderr)).toEqual([])
    expect(heard.stdout).toContain('flowmeter has stopped')
    // What was repeated came as far as the log, so that its search means something.
    expect(heard.stdout).toContain('[redacted]')
    expect(heard.stdout).toMatch(/source_refused|settler_unreachable|attestor_unreachable/)
    const isInput = (path: string) => /^(input-|\.env$|flowmeter\.config\.json$)/.test(path)
    const all = readdirSync(cwd, { recursive: true, encoding: 'utf8' })
    const written = all.filter((path) => statSync(join(cwd, path)).isFile())
    const own = written.filter((path) => !isInput(path))
    expect(own).toEqual(expect.arrayContaining(['store.sqlite', 'logs/connector.log']))
    for (const path of own) {
      expect([path, foundIn(readFileSync(join(cwd, path)))]).toEqual([path, []])
    }
  })
})

const hooks = () => echo.bodies.filter(({ path }) => path.startsWith('/hook/'))

/** Of a stream that does not end: its first part. */
async function firstOf(answer: Response): Promise<string> {
  const reader = answer.body?.getReader()
  const first = await reader?.read()
  await reader?.cancel()
  return Buffer.from(first?.value ?? []).toString()
}
