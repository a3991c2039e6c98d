import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '../ports.js'
import { type Service, startService } from '../process.js'
import { findEmulator } from './binary.js'
import { FlowClient } from './client.js'
import { takeLock } from './lock-file.js'

/** Measured: 1 to 3 s on two cores; a busy machine takes several times that. */
const READY_MS_MAX = 60_000
/** A port may be taken between our look and the emulator's. */
const START_TRIES_MAX = 3

export interface EmulatorParts {
  /** Holds the chain (`chain/`), the log and the lock. Made if it is not there. */
  readonly dir: string
  /** Time between blocks. 200 in tests costs a third of a core; 1000 in a devnet left running 8 %.
   * 0: a block for each transaction, at once. */
  readonly blockTimeMs: number
  /** Units that one transaction may ask for; 9999, as on the real networks, if not given. */
  readonly transactionUnitsMax?: number
  /** Counts which statements of contracts were run: `GET /emulator/codeCoverage` on the admin port. */
  readonly countsCoverage?: boolean
  /** Lines about what is going on, for a person who waits: a first build takes minutes. */
  readonly log?: (line: string) => void
  /** Takes the Flow CLI's emulator rather than build our own; its block time cannot be moved. */
  readonly acceptsFlowCli?: boolean
}

/** A running Flow emulator with fees, 600 blocks of transaction expiry and persistent state. */
export interface Emulator {
  readonly restUrl: string
  readonly adminUrl: string
  readonly dir: string
  readonly logFile: string
  readonly pid: number
  /** A client of this emulator. */
  readonly client: FlowClient
  readonly exited: Promise<string>
  stop(): Promise<void>
  /** Ends it as a crash would. Its state is safe; transactions not yet in a block are lost. */
  kill9(): Promise<void>
}

/**
 * Starts the emulator on the chain in `dir`, a new one if there is none, and waits until it
 * answers. Start it again with the same `dir` to go on where it stopped.
 *
 * @throws Error when another process has this `dir` open: a second emulator on one database
 * stops the first one's blocks for ever.
 */
export async function startEmulator(parts: EmulatorParts): Promise<Emulator> {
  const program = await findEmulator(parts)
  mkdirSync(parts.dir, { recursive: true })
  const lockPath = join(parts.dir, 'emulator.lock')
  const lock = takeLock(lockPath)
  if ('heldBy' in lock) {
    const fix = `Stop it first. (If ${lock.heldBy} is no emulator, delete ${lockPath}.)`
    throw new Error(`process ${lock.heldBy} has the chain in ${parts.dir} open. ${fix}`)
  }
  try {
    const started = await startOnFreePorts(parts, program, (pid) => lock.handTo(pid))
    const emulator = emulatorOf(parts.dir, started)
    void started.service.exited.then(() => lock.release())
    await emulator.client.setFeeParameters().catch(async (error: unknown) => {
      await emulator.kill9()
      throw error
    })
    return emulator
  } catch (error) {
    lock.release()
    throw error
  }
}

interface Started {
  readonly service: Service
  readonly restPort: number
  readonly adminPort: number
}

async function startOnFreePorts(
  parts: EmulatorParts,
  program: readonly [string, ...string[]],
  onSpawn: (pid: number) => void,
): Promise<Started> {
  const [command, ...firstArgs] = program
  for (let tries = 1; ; tries += 1) {
    const [grpcPort = 0, restPort = 0, adminPort = 0] = await freePorts(3)
    const ports = { grpcPort, restPort, adminPort }
    try {
      const service = await startService({
        name: 'flow emulator',
        command,
        args: [...firstArgs, ...flags(parts, ports)],
        env: { FLOW_EMULATOR_ENDS_WITH_STDIN: '1' },
        cwd: parts.dir,
        logFile: logFileOf(parts.dir),
        isReady: (signal) => isReady(restPort, adminPort, signal),
        readyMsMax: READY_MS_MAX,
        onSpawn,
      })
      return { service, restPort, adminPort }
    } catch (error) {
      if (tries === START_TRIES_MAX) throw error
      parts.log?.(`starting the Flow emulator again: ${String(error).split('\n')[0]}`)
    }
  }
}

function flags(parts: EmulatorParts, ports: Record<string, number>): string[] {
  return [
    ...['--host', '127.0.0.1'],
    ...['--port', String(ports.grpcPort)],
    ...['--rest-port', String(ports.restPort)],
    ...['--admin-port', String(ports.adminPort)],
    ...['--debugger-port', '0'], // None in our emulator; any free one in the Flow CLI's.
    ...['--block-time', `${parts.blockTimeMs}ms`],
    ...['--transaction-max-compute-limit', String(parts.transactionUnitsMax ?? 9_999)],
    ...(parts.countsCoverage ? ['--coverage-reporting'] : []),
    ...['--transaction-expiry', '600'], // As on the real networks; the emulator's default is 10.
    '--transaction-fees',
    '--setup-vm-bridge=false', // Takes seconds at the first start, and nothing here uses it.
    '--persist',
    ...['--dbpath', join(parts.dir, 'chain')],
  ]
}

/** `GET /live` on the admin port, and a sealed block over REST. */
async function isReady(restPort: number, adminPort: number, signal: AbortSignal): Promise<boolean> {
  const live = await fetch(`http://127.0.0.1:${adminPort}/live`, { signal })
  if (!live.ok) return false
  const blocks = await fetch(`http://127.0.0.1:${restPort}/v1/blocks?height=sealed`, { signal })
  return blocks.ok
}

function emulatorOf(dir: string, { service, restPort, adminPort }: Started): Emulator {
  const restUrl = `http://127.0.0.1:${restPort}`
  return {
    restUrl,
    adminUrl: `http://127.0.0.1:${adminPort}`,
    dir,
    logFile: logFileOf(dir),
    pid: service.pid,
    client: new FlowClient({ restUrl }),
    exited: service.exited,
    stop: () => service.stop(),
    kill9: () => service.kill9(),
  }
}

function logFileOf(dir: string): string {
  return join(dir, 'emulator.log')
}
