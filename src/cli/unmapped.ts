import { Command } from 'commander'
import { canonicalAccount } from '../domain/ids.js'
import { type CliParts, toJson } from './parts.js'

/** Usage that waits for a vault. */
export function unmappedCommand({
  metering,
  print,
}: Pick<CliParts, 'metering' | 'print'>): Command {
  const unmapped = new Command('unmapped').description('Usage that waits, for lack of a vault')
  unmapped
    .command('list')
    .description('Show who it is, how much, and why')
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: true }) => {
      const rows = await (await metering()).listUnmapped()
      if (options.json) return print(toJson({ unmapped: rows }))
      for (const { source, payer, model, records, tokens, oldestAtMs, reason } of rows) {
        const since = new Date(oldestAtMs).toISOString()
        print(`"${payer}" (${source}, ${model}): ${records} records, ${tokens} tokens`)
        print(`  since ${since}; ${reason}`)
      }
      if (rows.length === 0) print('No usage is unmapped.')
    })
  unmapped
    .command('release')
    .description(
      'Have the waiting records of a payer looked at again, or charge them to an account',
    )
    .argument('<payer>', 'as the records name it; "" for those that name nobody')
    .option(
      '--to <account>',
      'the account that pays for the records that wait now, and no later ones',
    )
    .option('--source <name>', 'of this source alone')
    .option('--json', 'print one JSON object')
    .action(
      async (
        payer: string,
        options: { to?: string; source?: string; json?: true },
        command: Command,
      ) => {
        const account = options.to === undefined ? undefined : canonicalAccount(options.to)
        if (options.to !== undefined && account === undefined) {
          const fix = 'Write a number from 0 to 18446744073709551615.'
          command.error(`error: "${options.to}" is no account number. ${fix}`, { exitCode: 2 })
        }
        const { records, vault } = await (await metering()).release(payer, options.source, account)
        if (records === 0) {
          command.error(`error: no records of "${payer}" wait`, { exitCode: 2 })
        }
        if (options.json) return print(toJson({ payer, records, account: account ?? null, vault }))
        const what = account === undefined ? 'will be looked at again' : `go to account ${account}`
        print(`${records} records of "${payer}" ${what}`)
        if (vault !== undefined) print(`  vault ${account}: ${vault}`)
      },
    )
  return unmapped
}
