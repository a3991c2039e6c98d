import type { Cell, Report } from './report.js'

export const REPORT_FORMATS = ['markdown', 'csv', 'json'] as const
export type ReportFormat = (typeof REPORT_FORMATS)[number]

export function formatReport(report: Report, format: ReportFormat): string {
  if (format === 'json') return JSON.stringify(plainReport(report))
  return format === 'csv' ? toCsv(report) : toMarkdown(report)
}

/** As JSON has it: large integers as text. */
export function plainReport(report: Report): unknown {
  const rows = report.rows.map((row) =>
    Object.fromEntries(report.columns.map(({ name }) => [name, plain(row[name])])),
  )
  return { ...report, rows }
}

/** RFC 4180, without the notes: a header and the rows. */
function toCsv({ columns, rows }: Report): string {
  const header = columns.map(({ name }) => name)
  const lines = rows.map((row) => columns.map(({ name }) => csvCell(row[name] ?? null)))
  return [header, ...lines].map((cells) => `${cells.join(',')}\r\n`).join('')
}

/** Numbers of ours, negative ones too, stay numbers. */
function csvCell(cell: Cell): string {
  const text = cell === null ? '' : String(cell)
  const isNumber = typeof cell !== 'string' || /^-?\d+(\.\d+)?$/.test(text)
  const safe = isNumber ? text : noFormula(text)
  return /[",\r\n]/.test(safe) || safe !== text ? quoted(safe) : safe
}

/** Text between quotes, whatever is in it. */
export function csvText(text: string): string {
  return quoted(noFormula(text))
}

/**
 * A spreadsheet runs what begins with = + - @ or a tab as a formula, and users choose their names:
 * such text gets an apostrophe before it.
 */
function noFormula(text: string): string {
  return /^[\s]*[=+\-@\t\r\n\0＝＋－＠]/.test(text) ? `'${text}` : text
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`
}

function toMarkdown({
  kind,
  at,
  from,
  until,
  account,
  columns,
  rows,
  notes,
  isCut,
}: Report): string {
  const whose = account === undefined ? '' : `, account ${account}`
  const cells = (values: readonly string[]) => `| ${values.join(' | ')} |`
  return [
    `# ${kind}${whose}`,
    '',
    `From ${from} to ${until}, made at ${at}.`,
    '',
    cells(columns.map(({ name }) => name)),
    cells(columns.map(() => '---')),
    ...rows.map((row) => cells(columns.map(({ name }) => markdownCell(row[name] ?? null)))),
    ...(rows.length === 0 ? ['', 'Nothing in this span.'] : []),
    ...(isCut ? ['', 'There is more: name an account, or a shorter span.'] : []),
    ...notes.map((note) => `\n- ${note}`),
    '',
    ...columns.map(({ name, means }) => `- \`${name}\`: ${means}`),
  ].join('\n')
}

/** Users choose their names: no markup of theirs may act, no line may end the table. */
function markdownCell(cell: Cell): string {
  if (cell === null) return ''
  return String(cell)
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .replace(/[\\`*_{}[\]<>()#!|~&]/g, (mark) => `\\${mark}`)
}

function plain(cell: Cell | undefined): string | number | null {
  return typeof cell === 'bigint' ? cell.toString() : (cell ?? null)
}
