import { Command } from 'commander'
import { demoCommand } from './demo-command.js'
import { directoryCommand } from './directory.js'
import { doctorCommand } from './doctor.js'
import { mapCommand } from './map.js'
import type { CliParts } from './parts.js'
import { startCommand } from './start.js'
import { statusCommand } from './status.js'

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
    statusCommand(parts),
    doctorCommand(parts),
  ]
  for (const command of commands) program.addCommand(command)
  for (const command of [program, ...commands, ...commands.flatMap((one) => one.commands)]) {
    command.exitOverride()
  }
  return program
}
