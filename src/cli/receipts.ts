import { writeFile } from 'node:fs/promises'
import { Command, InvalidArgumentError } from 'commander'
import { formatWad } from '../domain/money.js'
import { type CheckedReceipts, checkReceipts } from '../pipeline/check-receipts.js'
import { type MatchedReceipts, matchReceipts } from '../pipeline/match-receipts.js'
import { type DeskParts, told, wholeNumber } from './desk-parts.js'
import { FOUND_WRONG } from './exit-code.js'
import { type CliParts, toJson } from './parts.js'
import { receiptsJson } from './receipts-file.js'

type ReceiptsParts = Pick<CliParts, 'print' | 'receipts'> & Pick<DeskParts, 'openPublicDesk'>

interface MakeOptions {
  readonly period?: number
  readonly out?: string
}

interface CheckOptions {
  readonly offline?: true
  readonly json?: true
}

/** For the customer: every call of a period with what proves that it, and no other, was counted. */
export function receiptsCommand(parts: ReceiptsParts): Command {
  const receipts = new Command('receipts').description(
    'Give a customer the receipts of their calls, or check receipts that you were given',
  )
  receipts.addCommand(makeCommand(parts))
  receipts.addCommand(checkCommand(parts))
  return receipts
}

function makeCommand({ print, receipts }: ReceiptsParts): Command {
  return new Command('make')
    .description(
      "Write one period's receipts of one vault as JSON; they are for its customer alone",
    )
    .argument('<account>', 'the account number')
    .option('--period <day>', 'the first day of the period (UTC), such as 2026-11-01', dayOf)
    .option('--out <file>', 'a new file for them; otherwise they are printed')
    .action(async (account: string, options: MakeOptions, command: Command) => {
      const number = wholeNumber(account, command)
      const { periods, receipts: made } = await (await receipts()).make(number, options.period)
      if (made === undefined) {
        const message = `error: ${whichPeriods(number, periods)}`
        return command.error(message, { exitCode: 2 })
      }
      if (options.out === undefined) return print(receiptsJson(made))
      const { out } = options
      await writeFile(out, `${receiptsJson(made)}\n`, { flag: 'wx', mode: 0o600 }).catch((error) =>
        command.error(`error: ${out} is not written: ${error.message}`, { exitCode: 2 }),
      )
      const calls = made.batches.reduce((sum, { records }) => sum + records.length, 0)
      print(`${out}: ${calls} calls in ${made.batches.length} batches`)
      const { problems } = checkReceipts(made)
      if (problems.length === 0) return
      const why = 'What was sealed before a store was lost cannot be shown call by call.'
      command.error(`error: they do not add up: ${problems[0]}. ${why}`, FOUND_WRONG)
    })
}

function checkCommand({ print, receipts, openPublicDesk }: ReceiptsParts): Command {
  return new Command('check')
    .description('Add receipts up again, and hold them against what Flow holds')
    .argument('<file>', 'what "flowmeter receipts make" wrote')
    .option('--offline', 'without Flow: whether the file agrees with itself')
    .option('--json', 'print one JSON object')
    .action(async (file: string, options: CheckOptions, command: Command) => {
      const made = await (await receipts()).read(file)
      const checked = checkReceipts(made)
      let matched: MatchedReceipts | undefined
      if (options.offline !== true) {
        const { desk, signal } = await openPublicDesk()
        matched = await told(command, () => matchReceipts(made, desk, signal))
      }
      const problems = [...checked.problems, ...(matched?.problems ?? [])]
      if (options.json)
        print(toJson({ ok: problems.length === 0, ...checked, ...matched, problems }))
      else for (const line of toLines(checked, matched)) print(line)
      if (problems.length === 0) return
      const count = `${problems.length} problem${problems.length === 1 ? '' : 's'}`
      command.error(`error: the receipts have ${count}`, FOUND_WRONG)
    })
}

function toLines(checked: CheckedReceipts, matched: MatchedReceipts | undefined): string[] {
  const lines = [`${checked.calls} calls`]
  for (const row of checked.stated?.rows ?? []) {
    const { promptTokens, cachedPromptTokens, completionTokens, requests } = row
    lines.push(
      `  model ${row.modelId}: ${requests} requests, ${promptTokens} prompt tokens ` +
        `(${cachedPromptTokens} cached), ${completionTokens} completion tokens`,
    )
  }
  if (matched !== undefined) {
    const price = matched.price === undefined ? 'not known' : formatWad(matched.price)
    lines.push(`charged on Flow: ${formatWad(matched.charged)}; by the plan: ${price}`)
    lines.push(...matched.notes.map((note) => `note: ${note}`))
  }
  const problems = [...checked.problems, ...(matched?.problems ?? [])]
  lines.push(...problems.map((problem) => `problem: ${problem}`))
  if (problems.length === 0) lines.push('Everything adds up.')
  return lines
}

function whichPeriods(account: bigint, periods: readonly number[]): string {
  if (periods.length === 0) return `no batch states any usage of account ${account}`
  const days = periods.map((start) => new Date(start * 1000).toISOString().slice(0, 10))
  return `which period of account ${account}? Add --period with one of ${days.join(', ')}.`
}

function dayOf(text: string): number {
  const atMs = Date.parse(`${text}T00:00:00Z`)
  if (/^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(atMs)) return atMs / 1000
  throw new InvalidArgumentError('a UTC day, such as 2026-11-01')
}
