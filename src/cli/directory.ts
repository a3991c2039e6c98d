import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { canonicalAccount } from '../domain/ids.js'
import { parseDirectoryFile } from './directory-file.js'
import { type CliParts, toJson } from './parts.js'

const LISTED_MAX = 100_000
const PROBLEMS_SHOWN = 20

/** The operator's table of payers, for the mapping strategy of the same name. */
export function directoryCommand({
  withDirectory,
  print,
}: Pick<CliParts, 'withDirectory' | 'print'>): Command {
  const directory = new Command('directory').description('The table of payers and their accounts')
  directory
    .command('set')
    .description('Charge a payer to an account')
    .argument('<payer>', 'the user, as LiteLLM logs it')
    .argument('<account>', 'the account number')
    .option('--json', 'print one JSON object')
    .action(async (payer: string, text: string, options: { json?: true }, command: Command) => {
      const account = canonicalAccount(text)
      if (account === undefined) {
        const fix = 'Write a number from 0 to 18446744073709551615.'
        command.error(`error: "${text}" is no account number. ${fix}`, { exitCode: 2 })
      }
      await withDirectory((table) => table.set(payer, account))
      print(
        options.json ? toJson({ payer, account }) : `"${payer}" is charged to account ${account}`,
      )
    })
  directory
    .command('remove')
    .description('Take a payer out')
    .argument('<payer>', 'the user, as LiteLLM logs it')
    .option('--json', 'print one JSON object')
    .action(async (payer: string, options: { json?: true }, command: Command) => {
      const isRemoved = await withDirectory((table) => table.remove(payer))
      if (!isRemoved) command.error(`error: "${payer}" is not in the directory`, { exitCode: 2 })
      print(options.json ? toJson({ payer, removed: true }) : `"${payer}" is removed`)
    })
  directory
    .command('import')
    .description('Take in a table of payers and accounts: all of it, or nothing')
    .argument('<file>', 'CSV lines payer,account; or JSON')
    .option('--replace', 'take out every payer that the file does not name')
    .option('--dry-run', 'only look whether the file is right')
    .option('--json', 'print one JSON object')
    .action(
      async (
        path: string,
        options: { replace?: true; dryRun?: true; json?: true },
        command: Command,
      ) => {
        const { entries, problems } = parseDirectoryFile(readText(path, command))
        if (problems.length > 0) {
          const shown = problems.slice(0, PROBLEMS_SHOWN).map((problem) => `  - ${problem}`)
          const count = `${problems.length} problem${problems.length === 1 ? '' : 's'}`
          const all = [`error: nothing was imported, ${path} has ${count}:`, ...shown].join('\n')
          command.error(all, { exitCode: 2 })
        }
        if (options.dryRun !== true) {
          await withDirectory((table) => table.setAll(entries, options.replace === true))
        }
        const imported = options.dryRun === true ? 0 : entries.size
        if (options.json) return print(toJson({ payers: entries.size, imported }))
        print(`${entries.size} payers ${options.dryRun ? 'could be' : 'are'} imported`)
      },
    )
  directory
    .command('list')
    .description('Show the table')
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: true }) => {
      const rows = await withDirectory((table) => table.list(LISTED_MAX))
      if (options.json) return print(toJson({ directory: rows }))
      for (const { payer, account } of rows) print(`${payer} -> ${account}`)
      if (rows.length === 0)
        print('The directory is empty: flowmeter directory set <payer> <account>')
    })
  return directory
}

function readText(path: string, command: Command): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return command.error(`error: ${path} cannot be read`, { exitCode: 2 })
  }
}
