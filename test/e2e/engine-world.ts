import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultProxy, type Proxied, startFaultProxy } from '../../devnet/fault-proxy.js'
import { FlowClient } from '../../devnet/flow/client.js'
import { startEmulator } from '../../devnet/flow/emulator.js'
import { type Devnet, type DevnetOptions, startDevnet } from '../../devnet/index.js'
import { callAgain } from '../../devnet/more-calls.js'
import { reckon } from '../../devnet/reckoning.js'
import { DEVNET_USERS } from '../../devnet/users.js'
import type { Status } from '../../src/pipeline/status.js'
import { type Ran, runCli } from '../cli/run-cli.js'
import { DaemonProcess } from '../support/daemon-process.js'
import { PATIENCE_MS } from '../support/patience.js'

const POLL_MS = 50
/** A case waits for whole batches: what lies between their steps is kept short. */
export const QUICK = {
  POLL_INTERVAL: '300',
  SETTLE_DELAY: '200',
  SEAL_INTERVAL: '1000',
  WORKER_INTERVAL: '100',
}
/** What is void, or was adopted, is stated by a later batch. */
const ENDS: readonly string[] = ['settled', 'superseded']
const COMMAND_REQUEST_MS_MAX = '30000'

/** What the test does to a request: nothing, or hold it until `release`. */
export interface Hold {
  /** Comes true when such a request has come, and is held. */
  readonly caught: Promise<Proxied>
  /** It is lost, and later ones go through. */
  release(): void
}

/** A whole local network, the daemon as a process, and a proxy before each chain. */
export class EngineWorld {
  readonly dir: string
  readonly flare: FaultProxy
  readonly flow: FaultProxy
  network: Devnet
  daemon: DaemonProcess

  private constructor(parts: Pick<EngineWorld, 'dir' | 'flare' | 'flow' | 'network' | 'daemon'>) {
    this.dir = parts.dir
    this.flare = parts.flare
    this.flow = parts.flow
    this.network = parts.network
    this.daemon = parts.daemon
  }

  /** @param options of the network */
  static async start(options: Partial<DevnetOptions> = {}): Promise<EngineWorld> {
    const dir = mkdtempSync(join(tmpdir(), 'flowmeter-engines-'))
    const started = await startDevnet({
      ...{ dir, progress: () => {}, calls: 60, roundSeconds: 2 },
      ...options,
    })
    const flare = await startFaultProxy(started.flare.rpcUrl)
    const flow = await startFaultProxy(started.flow.emulator.restUrl)
    const env = {
      ...started.env,
      FLARE_ENDPOINT: flare.url,
      FLOW_ACCESS_NODE: flow.url,
      FLARE_REQUEST_TIMEOUT_MS: '2000',
      FLOW_REQUEST_TIMEOUT_MS: '2000',
      FLARE_STUCK_AFTER: '3000',
      ...QUICK,
    }
    const network = { ...started, env }
    const daemon = await DaemonProcess.start(env, dir)
    for (const { user, number, strategy } of network.vaults) {
      if (strategy === 'directory') await daemon.setDirectory(user, number)
    }
    return new EngineWorld({ dir, flare, flow, network, daemon })
  }

  /** More usage for every user, so that another batch is sealed. */
  use(): void {
    const { litellm } = this.network
    if (litellm === undefined) throw new Error('there is no LiteLLM')
    callAgain(
      litellm,
      DEVNET_USERS.map(({ user }) => user),
    )
  }

  /** A process on the same store. @param more settings of the process alone */
  async restart(more: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.daemon.kill9()
    this.daemon = await DaemonProcess.start({ ...this.network.env, ...more }, this.dir)
  }

