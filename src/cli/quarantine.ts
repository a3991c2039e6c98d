import { Command, InvalidArgumentError, Option } from 'commander'
import { batchName } from '../domain/ids.js'
import { SET_ASIDE_REASONS, type SetAside, type SetAsideReason } from '../domain/set-aside.js'
import type { Verdict } from '../ports/set-asides.js'
import type { SetAsideWord } from './metering-tools.js'
import { type CliParts, toJson } from './parts.js'

const SHOWN = 100
const SHOWN_MAX = 100_000
const HASH_CHARS = 10
const DECIDED = 'was decided on before: nothing was changed'

interface Options {
  readonly source?: string
  readonly reason?: SetAsideReason
  readonly row?: string
  readonly instead?: true
  readonly all?: true
  readonly limit: number
  readonly json?: true
}

type Parts = Pick<CliParts, 'metering' | 'print'>

/** Rows that do not count until an operator says so. */
export function quarantineCommand(parts: Parts): Command {
  const quarantine = new Command('quarantine').description(
    'Rows that do not count until you decide: shown again with other fields, by a second source, ...',
  )
  quarantine.addCommand(listCommand(parts))
  const count = wordCommand('count', parts)
    .description('Let a row count, once; or all of a source and reason')
    .option('--instead', 'in place of the row that was read first, unless that is in a batch')
  const dismiss = wordCommand('dismiss', parts).description('Leave a row uncounted, for good')
  return quarantine.addCommand(count).addCommand(dismiss).addCommand(rejectsCommand(parts))
}

function listCommand({ metering, print }: Parts): Command {
  return choosing(new Command('list'))
    .description('Show them, newest first, and why each is here')
    .option('--limit <n>', 'the newest so many', limitOf, SHOWN)
    .option('--json', 'print one JSON object')
    .action(async ({ source, reason, limit, json }: Options) => {
      const choice = { ...(source ? { source } : {}), ...(reason ? { reason } : {}) }
      const rows = await (await metering()).setAsides(choice, limit)
      if (json) return print(toJson({ quarantine: rows.map(shown) }))
      for (const row of rows) for (const line of linesOf(row)) print(line)
      if (rows.length === 0) print('No row waits for a decision.')
      if (rows.length === limit) print(`The newest ${limit}; --limit shows more.`)
    })
}

function rejectsCommand({ metering, print }: Parts): Command {
  return new Command('rejects')
    .description('Show rows that could not be read and so do not count, newest first')
    .option('--limit <n>', 'the newest so many', limitOf, SHOWN)
    .option('--json', 'print one JSON object')
    .action(async ({ limit, json }: Pick<Options, 'limit' | 'json'>) => {
      const rows = await (await metering()).rejects(limit)
      if (json) return print(toJson({ rejects: rows }))
      for (const { source, requestId, reason, seenAtMs } of rows) {
        print(`${source}/${requestId}, seen ${new Date(seenAtMs).toISOString()}`)
        for (const line of reason.split('\n')) print(`  ${line.trim()}`)
      }
      if (rows.length === 0) return print('Every row could be read.')
      print('Once mended at the source, a row is read again by the re-scan, or by a backfill.')
    })
}

function wordCommand(word: 'count' | 'dismiss', { metering, print }: Parts): Command {
  return choosing(new Command(word))
    .argument('[request-id]', 'the row, as `quarantine list` names it')
    .option('--row <hash>', 'the beginning of its hash, where one id has several rows')
    .option('--all', 'all rows of --source and --reason')
    .option('--json', 'print one JSON object')
    .action(async (requestId: string | undefined, options: Options, command: Command) => {
      const { source, reason, row: rowHash, all } = options
      const fail = (why: string): never => command.error(`error: ${why}`, { exitCode: 2 })
      if ((requestId === undefined) !== (all === true)) {
        return fail('name one row, or say --all with --source and --reason')
      }
      if (all && (source === undefined || reason === undefined)) {
        return fail('--all needs --source and --reason: it decides on every row of them')
      }
      const tools = await metering()
      const choice = {
        ...(source ? { source } : {}),
        ...(reason ? { reason } : {}),
        ...(requestId ? { requestId } : {}),
        ...(rowHash ? { rowHash } : {}),
      }
      const rows = await tools.setAsides(choice, SHOWN_MAX)
      if (rows.length === 0) {
        return fail('no such row waits for a decision; see `flowmeter quarantine list`')
      }
      if (!all && rows.length > 1) {
        return fail(
          `${rows.length} rows have this id: name one by --source, --reason or --row\n${rows
            .flatMap(linesOf)
            .join('\n')}`,
        )
      }
      const said: SetAsideWord = word === 'count' && options.instead ? 'instead' : word
      const verdicts = await tools.decide(rows, said)
      if (options.json)
        print(toJson({ decided: rows.map((row, i) => verdictOf(row, verdicts[i])) }))
      else for (const [i, row] of rows.entries()) print(`${nameOf(row)} ${saidOf(verdicts[i])}`)
      if (verdicts.some(({ outcome }) => outcome === 'sealed' || outcome === 'decided')) {
        fail('not every row was decided on')
      }
    })
}

function choosing(command: Command): Command {
  return command
    .option('--source <name>', 'of this source alone')
    .addOption(new Option('--reason <reason>', 'of this reason alone').choices(SET_ASIDE_REASONS))
}

function verdictOf(row: SetAside, verdict: Verdict | undefined) {
  return { ...row.record.key, rowHash: row.rowHash, ...verdict }
}

function saidOf(verdict: Verdict | undefined): string {
  switch (verdict?.outcome) {
    case 'counts':
      return 'counts from now on'
    case 'dismissed':
      return 'is left uncounted'
    case 'sealed':
      return (
        `cannot replace the row that was read first: batch ${batchName(verdict.batch)} has it. Let it count ` +
        'beside that one, or dismiss it and correct the total (flowmeter correct)'
      )
    case 'decided':
      if (verdict.replacedBy === undefined) return DECIDED
      return (
        `cannot replace the row that was read first: row ${verdict.replacedBy.slice(0, HASH_CHARS)} ` +
        'has its place. Let it count beside that one, or dismiss it'
      )
    default:
      return DECIDED
  }
}

function shown({ record, reason, differs, rowHash, seenAtMs }: SetAside) {
  const { key, payers, startedAtMs, endedAtMs: _, ...rest } = record
  const startedAt = new Date(startedAtMs).toISOString()
  const seenAt = new Date(seenAtMs).toISOString()
  return { ...key, reason, differs, rowHash, startedAt, seenAt, ...payers, ...rest }
}

function linesOf(row: SetAside): string[] {
  const { record, reason, differs, rowHash } = row
  const { payers, model, promptTokens, completionTokens, startedAtMs } = record
  const why =
    reason === 'changed'
      ? `other ${differs.join(', ')} than the row read first; --row ${rowHash.slice(0, HASH_CHARS)}`
      : reason
  return [
    `${nameOf(row)}: ${why}`,
    `  "${payers.user}", ${model}, ${promptTokens} + ${completionTokens} tokens, ` +
      `of ${new Date(startedAtMs).toISOString()}`,
  ]
}

function nameOf({ record: { key } }: SetAside): string {
  return `${key.source}/${key.requestId}`
}

function limitOf(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= SHOWN_MAX) return value
  throw new InvalidArgumentError(`a number from 1 to ${SHOWN_MAX}`)
}
