import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const STOP_MS_MAX = 10_000
const READY_POLL_MS = 50
const LOG_TAIL_LINES = 15

export interface ServiceParts {
  /** For messages. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Added to this process's own environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Standard output and error are appended here. */
  readonly logFile: string
  /** Asked again and again until it says true; a throw counts as false. */
  readonly isReady: (signal: AbortSignal) => Promise<boolean>
  readonly readyMsMax: number
  /** How long it gets to end after SIGTERM before it is killed; 10 s if not given. */
  readonly stopMsMax?: number
  /** Called as soon as the process has its id, before it is ready. */
  readonly onSpawn?: (pid: number) => void
}

/** A child process that is ready for use. */
export interface Service {
  readonly pid: number
  /** Settles when the process is gone, whoever ended it. Never rejects. */
  readonly exited: Promise<string>
  isRunning(): boolean
  /** Asks it to end (SIGTERM), kills it if it does not, and waits until it is gone. */
  stop(): Promise<void>
  /** Ends it as a crash would (SIGKILL), and waits until it is gone. */
  kill9(): Promise<void>
}

/** Children end with this process. (After a kill -9 of ours, a closed stdin tells those that watch
 * it.) */
const running = new Set<ChildProcess>()
let isExitWatched = false

/**
 * Starts a process and waits until it is ready.
 *
 * Its standard input is a pipe that stays open until this process is gone.
 *
 * @throws Error with the end of its log when it exits first or is not ready in `readyMsMax`; it is
 * gone by then.
 */
export async function startService(parts: ServiceParts): Promise<Service> {
  mkdirSync(dirname(parts.logFile), { recursive: true })
  const log = openSync(parts.logFile, 'a')
  const child = spawn(parts.command, [...parts.args], {
    cwd: parts.cwd,
    env: { ...process.env, ...parts.env },
    stdio: ['pipe', log, log],
  })
  closeSync(log)
  watch(child)
  const exited = exitOf(child)
  if (child.pid === undefined) throw new Error(`${parts.name} did not start: ${await exited}`)
  parts.onSpawn?.(child.pid)
  const service = serviceOf(child, child.pid, exited, parts.stopMsMax ?? STOP_MS_MAX)
  try {
    await untilReady(parts, service)
  } catch (error) {
    await service.kill9()
    throw error
  }
  return service
}

function serviceOf(
  child: ChildProcess,
  pid: number,
  exited: Promise<string>,
  stopMsMax: number,
): Service {
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null
  return {
    pid,
    exited,
    isRunning,
    async stop() {
      child.kill('SIGTERM')
      const patience = new AbortController()
      const late = sleep(stopMsMax, undefined, { signal: patience.signal }).catch(() => {})
      await Promise.race([exited, late])
      patience.abort()
      if (isRunning()) child.kill('SIGKILL')
      await exited
    },
    async kill9() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function untilReady(parts: ServiceParts, service: Service): Promise<void> {
  const deadlineMs = performance.now() + parts.readyMsMax
  while (service.isRunning()) {
    if (await parts.isReady(AbortSignal.timeout(2_000)).catch(() => false)) return
    if (performance.now() > deadlineMs) {
      const waited = `was not ready after ${parts.readyMsMax} ms`
      throw new Error(`${parts.name} ${waited}\n${logTail(parts.logFile)}`)
    }
    await sleep(READY_POLL_MS)
  }
  const how = await service.exited
  throw new Error(`${parts.name} ended before it was ready: ${how}\n${logTail(parts.logFile)}`)
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })
}

function watch(child: ChildProcess): void {
  running.add(child)
  child.once('exit', () => running.delete(child))
  child.once('error', () => running.delete(child))
  child.stdin?.on('error', () => {}) // It is never written to; a closed pipe is no news.
  if (isExitWatched) return
  isExitWatched = true
  process.on('exit', () => {
    for (const left of running) left.kill('SIGKILL')
  })
}

function logTail(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')
}