  /** A command of the built program beside the daemon. @param more settings of the command alone */
  run(args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Ran> {
    const { env: daemons, flare, flow } = this.network
    const env = {
      ...daemons,
      ...more,
      ...{ HOST: '127.0.0.1', PORT: '0' },
      // It asks the nodes themselves, and once: the daemon, which tries again, has short limits.
      FLARE_ENDPOINT: flare.rpcUrl,
      FLOW_ACCESS_NODE: flow.emulator.restUrl,
      FLARE_REQUEST_TIMEOUT_MS: COMMAND_REQUEST_MS_MAX,
      FLOW_REQUEST_TIMEOUT_MS: COMMAND_REQUEST_MS_MAX,
    }
    return runCli(args, { cwd: this.dir, env })
  }

  /** Polls the status until it holds. */
  async until(
    what: string,
    holds: (status: Status) => boolean | Promise<boolean>,
  ): Promise<Status> {
    const deadline = performance.now() + PATIENCE_MS
    let last: Status | undefined
    while (performance.now() < deadline) {
      const status = await this.daemon.status()
      if (status !== undefined && (await holds(status))) return status
      last = status ?? last
      await sleep(POLL_MS)
    }
    const { backlog, parked, batches, transactions } = last ?? {}
    const shown = { backlog, parked, batches: batches?.slice(0, 3), tx: transactions?.slice(0, 6) }
    throw new Error(`waited for ${what}: ${JSON.stringify(shown)}`)
  }

  /** The codes of what the workers fail with at present. */
  async problems(): Promise<string> {
    try {
      return await (await fetch(`${this.daemon.url}/ready`)).text()
    } catch {
      return ''
    }
  }

  /** Everything that was used is settled. Returns what differs, which must be nothing. */
  async differences(): Promise<Readonly<Record<string, unknown>>> {
    const { billableRows } = await reckon(this.network)
    const status = await this.until('all to be settled', ({ records, batches, ...seen }) => {
      const isDone = batches.length > 0 && batches.every(({ state }) => ENDS.includes(state))
      const { conservation, lastSettled } = seen
      const isChecked = conservation !== undefined && conservation.at >= (lastSettled?.at ?? '')
      const isZero = Object.values(conservation?.checks ?? {}).every((value) => value === '0')
      return isDone && records.sealed >= billableRows && isChecked && isZero
    })
    const { checks, vaults } = await reckon(this.network)
    const all = {
      ...status.conservation?.checks,
      ...checks,
      rows_not_settled: billableRows - status.records.sealed,
      parked: status.parked.length,
      refused_entries: status.refusedEntries,
      ...Object.fromEntries(
        vaults.map(({ user, charged, expected }) => [`charge of ${user}`, charged - expected]),
      ),
    }
    return Object.fromEntries(Object.entries(all).filter(([, value]) => String(value) !== '0'))
  }

  /** Catches the next requests of a kind before the server has seen them. */
  hold(proxy: FaultProxy, isMeant: (request: Proxied) => boolean): Hold {
    let release = (): void => {}
    const until = new Promise<void>((resolve) => {
      release = resolve
    })
    const caught = new Promise<Proxied>((resolve) => {
      proxy.faultOf = (request) => {
        if (!isMeant(request)) return undefined
        resolve(request)
        return { kind: 'held', until }
      }
    })
    return {
      caught,
      release: () => {
        proxy.faultOf = () => undefined
        release()
      },
    }
  }

  /** Comes true when a request of a kind has come. It goes through. */
  seen(proxy: FaultProxy, isMeant: (request: Proxied) => boolean): Promise<Proxied> {
    return new Promise((resolve) => {
      proxy.faultOf = (request) => {
        if (isMeant(request)) {
          proxy.faultOf = () => undefined
          resolve(request)
        }
        return undefined
      }
    })
  }

  /** The emulator dies as by a power cut and begins again on its files, at another port. */
  async restartEmulator(): Promise<void> {
    const { flow } = this.network
    await flow.emulator.kill9()
    const emulator = await startEmulator({ dir: flow.emulator.dir, blockTimeMs: 200 })
    const { imports } = flow.client
    const client = new FlowClient({ restUrl: emulator.restUrl, imports })
    this.network = { ...this.network, flow: { ...flow, emulator, client } }
    this.flow.aim(emulator.restUrl)
  }

  async stop(): Promise<void> {
    await this.daemon.kill9()
    await this.flare.stop()
    await this.flow.stop()
    await this.network.flow.emulator.stop()
    await this.network.stop()
    rmSync(this.dir, { recursive: true, force: true })
  }
}
