import type { FlowAccount } from '../../devnet/flow/client.js'
import { deskParts } from '../../src/cli/desk-tools.js'
import { exitCodeOf } from '../../src/cli/exit-code.js'
import { createProgram } from '../../src/cli/index.js'
import type { World } from '../cadence/world.js'
import { root } from './run-cli.js'

export interface DeskRun {
  readonly code: number
  readonly out: readonly string[]
  /** What a person is told meanwhile, and errors. */
  readonly told: readonly string[]
}

/** Settings of a person's commands for an emulator. */
export function deskEnv(
  world: World,
  role: 'PROVIDER' | 'CUSTOMER' | 'DEPLOYER',
  account: FlowAccount,
): Record<string, string> {
  return {
    FLOW_NETWORK: 'emulator',
    FLOW_ACCESS_NODE: world.emulator.restUrl,
    FLOW_CONTRACTS_ADDRESS: world.account.address,
    [`FLOW_${role}_ADDRESS`]: account.address,
    [`FLOW_${role}_PRIVATE_KEY`]: Buffer.from(account.privateKey).toString('hex'),
  }
}

/** Runs a command in this process with the real desks: all but main.ts itself. */
export async function runDesk(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  shutdown = new AbortController(),
  onTold: (line: string) => void = () => {},
): Promise<DeskRun> {
  const out: string[] = []
  const told: string[] = []
  const tell = (line: string): void => {
    told.push(line)
    onTold(line)
  }
  const unused = () => Promise.reject(new Error('this command needs nothing of that kind'))
  const shutdownSignal = () => shutdown.signal
  const program = createProgram({
    ...{ version: '1.2.3', print: (line: string) => void out.push(line) },
    ...{ start: unused, mapUser: unused, readStatus: unused, withDirectory: unused },
    ...{ examine: unused, demo: unused, metering: unused },
    ...{ receipts: unused, operations: unused, reports: unused, notices: unused },
    ...{ credits: unused, config: unused, tokens: unused, keys: unused, budgets: unused },
    ...{ init: unused, asker: () => undefined },
    desks: deskParts({ env, folder: root, tell, shutdownSignal }),
  })
  for (const group of program.commands) {
    for (const command of [group, ...group.commands]) {
      command.configureOutput({ writeErr: (text) => told.push(text.trimEnd()) })
    }
  }
  const code = await program.parseAsync(['node', 'flowmeter', ...args]).then(
    () => 0,
    (error: Error) => {
      told.push(error.message)
      return exitCodeOf(error)
    },
  )
  return { code, out, told }
}
