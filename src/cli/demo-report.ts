import { formatWad, wad } from '../domain/money.js'
import type { Status } from '../pipeline/status.js'
import { toJson } from './parts.js'

/** What the local network says of itself, without the daemon. Money in wad. */
export interface Reckoned {
  readonly rows: number
  readonly billableRows: number
  readonly vaults: readonly {
    readonly id: bigint
    readonly user: string
    readonly tokens: Readonly<Record<string, bigint>>
    readonly charged: bigint
    readonly expected: bigint
    readonly paid: bigint
    readonly owed: bigint
  }[]
  readonly checks: Readonly<Record<string, bigint>>
}

export interface DemoReport {
  readonly ok: boolean
  readonly rows: number
  readonly records: number
  readonly unmapped: number
  readonly batches: readonly {
    readonly seq: string
    readonly root: string
    readonly round: number | undefined
    readonly entries: number
  }[]
  readonly vaults: Reckoned['vaults']
  readonly checks: Readonly<Record<string, string>>
  readonly transactions: Status['transactions']
}

/** Puts the daemon's figures beside the network's own, and what else was checked. Fine when every check reads 0. */
export function makeReport(
  status: Status,
  reckoned: Reckoned,
  more: Readonly<Record<string, string>> = {},
): DemoReport {
  const { records, unmapped, conservation } = status
  const seen = records.total + records.rejected
  const checks: Record<string, string> = {
    ...conservation?.checks,
    ...mapText(reckoned.checks),
    rows_not_seen: String(reckoned.rows - seen),
    rows_not_settled: String(reckoned.billableRows - records.sealed),
    parked_batches: String(status.parked.length),
    refused_entries: String(status.refusedEntries),
    ...more,
  }
  return {
    ok: conservation !== undefined && Object.values(checks).every((value) => value === '0'),
    rows: reckoned.rows,
    records: records.total,
    unmapped: unmapped.records,
    batches: [...status.batches]
      .reverse()
      .map(({ seq, root, round, entries }) => ({ seq, root, round, entries })),
    vaults: reckoned.vaults,
    checks,
    transactions: status.transactions,
  }
}

function mapText(values: Readonly<Record<string, bigint>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))
}

/** Tables for people. */
export function reportLines(report: DemoReport): string[] {
  const vaults = report.vaults.map(({ id, user, tokens, charged, expected, paid, owed }) => [
    user,
    String(id),
    Object.entries(tokens)
      .map(([model, count]) => `${model} ${count}`)
      .join(', '),
    ...[charged, expected, paid, owed].map((amount) => `$${formatWad(wad(amount))}`),
  ])
  const batches = report.batches.map(({ seq, round, entries, root }) => [
    seq,
    String(round ?? '-'),
    String(entries),
    root,
  ])
  const transactions = [...report.transactions]
    .reverse()
    .map(({ purpose, lane, id, fate }) => [purpose, lane.split('/')[0] ?? lane, id, fate])
  const checks = Object.entries(report.checks).map(([name, value]) => [name, value])
  return [
    '',
    `${report.rows} rows in LiteLLM, ${report.records} usage records, ${report.unmapped} unmapped`,
    '',
    ...table(['user', 'vault', 'tokens', 'charged', 'expected', 'paid', 'owed'], vaults),
    '',
    ...table(['batch', 'round', 'entries', 'root'], batches),
    '',
    ...table(['for', 'chain', 'transaction', 'fate'], transactions),
    '',
    ...table(['must be 0', 'is'], checks),
    '',
    report.ok ? 'Everything adds up.' : 'SOMETHING DOES NOT ADD UP: see the checks above.',
  ]
}

/** Everything of the report, in one line; money as decimal text. */
export function reportJson({ transactions: _, ...report }: DemoReport): string {
  return toJson({
    ...report,
    checks: Object.fromEntries(
      Object.entries(report.checks).map(([name, value]) => [name, Number(value)]),
    ),
  })
}

const TOKENS_WIDTH_MAX = 60

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const cut = rows.map((row) => row.map(wrap))
  const widths = heads.map((head, i) =>
    Math.max(head.length, ...cut.flatMap((row) => (row[i] ?? ['']).map(({ length }) => length))),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()
  return [
    line(heads),
    line(widths.map((width) => '-'.repeat(width))),
    ...cut.flatMap((row) => {
      const height = Math.max(...row.map(({ length }) => length))
      return Array.from({ length: height }, (_, i) => line(row.map((cell) => cell[i] ?? '')))
    }),
  ]
}

/** A long list goes on below itself. */
function wrap(text: string): string[] {
  const lines: string[] = ['']
  for (const part of text.split(/(?<=, )/)) {
    const last = lines.at(-1) ?? ''
    if (last.length + part.length > TOKENS_WIDTH_MAX && last !== '') lines.push(part)
    else lines[lines.length - 1] = last + part
  }
  return lines.map((one) => one.trimEnd())
}
