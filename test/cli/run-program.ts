import { exitCodeOf } from '../../src/cli/exit-code.js'
import { createProgram } from '../../src/cli/index.js'
import type { CliParts } from '../../src/cli/parts.js'

/** Runs a command in this process, with parts of the test's own. */
export async function runProgram(args: readonly string[], parts: Partial<CliParts>) {
  const lines: string[] = []
  const unused = () => Promise.reject(new Error('this command needs nothing of that kind'))
  const program = createProgram({
    version: '1.2.3',
    print: (line) => lines.push(line),
    start: unused,
    mapUser: unused,
    readStatus: unused,
    withDirectory: unused,
    metering: unused,
    receipts: unused,
    credits: unused,
    operations: unused,
    config: unused,
    tokens: unused,
    keys: unused,
    budgets: unused,
    reports: unused,
    notices: unused,
    init: unused,
    asker: () => undefined,
    examine: unused,
    demo: unused,
    desks: {
      readPlans: unused,
      openPublicDesk: unused,
      openProviderDesk: unused,
      openCustomerDesk: unused,
      readDeployment: unused,
      openDeployer: unused,
      deployAll: unused,
      ensureLaneKeys: unused,
      openPriceDesk: unused,
      openPriceKeeperDesk: unused,
      readCheckpoint: unused,
    },
    ...parts,
  })
  const groups = program.commands.flatMap(({ commands }) => commands)
  for (const command of [program, ...program.commands, ...groups]) {
    command.configureOutput({ writeErr: (text) => lines.push(`stderr: ${text.trimEnd()}`) })
  }
  const code = await program.parseAsync(['node', 'flowmeter', ...args]).then(() => 0, exitCodeOf)
  return { code, lines }
}
