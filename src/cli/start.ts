import { Command } from 'commander'
import type { CliParts } from './parts.js'

export function startCommand({ start }: Pick<CliParts, 'start'>): Command {
  return new Command('start')
    .description('Run the daemon until SIGTERM or SIGINT')
    .option('--json', 'the log is JSON lines, with or without this')
    .action(() => start())
}
