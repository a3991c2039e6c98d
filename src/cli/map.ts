import { Command } from 'commander'
import type { Mapped } from '../mapping/index.js'
import { type CliParts, toJson } from './parts.js'

/** A command is a factory, so that a test can hand it a mapping and read what it prints. */
export function mapCommand({ mapUser, print }: Pick<CliParts, 'mapUser' | 'print'>): Command {
  return new Command('map')
    .description('Show which account a LiteLLM user is charged to, and which strategy says so')
    .argument('<user>', 'the user, as LiteLLM logs it')
    .option('--json', 'print one JSON object')
    .action(async (user: string, options: { json?: true }, command: Command) => {
      const mapped = await mapUser(user)
      print(options.json ? toJson(mapped) : toText(mapped))
      if (mapped.account !== undefined) return
      const fix = 'Add it with `flowmeter directory set`, or change "mapping" in the settings.'
      command.error(`error: no strategy maps "${user}". ${fix}`, { exitCode: 2 })
    })
}

function toText({ payer, account, strategy, steps }: Mapped): string {
  const lines = steps.map((step) => `  ${step.strategy}: ${step.answer}`)
  const outcome =
    account === undefined
      ? `"${payer}" has no account`
      : `"${payer}" is charged to account ${account}, by ${strategy}`
  return [outcome, ...lines].join('\n')
}
