import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '../domain/errors.js'
import type { Status } from '../pipeline/status.js'
import { type Answered, showBudgets } from './demo-budgets.js'
import { makeReport, reportJson, reportLines } from './demo-report.js'
import type { DemoOptions } from './parts.js'

interface Surroundings {
  readonly print: (line: string) => void
  readonly signal: AbortSignal
}

type Devnet = Awaited<ReturnType<typeof loadDevnet>>
type Network = Awaited<ReturnType<Devnet['startDevnet']>>
type Progress = (line: string) => void

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url))
const KEPT_PORT = 3000
const SETTLED_MS_MAX = 240_000
const POLL_MS = 300
/** Of all requests to nodes, with `--faults`. */
const FAULT_RATE = 0.05
const ADMIN_TOKEN_BYTES = 24
const STOP_MS_MAX = 25_000

/**
 * The whole way on this machine: a local network of real engines, and the daemon as a process of its
 * own that speaks to it over the network, as in production. Of the network's code only its start and
 * its own, independent reckoning are used.
 *
 * @returns the exit code: 0 when everything came out right
 */
export async function runDemo(options: DemoOptions, surroundings: Surroundings): Promise<number> {
  const { print, signal } = surroundings
  const progress = progressOf(print)
  const dir = await mkdtemp(join(tmpdir(), 'flowmeter-demo-'))
  const devnet = await loadDevnet()
  const { faultSeed: seed } = options
  const faults = seed === undefined ? {} : { faults: { seed, rate: FAULT_RATE } }
  const network = await devnet.startDevnet({ dir, progress, ...faults })
  let daemon: Daemon | undefined
  try {
    await fillDirectory(network)
    const port = options.isKept ? KEPT_PORT : ((await devnet.freePorts(1))[0] ?? 0)
    const adminToken = randomBytes(ADMIN_TOKEN_BYTES).toString('hex')
    const more = options.isBudgets
      ? { ...devnet.switchBudgetsOn(network), ADMIN_TOKEN: adminToken }
      : {}
    daemon = startDaemon({ env: { ...network.env, ...more } }, port, dir)
    progress(`daemon: started as process ${daemon.child.pid}, ${daemon.url}/status`)
    await untilSettled(daemon, await devnet.reckon(network), progress, signal)
    const shown = options.isBudgets
      ? await showBudgets(stageOf({ devnet, network, daemon, adminToken, progress, signal }))
      : {}
    progress('LiteLLM: more calls, so that the totals go on')
    if (network.litellm)
      devnet.callAgain(
        network.litellm,
        devnet.DEVNET_USERS.map(({ user }) => user),
      )
    await sleep(1_000) // Until LiteLLM has written their rows.
    await untilSettled(daemon, await devnet.reckon(network), progress, signal)

    const report = makeReport(await statusOf(daemon.url), await devnet.reckon(network), shown)
    for (const line of reportLines(report)) print(line)
    if (network.proxies.length > 0) print(faultLine(network))
    if (options.isKept) {
      print(`Everything goes on running: ${daemon.url}/status. Ctrl-C ends it.`)
      await untilAborted(signal)
    }
    if (options.isJson) print(reportJson(report))
    return report.ok ? 0 : 1
  } finally {
    await daemon?.stop()
    await network.stop()
  }
}

/** @throws ConfigError outside a checkout: what is installed has no local network */
async function loadDevnet() {
  try {
    const network = await import('../../devnet/index.js')
    const { reckon } = await import('../../devnet/reckoning.js')
    const { callAgain } = await import('../../devnet/more-calls.js')
    const { DEVNET_USERS } = await import('../../devnet/users.js')
    const { freePorts } = await import('../../devnet/ports.js')
    const { switchBudgetsOn, depositInto } = await import('../../devnet/budgets.js')
    const { startDevnet } = network
    const parts = { startDevnet, reckon, callAgain, DEVNET_USERS, freePorts }
    return { ...parts, switchBudgetsOn, depositInto }
  } catch (error) {
    if (!isModuleMissing(error)) throw error
    throw new ConfigError(
      'no_devnet',
      'The demo needs a checkout of Flowmeter with its development packages: clone the ' +
        'repository, then npm ci && npm run demo.',
    )
  }
}

function isModuleMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
}

interface StageParts {
  readonly devnet: Devnet
  readonly network: Network
  readonly daemon: Daemon
  readonly adminToken: string
  readonly progress: Progress
  readonly signal: AbortSignal
}

