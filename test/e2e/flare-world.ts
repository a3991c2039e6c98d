import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RpcProxy, startRpcProxy } from '../../devnet/faults.js'
import { Chain } from '../../devnet/flare/chain.js'
import { type Devnet, type DevnetOptions, startDevnet } from '../../devnet/index.js'
import { callAgain } from '../../devnet/more-calls.js'
import { freePorts } from '../../devnet/ports.js'
import { type Reckoning, reckon } from '../../devnet/reckoning.js'
import { DEVNET_USERS } from '../../devnet/users.js'
import type { BatchStatus, Status } from '../../src/pipeline/status.js'
import type { Store } from '../../src/ports/stores.js'
import { systemClock } from '../../src/runtime/clock.js'
import { openStore } from '../../src/store/index.js'
import { PATIENCE_MS } from '../support/patience.js'

const MAIN = resolve(import.meta.dirname, '../../dist/src/main.js')
const POLL_MS = 100
/** A batch that was parked while a later one says the same is superseded. */
const ENDS: readonly string[] = ['settled', 'superseded', 'parked']

/** A whole local network, the daemon as a process of its own, and nodes between that can lie. */
export interface FlareWorld {
  readonly network: Devnet
  /** What the daemon asks, in this order. Both show the same chain. */
  readonly nodes: readonly [RpcProxy, RpcProxy]
  readonly chain: Chain
  /** The daemon's store, opened beside it to look at. */
  readonly store: Store
  readonly log: () => string
  status(): Promise<Status>
  /** Workers that fail at present, with the reason. */
  problems(): Promise<Readonly<Record<string, string>>>
  metrics(): Promise<string>
  /** More usage for every user, so that another batch is sealed. */
  use(): void
  /** Polls until it holds; fails with the status when it never does. */
  until<Found>(what: string, look: () => Promise<Found | undefined>): Promise<Found>
  /** The newest batch once it is in one of these states. */
  batchIn(...states: readonly string[]): Promise<BatchStatus>
  /** Everything that was used is settled, or parked. Returns both reckonings. */
  settled(): Promise<{ readonly status: Status; readonly reckoning: Reckoning }>
  /** A new process of the daemon, after the one before was killed as by a power cut. */
  restart(): Promise<void>
  /** Kills the daemon, and leaves it so until `restart`. */
  kill(): Promise<void>
  /** Time passes on Flare until so many more reward epochs have a policy. */
  passEpochs(count: number): Promise<void>
  /** What the daemon was started with, for commands beside it. */
  readonly env: Readonly<Record<string, string>>
  readonly dir: string
  stop(): Promise<void>
}

/** Flare has 90. With one, a machine that is busy falls behind for ever. */
const ROUND_SECONDS = 2

/** @param options of the network */
export async function startFlareWorld(options: Partial<DevnetOptions> = {}): Promise<FlareWorld> {
  if (!existsSync(MAIN)) throw new Error(`${MAIN} is not there: npm run build`)
  const dir = mkdtempSync(join(tmpdir(), 'flowmeter-flare-'))
  const network = await startDevnet({
    ...{ dir, progress: () => {}, calls: 60, roundSeconds: ROUND_SECONDS },
    ...options,
  })
  const [first, second] = [
    await startRpcProxy(network.flare.rpcUrl),
    await startRpcProxy(network.flare.rpcUrl),
  ] as const
  const [port = 0] = await freePorts(1)
  const env = {
    ...network.env,
    FLARE_ENDPOINT: `${first.url},${second.url}`,
    // A busy machine is late with a root, and no second request is to be paid for that.
    FLARE_MISSED_AFTER_ROUNDS: '16',
    FLARE_STUCK_AFTER: '3000',
    FLARE_REGISTRY_REFRESH: '1000',
    FLARE_REQUEST_TIMEOUT_MS: '5000',
    FLARE_VERIFIER_PATIENCE: '5000',
    // Nothing here is about waiting for the next batch.
    POLL_INTERVAL: '1000',
    SETTLE_DELAY: '500',
    SEAL_INTERVAL: '1000',
    HOST: '127.0.0.1',
    PORT: String(port),
  }
  const store = openStore(join(dir, 'flowmeter.sqlite'), systemClock)
  await store.migrate()
  for (const { user, number, strategy } of network.vaults) {
    if (strategy === 'directory') await store.directory.set(user, number as never)
  }
  const end = new AbortController()
  const world = new World({ network, nodes: [first, second], dir, env, port, store }, end)
  await world.start()
  return world
}

interface Parts {
  readonly network: Devnet
  readonly nodes: readonly [RpcProxy, RpcProxy]
  readonly dir: string
  readonly env: Readonly<Record<string, string>>
  readonly port: number
  readonly store: Store
}

class World implements FlareWorld {
  readonly network: Devnet
  readonly nodes: readonly [RpcProxy, RpcProxy]
  readonly chain: Chain
  readonly store: Store
  readonly env: Parts['env']
  readonly dir: string
  readonly #parts: Parts
  readonly #end: AbortController
  #daemon: ReturnType<typeof spawn> | undefined

