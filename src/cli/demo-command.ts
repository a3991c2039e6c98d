import { Command } from 'commander'
import type { CliParts } from './parts.js'

interface DemoFlags {
  readonly json?: true
  readonly keep?: true
  readonly faults?: true | string
  readonly budgets?: true
}

export function demoCommand({ demo }: Pick<CliParts, 'demo'>): Command {
  return new Command('demo')
    .description('Show the whole way on this machine: LiteLLM, Flare, Flow, and the daemon itself')
    .option('--json', 'print one JSON object as the last line')
    .option('--faults [seed]', 'let the nodes of both chains misbehave, by a row of faults')
    .option(
      '--budgets',
      'show a vault running dry, its key refused, a deposit, the key working again',
    )
    .option('--keep', 'leave everything running, with /status on port 3000, until Ctrl-C')
    .action(async (options: DemoFlags, command: Command) => {
      const code = await demo({
        isJson: options.json === true,
        isKept: options.keep === true,
        isBudgets: options.budgets === true,
        ...(options.faults === undefined ? {} : { faultSeed: seedOf(options.faults, command) }),
      })
      if (code !== 0) command.error('error: the demo did not come out right', { exitCode: code })
    })
}

function seedOf(option: true | string, command: Command): number {
  if (option === true) return 1
  if (/^\d{1,9}$/.test(option)) return Number(option)
  return command.error(`error: "${option}" is no seed, which is a whole number`, { exitCode: 2 })
}
