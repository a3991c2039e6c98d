import { z } from 'zod'
import { type AccountNumber, canonicalAccount } from '../domain/ids.js'

/** Every problem at once, by its place in the file. */
export interface DirectoryFile {
  readonly entries: ReadonlyMap<string, AccountNumber>
  readonly problems: readonly string[]
}

/**
 * `payer,account` lines with or without that heading, or JSON: `{ "payer": account }` or
 * `[{ "payer", "account" }]`. Payers are taken letter by letter; in CSV, quotes as usual.
 */
export function parseDirectoryFile(text: string): DirectoryFile {
  const trimmed = text.replace(/^\uFEFF/, '')
  return /^\s*[[{]/.test(trimmed) ? parseJson(trimmed) : parseCsv(trimmed)
}

const account = z.union([z.string(), z.int().nonnegative().transform(String)])
const json = z.union([
  z.record(z.string(), account).transform((table) => Object.entries(table)),
  z
    .array(z.strictObject({ payer: z.string(), account }))
    .transform((rows) => rows.map((row): [string, string] => [row.payer, row.account])),
])

function parseJson(text: string): DirectoryFile {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { entries: new Map(), problems: ['the file is not JSON'] }
  }
  const parsed = json.safeParse(value)
  if (!parsed.success) {
    const problem =
      'expected { "payer": account } or [{ "payer", "account" }]; accounts above 2^53 as text'
    return { entries: new Map(), problems: [problem] }
  }
  return collect(parsed.data.map(([payer, number], i) => [`entry ${i + 1}`, payer, number]))
}

function parseCsv(text: string): DirectoryFile {
  const problems: string[] = []
  const rows: [string, string, string][] = []
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue
    const fields = fieldsOf(line)
    if (fields?.length !== 2) {
      problems.push(`line ${i + 1}: expected two fields, payer,account`)
      continue
    }
    const [payer = '', number = ''] = fields
    if (rows.length === 0 && payer === 'payer' && number === 'account') continue
    rows.push([`line ${i + 1}`, payer, number])
  }
  const { entries, problems: more } = collect(rows)
  return { entries, problems: [...problems, ...more] }
}

/** Undefined where quotes are not closed. */
function fieldsOf(line: string): string[] | undefined {
  const field = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y
  const fields: string[] = []
  for (;;) {
    const match = field.exec(line)
    if (match === null) return undefined
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    if (match[3] === '') return fields
  }
}

function collect(rows: readonly (readonly [string, string, string])[]): DirectoryFile {
  const entries = new Map<string, AccountNumber>()
  const problems: string[] = []
  for (const [place, payer, text] of rows) {
    const number = canonicalAccount(text.trim())
    const before = entries.get(payer)
    if (payer === '') problems.push(`${place}: the payer is empty`)
    else if (number === undefined) problems.push(`${place}: "${text}" is no account number`)
    else if (before !== undefined && before !== number) {
      problems.push(`${place}: "${payer}" has account ${before} further up`)
    } else entries.set(payer, number)
  }
  return { entries, problems }
}
