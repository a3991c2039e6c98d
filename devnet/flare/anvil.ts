import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { HDNodeWallet, Mnemonic } from 'ethers'
import { freePorts } from '../ports.js'
import { type Service, startService } from '../process.js'

/** Coston2's. */
export const CHAIN_ID = 114
/** The test phrase that everybody knows. Its keys hold nothing anywhere else. */
const PHRASE = 'test test test test test test test test test test test junk'
const ACCOUNTS = 12
const BALANCE = 1_000_000
/** Measured: a tenth of a second; a busy machine takes a hundred times that. */
const READY_MS_MAX = 60_000
/** A port may be taken between our look and anvil's. */
const START_TRIES_MAX = 3
/** Old states are not kept: at a block a second they would fill the memory within a day. */
const STATES_MAX = 600
/** Nor old blocks and receipts: about 35 KB a transaction, measured on anvil 1.7.1. */
const BLOCKS_MAX = 10_000

export interface Account {
  readonly address: string
  readonly privateKey: string
}

export interface Anvil {
  readonly rpcUrl: string
  readonly pid: number
  readonly logFile: string
  /** Funded and unlocked. */
  readonly accounts: readonly Account[]
  readonly exited: Promise<string>
  /**
   * The node dies as by a power cut and begins again at the same place, with the blocks it had: what
   * waited for a block is gone. Nobody may ask it meanwhile.
   */
  restart(): Promise<void>
  stop(): Promise<void>
}

/**
 * Starts a fresh anvil with Coston2's chain id. It mines on every transaction until it is told
 * otherwise.
 *
 * @param dir gets the log.
 */
export async function startAnvil(dir: string): Promise<Anvil> {
  mkdirSync(dir, { recursive: true })
  const logFile = join(dir, 'anvil.log')
  for (let tries = 1; ; tries += 1) {
    const [port = 0] = await freePorts(1)
    try {
      return anvilOf(port, dir, await startOn(port, logFile))
    } catch (error) {
      if (tries === START_TRIES_MAX) throw error
    }
  }
}

function anvilOf(port: number, dir: string, first: Service): Anvil {
  const logFile = join(dir, 'anvil.log')
  let service = first
  let unguard = endWithUs(service.pid)
  return {
    rpcUrl: urlOf(port),
    get pid() {
      return service.pid
    },
    logFile,
    accounts: accounts(),
    get exited() {
      return service.exited
    },
    async restart() {
      const state = join(dir, 'state.json')
      // No block of the old node may come after what it says it has.
      await ask(port, 'evm_setIntervalMining', [0])
      writeFileSync(
        state,
        gunzipSync(Buffer.from((await ask(port, 'anvil_dumpState')).slice(2), 'hex')),
      )
      unguard()
      await service.kill9()
      service = await startOn(port, logFile, ['--load-state', state])
      unguard = endWithUs(service.pid)
    },
    async stop() {
      unguard()
      await service.stop()
    },
  }
}

function startOn(port: number, logFile: string, more: readonly string[] = []): Promise<Service> {
  return startService({
    name: 'anvil',
    command: binary(),
    args: [
      ...['--host', '127.0.0.1', '--port', String(port)],
      ...['--chain-id', String(CHAIN_ID)],
      ...['--mnemonic', PHRASE, '--accounts', String(ACCOUNTS), '--balance', String(BALANCE)],
      ...['--hardfork', 'cancun'],
      ...['--slots-in-an-epoch', '1'], // One confirmation is final on Flare.
      ...['--prune-history', String(STATES_MAX)],
      ...['--transaction-block-keeper', String(BLOCKS_MAX)],
      '--quiet',
      ...more,
    ],
    logFile,
    isReady: (signal) => isReady(port, signal),
    readyMsMax: READY_MS_MAX,
  })
}

async function isReady(port: number, signal: AbortSignal): Promise<boolean> {
  return Number(await ask(port, 'eth_chainId', [], signal)) === CHAIN_ID
}

async function ask(
  port: number,
  method: string,
  params: readonly unknown[] = [],
  signal = AbortSignal.timeout(READY_MS_MAX),
): Promise<string> {
  const response = await fetch(urlOf(port), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal,
  })
  const { result } = (await response.json()) as { result?: unknown }
  return String(result)
}

/**
 * The program itself. The package's own starter is a process between us and it, which a kill -9
 * would leave behind.
 */
function binary(): string {
  const starter = createRequire(import.meta.url).resolve('@foundry-rs/anvil/package.json')
  const machine = process.arch === 'x64' ? 'amd64' : process.arch
  const name = `anvil-${process.platform}-${machine}`
  return join(dirname(dirname(starter)), name, 'bin', 'anvil')
}

/** Ends anvil even when we are killed: our end of the pipe then closes, and the shell reads on. */
function endWithUs(pid: number): () => void {
  const guard = spawn('sh', ['-c', 'cat; kill -9 "$1"', 'sh', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.unref()
  return () => guard.kill('SIGKILL')
}

function accounts(): Account[] {
  const phrase = Mnemonic.fromPhrase(PHRASE)
  return Array.from({ length: ACCOUNTS }, (_, i) => {
    const { address, privateKey } = HDNodeWallet.fromMnemonic(phrase, `m/44'/60'/0'/0/${i}`)
    return { address, privateKey }
  })
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`
}
