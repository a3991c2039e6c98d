import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePorts } from '../../devnet/ports.js'
import type { Status } from '../../src/pipeline/status.js'
import { PATIENCE_MS } from './patience.js'

const MAIN = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url))
const POLL_MS = 50

type Environment = Readonly<Record<string, string>>

/** The built daemon as operators run it: a process of its own. `npm test` builds it first. */
export class DaemonProcess {
  readonly #child: ChildProcess
  readonly #url: string
  readonly #env: Environment
  readonly #dir: string
  readonly exited: Promise<number | null>

  private constructor(child: ChildProcess, url: string, env: Environment, dir: string) {
    this.#child = child
    this.#url = url
    this.#env = env
    this.#dir = dir
    this.exited = new Promise((resolve) => child.once('exit', resolve))
  }

  /** Returns when its HTTP server answers. */
  static async start(env: Environment, dir: string): Promise<DaemonProcess> {
    const [port = 0] = await freePorts(1)
    const whole = { PATH: process.env.PATH ?? '', ...env, HOST: '127.0.0.1', PORT: String(port) }
    const child = spawn(process.execPath, [MAIN, 'start'], {
      cwd: dir,
      env: whole,
      stdio: 'ignore',
    })
    const daemon = new DaemonProcess(child, `http://127.0.0.1:${port}`, whole, dir)
    const deadline = performance.now() + PATIENCE_MS
    while ((await daemon.status()) === undefined) {
      if (child.exitCode !== null || performance.now() > deadline) {
        throw new Error(`the daemon did not start; see ${join(dir, 'connector.log')}`)
      }
      await sleep(POLL_MS)
    }
    return daemon
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get url(): string {
    return this.#url
  }

  /** Undefined while it does not answer. */
  async status(): Promise<Status | undefined> {
    try {
      return (await (await fetch(`${this.#url}/status`)).json()) as Status
    } catch {
      return undefined
    }
  }

  /** The status once its checks are newer than its last settled batch. */
  async untilChecked(): Promise<Status> {
    const deadline = performance.now() + PATIENCE_MS
    for (;;) {
      const status = await this.status()
      const settledAt = status?.lastSettled?.at ?? ''
      if (status?.conservation !== undefined && status.conservation.at >= settledAt) return status
      if (performance.now() > deadline) throw new Error('the checks were not made')
      await sleep(POLL_MS)
    }
  }

  async setDirectory(payer: string, account: bigint): Promise<void> {
    const args = [MAIN, 'directory', 'set', payer, account.toString()]
    await promisify(execFile)(process.execPath, args, { cwd: this.#dir, env: this.#env })
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.exited
  }

  async kill9(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.exited
  }
}
