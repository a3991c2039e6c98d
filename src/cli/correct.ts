import { Command } from 'commander'
import { type AccountNumber, batchName } from '../domain/ids.js'
import { formatWad } from '../domain/money.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { CorrectionPreview, TotalChange } from '../pipeline/correct.js'
import type { RecordedCorrection } from '../pipeline/record-correction.js'
import { told } from './desk-parts.js'
import type { MeteringTools } from './metering-tools.js'
import { accountArgument, type OrderOptions, ordered, orderOf } from './ordered.js'
import { type CliParts, toJson } from './parts.js'

type CorrectParts = Pick<CliParts, 'metering' | 'print'>

interface Options extends OrderOptions {
  readonly dryRun?: true
  readonly account?: AccountNumber
}

const NOTHING_DONE =
  'Nothing was changed. Without --dry-run, and with --reason, the corrections are recorded.'

const REASON = 'why: kept for ever, and on Flow'
const LISTED = 50

/** Lowers totals of sealed usage: written down here first, then signed for by the provider. */
export function correctCommand(parts: CorrectParts): Command {
  const correct = ordered(new Command('correct'), REASON)
    .description('Move sealed usage to where the mapping of now puts it, or let it count nowhere')
    .option('--dry-run', 'show what would be recorded, and change nothing')
    .option('--account <number>', 'only where the total of this account falls', accountArgument)
    .action(async (options: Options, command: Command) => {
      if (options.dryRun === true) return preview(parts, options)
      const { account } = options
      await record(parts, options, command, account === undefined ? {} : { account })
    })
  ordered(correct.command('waive'), REASON)
    .description('Let sealed records count nowhere: calls that should never have been billed')
    .argument('<source>', 'the source that they came from')
    .argument('<request-ids...>', 'as LiteLLM logged them')
    .action(async (source: string, ids: string[], _: Options, command: Command) => {
      const waived = ids.map((requestId) => ({ source, requestId }))
      await record(parts, command.optsWithGlobals<Options>(), command, { waived })
    })
  correct
    .command('list')
    .description('Corrections that were recorded, newest first, and what each still needs')
    .option('--json', 'print one JSON object')
    .action(async (_: Options, command: Command) => {
      const recorded = await (await parts.metering()).corrections(LISTED)
      if (command.optsWithGlobals<Options>().json) return parts.print(toJson(recorded))
      for (const line of recorded.flatMap(recordedLines)) parts.print(line)
      if (recorded.length === 0) parts.print('No correction was ever recorded.')
    })
  return correct
}

async function preview({ metering, print }: CorrectParts, options: Options): Promise<void> {
  const found = await (await metering()).correction()
  if (options.json) return print(toJson({ ...found, executed: false, note: NOTHING_DONE }))
  for (const line of toLines(found)) print(line)
  print(NOTHING_DONE)
}

async function record(
  { metering, print }: CorrectParts,
  options: Options,
  command: Command,
  what: Partial<Parameters<MeteringTools['correct']>[0]>,
): Promise<void> {
  const order = orderOf(options, command, '; or look first, with --dry-run')
  const recorded = await told(command, async () =>
    (await metering()).correct({ ...what, ...order }),
  )
  if (options.json) return print(toJson({ executed: true, recorded }))
  for (const line of recorded.flatMap(recordedLines)) print(line)
}

function recordedLines({ correction, callBillable, callAfterSeq }: RecordedCorrection): string[] {
  const { id, records, reason, by, sealed, listedBy } = correction
  const head = `correction ${id} of ${nameOf(correction)}: ${records} records, "${reason}" (${by})`
  if (sealed !== undefined) {
    const stated =
      listedBy === undefined ? 'the next batch states it' : `in batch ${batchName(listedBy)}`
    return [`${head}; on Flow in block ${sealed.height}, ${stated}`]
  }
  return [
    `${head}; waits for Flow, and nothing of it is sealed until then. The provider signs it with:`,
    `  flowmeter provider correct ${correction.accountNumber} --period ${dayOf(correction)} ` +
      `--tokens ${tokensText(callBillable)} --after-seq ${callAfterSeq} ` +
      `--reason ${JSON.stringify(reason)}`,
  ]
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

function nameOf({ accountNumber: account, periodStart }: EntryKey): string {
  return `account ${account}, period of ${dayOf({ periodStart })}`
}

function dayOf({ periodStart }: Pick<EntryKey, 'periodStart'>): string {
  return new Date(periodStart * 1000).toISOString().slice(0, 10)
}

/** 1e-4 tokens as tokens. */
function tokensText(billable: bigint): string {
  const [whole, part] = [billable / 10_000n, billable % 10_000n]
  const decimals = part.toString().padStart(4, '0').replace(/0+$/, '')
  return decimals === '' ? whole.toString() : `${whole}.${decimals}`
}
