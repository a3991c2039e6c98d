import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CadenceValue, type Plain, uint } from '../../devnet/flow/cadence-json.js'
import {
  type Deployed,
  type DeployParts,
  deployContracts,
  runFile,
  sendFile,
} from '../../devnet/flow/deploy.js'
import { type Emulator, type EmulatorParts, startEmulator } from '../../devnet/flow/emulator.js'
import type { TransactionResult } from '../../devnet/flow/results.js'
import { cadenceSource } from '../../devnet/flow/sources.js'
import type { Signer } from '../../devnet/flow/transaction.js'
import { ANCHOR } from './batches.js'
import { COVERAGE_FOLDER, keepCoverage } from './coverage.js'
import { policyHex, VOTERS_A } from './flare.js'

export const CHAIN_ID = 114n
export const EPOCH = 6104
export const ROUNDS_PER_EPOCH = 240
/** Nominal start of `EPOCH`, counted from round 0. */
export const START_ROUND = EPOCH * ROUNDS_PER_EPOCH

/** An emulator with the contracts, in a folder of its own. One for each test file. */
export interface World extends Deployed {
  readonly emulator: Emulator
  /** Sends a file of `cadence/transactions`. @throws Error when its body fails. */
  send(name: string, args: readonly CadenceValue[], signer?: Signer): Promise<TransactionResult>
  /** Sends one that must fail, and returns why. */
  refused(name: string, args: readonly CadenceValue[], signer?: Signer): Promise<string>
  run(name: string, args?: readonly CadenceValue[]): Promise<Plain>
  stop(): Promise<void>
}

export async function startWorld(
  parts: Partial<DeployParts> = {},
  emulatorParts: Partial<EmulatorParts> = {},
): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'flowmeter-cadence-'))
  const countsCoverage = COVERAGE_FOLDER !== undefined
  const emulator = await startEmulator({ dir, blockTimeMs: 0, countsCoverage, ...emulatorParts })
  const stop = async (): Promise<void> => {
    if (COVERAGE_FOLDER !== undefined) await keepCoverage(emulator, COVERAGE_FOLDER)
    await emulator.stop()
    rmSync(dir, { recursive: true, force: true })
  }
  try {
    const deployed = await deployContracts(emulator.client, {
      chainId: CHAIN_ID,
      checkpoint: policyHex({ epoch: EPOCH, startRound: START_ROUND, ...VOTERS_A }),
      firstEpochStartRound: 0,
      roundsPerEpoch: ROUNDS_PER_EPOCH,
      epochsKept: 3,
      anchor: ANCHOR,
      sourceId: 'testFLR',
      ...parts,
    })
    return { emulator, stop, ...worldOf(deployed) }
  } catch (error) {
    await stop()
    throw error
  }
}

function worldOf(deployed: Deployed): Omit<World, 'emulator' | 'stop'> {
  const { client, account } = deployed
  return {
    ...deployed,
    send: (name, args, signer = account) => sendFile(client, name, args, signer),
    async refused(name, args, signer = account) {
      const cadence = cadenceSource(`transactions/${name}`)
      const { error } = await client.send({ cadence, args, signers: [signer] })
      if (error === null) throw new Error(`${name} was not refused`)
      return error
    },
    run: (name, args = []) => runFile(client, name, args),
  }
}

export const u64 = (value: bigint | number): CadenceValue => uint('UInt64', value)
