import { Command } from 'commander'
import type { Mapped } from '../mapping/index.js'
import type { Explained, MapAll } from './metering-tools.js'
import { type CliParts, toJson } from './parts.js'

interface Options {
  readonly json?: true
  readonly explain?: true
  readonly all?: true
  readonly source?: string
}

/** A command is a factory, so that a test can hand it a mapping and read what it prints. */
export function mapCommand({
  mapUser,
  metering,
  print,
}: Pick<CliParts, 'mapUser' | 'metering' | 'print'>): Command {
  return new Command('map')
    .description('Show which account a LiteLLM user is charged to, and which strategy says so')
    .argument('[user]', 'the user, as LiteLLM logs it')
    .option('--explain', 'every step, the field that names the payer, and the vault')
    .option('--source <name>', 'the source whose records it is about (with --explain)')
    .option('--all', 'who of the usage that waits would have no vault now')
    .option('--json', 'print one JSON object')
    .action(async (user: string | undefined, options: Options, command: Command) => {
      if (options.all) {
        const all = await (await metering()).mapAll()
        for (const line of options.json ? [toJson(all)] : allLines(all)) print(line)
        return
      }
      if (user === undefined) {
        return command.error("error: missing required argument 'user' (or --all)", { exitCode: 2 })
      }
      const mapped = options.explain
        ? await (await metering()).explain(user, options.source)
        : await mapUser(user)
      print(options.json ? toJson(mapped) : toText(mapped))
      if (mapped.account !== undefined) return
      const isNobody = mapped.steps[0]?.strategy === 'none'
      const fix = isNobody
        ? 'Give the key an owner in LiteLLM; what waits goes where `flowmeter unmapped release` says.'
        : 'Add it with `flowmeter directory set`, or change "mapping" in the settings.'
      command.error(`error: no strategy maps "${user}". ${fix}`, { exitCode: 2 })
    })
}

function toText(mapped: Mapped | Explained): string {
  const { payer, account, strategy, steps } = mapped
  const lines = steps.map((step) => `  ${step.strategy}: ${step.answer}`)
  const outcome =
    account === undefined
      ? `"${payer}" has no account`
      : `"${payer}" is charged to account ${account}, by ${strategy}`
  if (!('notAsked' in mapped)) return [outcome, ...lines].join('\n')
  return [
    outcome,
    `  payer: the field "${mapped.payerField}" of the record`,
    ...lines,
    ...mapped.notAsked.map((name) => `  ${name}: not asked`),
    ...(mapped.vault === undefined ? [] : [`  vault ${account}: ${mapped.vault}`]),
  ].join('\n')
}

function allLines(all: MapAll): string[] {
  const waiting = `${all.records} records of ${all.payers} payers wait to be sealed`
  if (all.unmapped.length === 0) return [`${waiting}; all of them have a vault`]
  const lines = all.unmapped.map(
    ({ source, payer, model, records, tokens, reason }) =>
      `  "${payer}" (${source}, ${model}): ${records} records, ${tokens} tokens; ${reason}`,
  )
  return [`${waiting}; without a vault would be:`, ...lines]
}
