import { Command } from 'commander'
import type { CliParts } from './parts.js'

export function demoCommand({ demo }: Pick<CliParts, 'demo'>): Command {
  return new Command('demo')
    .description('Show the whole way on this machine: LiteLLM, Flare, Flow, and the daemon itself')
    .option('--json', 'print one JSON object as the last line')
    .option('--keep', 'leave everything running, with /status on port 3000, until Ctrl-C')
    .action(async (options: { json?: true; keep?: true }, command: Command) => {
      const code = await demo({ isJson: options.json === true, isKept: options.keep === true })
      if (code !== 0) command.error('error: the demo did not come out right', { exitCode: code })
    })
}
