import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findEmulator } from '../../../devnet/flow/binary.js'
import { type FlowAccount, FlowClient } from '../../../devnet/flow/client.js'
import { type Emulator, startEmulator } from '../../../devnet/flow/emulator.js'
import { freePorts } from '../../../devnet/ports.js'
import { startService } from '../../../devnet/process.js'
import { type FlowConfig, flowConfig } from '../../../src/settlers/flow/config.js'

/** An emulator in a folder of its own, gone with `stop`. */
export interface Chain {
  readonly emulator: Emulator
  stop(): Promise<void>
}

export async function startChain(): Promise<Chain> {
  const dir = mkdtempSync(join(tmpdir(), 'flowmeter-settler-'))
  const emulator = await startEmulator({ dir, blockTimeMs: 200 })
  return {
    emulator,
    async stop() {
      await emulator.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/**
 * A node of a chain on which transactions expire after a few blocks: 600 take 45 s to make. It makes one
 * for each transaction and when it is told to: none passes because a machine is slow.
 */
export interface ShortLivedChain {
  readonly restUrl: string
  readonly client: FlowClient
  stop(): Promise<void>
}

export async function startShortLivedChain(expiryBlocks: number): Promise<ShortLivedChain> {
  const dir = mkdtempSync(join(tmpdir(), 'flowmeter-settler-'))
  const [command, ...firstArgs] = await findEmulator()
  const [grpcPort, restPort, adminPort] = await freePorts(3)
  const restUrl = `http://127.0.0.1:${restPort}`
  const service = await startService({
    name: 'flow emulator',
    command,
    args: [
      ...firstArgs,
      ...['--host', '127.0.0.1', '--debugger-port', '0', '--setup-vm-bridge=false'],
      ...['--port', `${grpcPort}`, '--rest-port', `${restPort}`, '--admin-port', `${adminPort}`],
      ...['--block-time', '0ms', '--transaction-expiry', `${expiryBlocks}`],
    ],
    env: { FLOW_EMULATOR_ENDS_WITH_STDIN: '1' },
    cwd: dir,
    logFile: join(dir, 'emulator.log'),
    isReady: async (signal) => (await fetch(`${restUrl}/v1/blocks?height=sealed`, { signal })).ok,
    readyMsMax: 60_000,
  })
  return {
    restUrl,
    client: new FlowClient({ restUrl }),
    async stop() {
      await service.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Settings for an account of the emulator, which also has the contracts if nothing else is said. */
export function configOf(
  { restUrl }: Pick<Emulator, 'restUrl'>,
  account: FlowAccount,
  more: Record<string, unknown> = {},
): FlowConfig {
  return flowConfig.parse({
    network: 'emulator',
    accessNodes: restUrl,
    accountAddress: account.address,
    privateKey: Buffer.from(account.privateKey).toString('hex'),
    contractsAddress: account.address,
    providerId: '1',
    ...more,
  })
}