  constructor(parts: Parts, end: AbortController) {
    this.#parts = parts
    this.#end = end
    this.network = parts.network
    this.nodes = parts.nodes
    this.store = parts.store
    this.env = parts.env
    this.dir = parts.dir
    this.chain = new Chain(parts.network.flare.rpcUrl, end.signal)
  }

  async start(): Promise<void> {
    const { PATH = '', HOME = '' } = process.env
    const { dir, env } = this.#parts
    this.#daemon = spawn(process.execPath, [MAIN, 'start'], {
      cwd: dir,
      env: { PATH, HOME, ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    await this.until('the daemon to answer', () => this.status().catch(() => undefined))
  }

  log(): string {
    const { LOG_FILE = '' } = this.#parts.env
    return existsSync(LOG_FILE) ? readFileSync(LOG_FILE, 'utf8') : ''
  }

  async status(): Promise<Status> {
    return (await (await this.#get('/status')).json()) as Status
  }

  async problems(): Promise<Readonly<Record<string, string>>> {
    const { workers } = (await (await this.#get('/ready')).json()) as {
      workers: Record<string, { ok: boolean; why?: string }>
    }
    return Object.fromEntries(
      Object.entries(workers).flatMap(([name, { ok, why }]) => (ok ? [] : [[name, why ?? '']])),
    )
  }

  async metrics(): Promise<string> {
    return (await this.#get('/metrics')).text()
  }

  use(): void {
    const { litellm } = this.network
    if (litellm === undefined) throw new Error('there is no LiteLLM')
    callAgain(
      litellm,
      DEVNET_USERS.map(({ user }) => user),
    )
  }

  async until<Found>(what: string, look: () => Promise<Found | undefined>): Promise<Found> {
    const deadlineMs = performance.now() + PATIENCE_MS
    for (;;) {
      // Killed by us, it has a signal instead.
      const { exitCode } = this.#daemon ?? {}
      if (typeof exitCode === 'number') throw new Error(`the daemon ended with ${exitCode}`)
      const found = await look()
      if (found !== undefined) return found
      if (performance.now() > deadlineMs)
        throw new Error(`waited for ${what}: ${await this.#story()}`)
      await sleep(POLL_MS)
    }
  }

  batchIn(...states: readonly string[]): Promise<BatchStatus> {
    return this.until(`a batch that is ${states.join(' or ')}`, async () => {
      const [newest] = (await this.status()).batches
      return newest !== undefined && states.includes(newest.state) ? newest : undefined
    })
  }

  async settled(): Promise<{ readonly status: Status; readonly reckoning: Reckoning }> {
    const { billableRows } = await reckon(this.network)
    const status = await this.until('all to be settled', async () => {
      const seen = await this.status()
      const isDone = seen.batches.every(({ state }) => ENDS.includes(state))
      const isAll = isDone && seen.records.sealed >= billableRows
      return isAll && seen.conservation !== undefined && isFresh(seen) ? seen : undefined
    })
    return { status, reckoning: await reckon(this.network) }
  }

  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  /** The chain's clock is set forward: by an epoch whenever the next policy is there. */
  async passEpochs(count: number): Promise<void> {
    const { params, lastPolicy } = this.network.flare
    const seconds = params.rewardEpochDurationInVotingEpochs * params.votingEpochDurationSeconds
    for (let passed = 0; passed < count; passed += 1) {
      const { rewardEpochId } = lastPolicy()
      await this.chain.rpc('evm_increaseTime', [seconds])
      await this.until('the next policy', async () =>
        lastPolicy().rewardEpochId > rewardEpochId ? true : undefined,
      )
    }
  }

  async stop(): Promise<void> {
    await this.kill()
    this.#end.abort()
    await this.#parts.store.close()
    for (const node of this.nodes) await node.stop()
    await this.network.stop()
    rmSync(this.#parts.dir, { recursive: true, force: true })
  }

  async kill(): Promise<void> {
    const daemon = this.#daemon
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
    const gone = once(daemon, 'exit')
    daemon.kill('SIGKILL')
    await gone
  }

  #get(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#parts.port}${path}`)
  }

  async #story(): Promise<string> {
    const { backlog, batches, parked, transactions, conservation } = await this.status()
    const problems = await this.problems()
    // With the rounds that missed: they are in no status.
    const lives = (await this.store.batches.newest(3)).map(({ header, life }) => [header.seq, life])
    const shown = { backlog, batches: batches.slice(0, 3), parked, problems, conservation, lives }
    const tail = this.log().trim().split('\n').slice(-10).join('\n')
    const all = { ...shown, transactions: transactions.slice(0, 6) }
    return `${JSON.stringify(all, (_, value) => (typeof value === 'bigint' ? `${value}` : value))}\n${tail}`
  }
}

/**
 * The checks were made after the last batch was settled. Read while a settlement lands, two of Flow's
 * answers may be of different blocks; the next look, which follows at once, says what is true.
 */
function isFresh({ conservation, lastSettled }: Status): boolean {
  if (conservation === undefined || (lastSettled?.at ?? '') > conservation.at) return false
  return Object.values(conservation.checks).every((one) => one === '0')
}
