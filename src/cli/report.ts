import { Command, InvalidArgumentError, Option } from 'commander'
import type { AccountNumber } from '../domain/ids.js'
import { formatReport, REPORT_FORMATS, type ReportFormat } from '../reports/format.js'
import { type AskedReport, REPORT_KINDS, type Report } from '../reports/report.js'
import { accountArgument } from './ordered.js'
import type { CliParts } from './parts.js'

export interface ReportTools {
  /** What is wrong with the question, instead, in words that help. */
  make(kind: string, asked: AskedReport): Promise<Report | string>
}

interface Options {
  readonly account?: AccountNumber
  readonly from?: string
  readonly to?: string
  readonly by?: string
  readonly format: ReportFormat
  readonly json?: true
}

/** Reads the store, so it answers whether the daemon runs or not. */
export function reportCommand({ reports, print }: Pick<CliParts, 'reports' | 'print'>): Command {
  return new Command('report')
    .description('What usage looks like, costs and will cost: hours, models, users, vaults, tiers')
    .argument('<kind>', REPORT_KINDS.join(', '), kindArgument)
    .option('--account <number>', 'of one vault alone', accountArgument)
    .option('--from <instant>', 'its beginning, such as 2026-11-01; 28 days before its end')
    .option('--to <instant>', 'its end, exclusive; now')
    .option(
      '--by <field>',
      'who is a user: user, team_id, end_user or api_key; as the mapping has it',
    )
    .addOption(
      new Option('--format <format>', 'how it is written')
        .choices(REPORT_FORMATS)
        .default('markdown'),
    )
    .option('--json', 'the same as --format json')
    .action(async (kind: string, options: Options, command: Command) => {
      const { format, json, ...asked } = options
      const report = await (await reports()).make(kind, asked)
      if (typeof report === 'string') return command.error(`error: ${report}`, { exitCode: 2 })
      // A CSV ends its last line by itself.
      print(formatReport(report, json ? 'json' : format).replace(/\r\n$/, ''))
    })
}

function kindArgument(text: string): string {
  if (REPORT_KINDS.some((kind) => kind === text)) return text
  throw new InvalidArgumentError(`expected one of ${REPORT_KINDS.join(', ')}`)
}
