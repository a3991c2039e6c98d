import { Command } from 'commander'
import { formatWad } from '../domain/money.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { CorrectionPreview, TotalChange } from '../pipeline/correct.js'
import { type CliParts, toJson } from './parts.js'

const NOTHING_DONE =
  'Nothing was changed. This version does not record a correction, nor put one on Flow: what is ' +
  'in a batch stays charged as it was sealed.'

/** What today's mapping would make of usage that is in batches. */
export function correctCommand({ metering, print }: Pick<CliParts, 'metering' | 'print'>): Command {
  return new Command('correct')
    .description('Show what a correction of sealed usage would be under the mapping of now')
    .option('--dry-run', 'show it and change nothing; the one thing that can be done yet')
    .option('--json', 'print one JSON object')
    .action(async (options: { dryRun?: true; json?: true }, command: Command) => {
      if (options.dryRun !== true) {
        const why = 'a correction can only be looked at in this version: use --dry-run'
        command.error(`error: ${why}`, { exitCode: 2 })
      }
      const preview = await (await metering()).correction()
      if (options.json) return print(toJson({ ...preview, executed: false, note: NOTHING_DONE }))
      for (const line of toLines(preview)) print(line)
      print(NOTHING_DONE)
    })
}

function toLines({ payers, moves, changes }: CorrectionPreview): string[] {
  if (moves.length === 0) return [`All sealed usage of ${payers} payers is where it belongs.`]
  return [
    ...moves.map(({ source, payer, from, to, reason, records, tokens }) => {
      const where = to === undefined ? `stays there, since ${reason}` : `belongs to ${nameOf(to)}`
      return `"${payer}" (${source}): ${records} records, ${tokens} tokens of ${nameOf(from)}; ${where}`
    }),
    ...changes.map(changeLine),
  ]
}

function changeLine(change: TotalChange): string {
  const { direction, tokensBefore, tokensAfter, money } = change
  const tokens = `${tokensBefore} -> ${tokensAfter} tokens`
  const how = direction === 'falls' ? 'falls, by a correction' : 'rises, by a later batch'
  const bill =
    money === undefined
      ? 'its plan is not known'
      : `${formatWad(money.before)} -> ${formatWad(money.after)} ${money.currency} (${money.planId})`
  return `total of ${nameOf(change)} ${how}: ${tokens}, ${bill}`
}

function nameOf({ accountNumber, periodStart }: EntryKey): string {
  const since = new Date(periodStart * 1000).toISOString().slice(0, 10)
  return `account ${accountNumber}, period of ${since}`
}
