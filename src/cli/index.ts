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
  const commands = [
    startCommand(parts),
    demoCommand(parts),
    mapCommand(parts),
    directoryCommand(parts),
    unmappedCommand(parts),
    decisionsCommand(parts),
    quarantineCommand(parts),
    correctCommand(parts),
    creditsCommand(parts),
    backfillCommand(parts),
    auditCommand(parts),
    receiptsCommand({ print: parts.print, receipts: parts.receipts, ...parts.desks }),
    parkedCommand(parts),
    heldCommand(parts),
    logCommand(parts),
    tokensCommand(parts),
    keysCommand(parts),
    budgetsCommand(parts),
    quotasCommand(parts),
    backupCommand(parts),
    adoptCommand(parts),
    rotateMeterCommand(parts),
    statusCommand(parts),
    reportCommand(parts),
    noticesCommand(parts),
    doctorCommand(parts),
    configCommand(parts),
    initCommand(parts),
    plansCommand({ print: parts.print, ...parts.desks }),
    pricesCommand({ print: parts.print, ...parts.desks }),
    vaultsCommand({ print: parts.print, ...parts.desks }),
    providerCommand({ print: parts.print, ...parts.desks }),
    deployCommand({ print: parts.print, ...parts.desks }),
    flowCommand({ print: parts.print, ...parts.desks }),
    checkpointCommand({ print: parts.print, ...parts.desks }),
  ]
  for (const command of commands) program.addCommand(command)
  for (const command of [program, ...commands, ...commands.flatMap((one) => one.commands)]) {
    command.exitOverride()
  }
  return program
}
