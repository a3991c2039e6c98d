import { Command } from 'commander'
import { auditCommand } from './audit.js'
import { backfillCommand } from './backfill.js'
import { budgetsCommand } from './budgets.js'
import { checkpointCommand } from './checkpoint.js'
import { configCommand } from './config-command.js'
import { correctCommand } from './correct.js'
import { creditsCommand } from './credits.js'
import { decisionsCommand } from './decisions.js'
import { demoCommand } from './demo-command.js'
import { deployCommand } from './deploy.js'
import { directoryCommand } from './directory.js'
import { doctorCommand } from './doctor.js'
import { flowCommand } from './flow.js'
import { initCommand } from './init.js'
import { keysCommand } from './keys.js'
import { logCommand } from './log.js'
import { mapCommand } from './map.js'
import { noticesCommand } from './notices.js'
import { heldCommand, parkedCommand } from './parked.js'
import type { CliParts } from './parts.js'
import { plansCommand } from './plans.js'
import { pricesCommand } from './prices.js'
import { providerCommand } from './provider.js'
import { quarantineCommand } from './quarantine.js'
import { quotasCommand } from './quotas.js'
import { receiptsCommand } from './receipts.js'
import { adoptCommand, backupCommand, rotateMeterCommand } from './recovery.js'
import { reportCommand } from './report.js'
import { startCommand } from './start.js'
import { statusCommand } from './status.js'
import { tokensCommand } from './tokens.js'
import { unmappedCommand } from './unmapped.js'
import { vaultsCommand } from './vaults.js'

/** The command table. Errors are thrown to the caller, who knows the exit codes. */
export function createProgram(parts: CliParts): Command {
  const program = new Command('flowmeter')
    .description('Turns LiteLLM usage into proven, priced, settled charges on Flow')
    .version(parts.version)
    .showHelpAfterError('(flowmeter --help lists the commands)')
  const { print } = parts
  const desk = { print, ...parts.desks }
  const groups: Readonly<Record<string, readonly Command[]>> = {
    'Set up:': [
      initCommand(parts),
      deployCommand(desk),
      doctorCommand(parts),
      configCommand(parts),
      checkpointCommand(desk),
    ],
    'Run:': [startCommand(parts), statusCommand(parts), demoCommand(parts)],
    'Payers and usage:': [
      mapCommand(parts),
      directoryCommand(parts),
      unmappedCommand(parts),
      decisionsCommand(parts),
      quarantineCommand(parts),
      backfillCommand(parts),
    ],
    'Prices and vaults:': [
      plansCommand(desk),
      pricesCommand(desk),
      vaultsCommand(desk),
      providerCommand(desk),
      flowCommand(desk),
    ],
    'Keys, limits and credits:': [
      keysCommand(parts),
      budgetsCommand(parts),
      quotasCommand(parts),
      creditsCommand(parts),
    ],
    'What waits for somebody:': [parkedCommand(parts), heldCommand(parts), correctCommand(parts)],
    'See and tell:': [
      reportCommand(parts),
      noticesCommand(parts),
      tokensCommand(parts),
      logCommand(parts),
    ],
    'Prove and recover:': [
      auditCommand(parts),
      receiptsCommand({ ...desk, receipts: parts.receipts }),
      backupCommand(parts),
      adoptCommand(parts),
      rotateMeterCommand(parts),
    ],
  }
  for (const [heading, commands] of Object.entries(groups)) {
    for (const command of commands) program.addCommand(command.helpGroup(heading))
  }
  const commands = Object.values(groups).flat()
  for (const command of [program, ...commands, ...commands.flatMap((one) => one.commands)]) {
    command.exitOverride()
  }
  return program
}
