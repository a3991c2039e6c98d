import { Command, InvalidArgumentError } from 'commander'
import { AUDITED } from '../pipeline/audit.js'
import type { DailyDifference } from '../ports/control-totals.js'
import type { Checks } from '../ports/stores.js'
import { FOUND_WRONG } from './exit-code.js'
import type { AuditedDay } from './metering-tools.js'
import { type CliParts, toJson } from './parts.js'

type AuditParts = Pick<CliParts, 'metering' | 'operations' | 'print'>

interface Options {
  readonly day?: string
  readonly from?: string
  readonly until?: string
  readonly json?: true
}

/** Computes all of it anew, and holds what is stored against what others say. */
export function auditCommand({ metering, operations, print }: AuditParts): Command {
  const audit = new Command('audit')
    .description('Compute all of it anew from the records, read both chains, and compare')
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: true }, command: Command) => {
      const checks = await (await operations()).audit()
      const differing = Object.entries(checks).filter(([, difference]) => difference !== 0n)
      if (options.json) print(toJson({ ok: differing.length === 0, checks }))
      else for (const line of checkLines(checks)) print(line)
      if (differing.length === 0) return
      const names = differing.map(([name]) => name).join(', ')
      command.error(`error: not 0: ${names} (docs/recovery.md says what to do)`, FOUND_WRONG)
    })
  audit
    .command('source')
    .description("Compare our rows of closed UTC days with LiteLLM's own daily sums, key by key")
    .argument('[name]', 'one source; all of them unless given')
    .option('--day <day>', 'one day, such as 2026-11-21', dayOf)
    .option('--from <day>', 'the first day; the last week that is closed unless given', dayOf)
    .option('--until <day>', 'the last day', dayOf)
    .option('--json', 'print one JSON object')
    .action(async (name: string | undefined, _: Options, command: Command) => {
      const options = command.optsWithGlobals<Options>()
      const from = options.day ?? options.from
      const until = options.day ?? options.until ?? from
      if (from !== undefined && until !== undefined && until < from) {
        command.error('error: --until is before --from', { exitCode: 2 })
      }
      if (from === undefined && until !== undefined) {
        command.error('error: --until needs --from', { exitCode: 2 })
      }
      const days = from === undefined || until === undefined ? undefined : { from, until }
      const compared = await (await metering()).audit(name, days)
      const differing = compared.filter(({ differences }) => differences.length > 0).length
      if (options.json) print(toJson({ equal: differing === 0, days: compared }))
      else for (const line of compared.flatMap(toLines)) print(line)
      if (compared.length === 0) print('No day is closed and read yet.')
      if (differing === 0) return
      command.error(`error: ${differing} of ${compared.length} days differ`, { exitCode: 2 })
    })
  return audit
}

/** By the number that the invariant has in the documentation. */
function checkLines(checks: Checks): string[] {
  const rows = Object.entries(checks).map(([name, difference]) => {
    const [invariant, says] = AUDITED[name] ?? [0, '']
    return { invariant, text: `${invariant}  ${name.padEnd(23)} ${difference}  ${says}` }
  })
  return rows.sort((a, b) => a.invariant - b.invariant).map(({ text }) => text)
}

function toLines({ source, day, compared, differences, caveat }: AuditedDay): string[] {
  const head = `${source} ${day}: ${compared} keys and models compared`
  const notes = caveat === undefined ? [] : [`  ${caveat}`]
  if (differences.length === 0) return [`${head}, all equal`, ...notes]
  return [`${head}, ${differences.length} differ:`, ...notes, ...differences.map(differenceLine)]
}

function differenceLine({ apiKey, model, ours, theirs }: DailyDifference): string {
  const side = (one: DailyDifference['ours']) =>
    `${one.requests} requests, ${one.promptTokens} + ${one.completionTokens} tokens`
  const name = model === '' ? 'models without a public name' : model
  return `  key ${apiKey.slice(0, 12)}, ${name}: ours ${side(ours)}; LiteLLM's ${side(theirs)}`
}

function dayOf(text: string): string {
  // The 31st of February is read as the 3rd of March: only a day that comes back is one.
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  if (!Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text)) return text
  throw new InvalidArgumentError('a UTC day, such as 2026-11-21')
}