/** Where a vault runs dry: one that the prefix of its user names. */
function stageOf({ devnet, network, daemon, adminToken, progress, signal }: StageParts) {
  const { litellm, vaults } = network
  const vault = vaults.find(({ strategy }) => strategy === 'prefix')
  if (litellm === undefined || vault === undefined) throw new Error('there is no key to show')
  const { number, user } = vault
  return {
    ...{ daemonUrl: daemon.url, adminToken, account: `${number}`, user, progress, signal },
    ask: (key: string) => askModel(litellm.url, key),
    burn: (key: string, tokens: number) =>
      litellm.call({ key, model: 'gpt-4o', promptTokens: tokens, durationMs: 500 }),
    deposit: (flow: string) => devnet.depositInto(network, number, flow),
  }
}

async function askModel(url: string, key: string): Promise<Answered> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'hello' }] }),
  })
  const { error } = (await answer.json()) as { error?: { message?: string } }
  return { status: answer.status, message: error?.message ?? '' }
}

interface Daemon {
  readonly url: string
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  stop(): Promise<void>
}

function startDaemon({ env }: Pick<Network, 'env'>, port: number, dir: string): Daemon {
  const child = spawn(process.execPath, [MAIN, 'start'], {
    cwd: dir,
    env: { ...plainEnvironment(), ...env, HOST: '127.0.0.1', PORT: String(port) },
    // Its log is in the folder; what it says while dying is for us.
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    const patience = new AbortController()
    const late = sleep(STOP_MS_MAX, undefined, { signal: patience.signal }).catch(() => {})
    await Promise.race([exited, late])
    patience.abort()
    child.kill('SIGKILL')
  }
  return { url: `http://127.0.0.1:${port}`, child, exited, stop }
}

/** Of our own environment only what any program needs: no setting of another daemon. */
function plainEnvironment(): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env
  return { PATH, HOME }
}

async function fillDirectory({ vaults, env }: Network): Promise<void> {
  const { withDirectory } = await import('./tools.js')
  for (const { user, number, strategy } of vaults) {
    if (strategy !== 'directory') continue
    await withDirectory(env, tmpdir(), (directory) => directory.set(user, number as never))
  }
}

/** Waits until every billable row with a vault is in a batch and every batch is settled. */
async function untilSettled(
  daemon: Daemon,
  { billableRows }: { readonly billableRows: number },
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + SETTLED_MS_MAX
  const told = new Set<string>()
  let ended: number | null | undefined
  void daemon.exited.then((code) => {
    ended = code
  })
  while (performance.now() < deadline && !signal.aborted) {
    if (ended !== undefined) throw new Error(`the daemon ended with exit code ${ended}`)
    const status = await statusOf(daemon.url).catch(() => undefined)
    if (status !== undefined) {
      tellBatches(status, told, progress)
      if (isSettled(status, billableRows)) return
    }
    await sleep(POLL_MS)
  }
  signal.throwIfAborted()
  const { backlog, parked, sources } = await statusOf(daemon.url)
  throw new Error(
    `not settled after ${SETTLED_MS_MAX / 1000} s: ${JSON.stringify({ backlog, parked, sources })}`,
  )
}

function isSettled({ records, batches, conservation }: Status, billableRows: number): boolean {
  const isDone = batches.length > 0 && batches.every(({ state }) => state === 'settled')
  return isDone && records.sealed >= billableRows && conservation !== undefined
}

function tellBatches({ batches }: Status, told: Set<string>, progress: Progress): void {
  for (const { seq, state, entries, round } of [...batches].reverse()) {
    const line = `batch ${seq}: ${state}, ${entries} entries${round === undefined ? '' : `, round ${round}`}`
    if (told.has(`${seq}/${state}`)) continue
    told.add(`${seq}/${state}`)
    progress(line)
  }
}

async function statusOf(url: string): Promise<Status> {
  const answer = await fetch(`${url}/status`)
  return (await answer.json()) as Status
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function progressOf(print: (line: string) => void): Progress {
  const startedAt = performance.now()
  return (line) => {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    print(`[${seconds.padStart(5)} s] ${line}`)
  }
}

/** How often which fault struck. */
function faultLine({ proxies }: Network): string {
  const counts = new Map<string, number>()
  for (const [kind, count] of proxies.flatMap(({ struck }) => [...struck])) {
    counts.set(kind, (counts.get(kind) ?? 0) + count)
  }
  const told = [...counts].toSorted().map(([kind, count]) => `${kind} ${count}`)
  return `faults of the nodes: ${told.join(', ')}`
}
