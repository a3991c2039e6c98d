import { basename, dirname } from 'node:path'
import { type Logger, multistream, pino } from 'pino'
import { createStream } from 'rotating-file-stream'

export type { Logger } from 'pino'

export interface LogParts {
  readonly level: string
  /** A rotated copy of what goes to stdout; none when absent. */
  readonly file?: string
  /** Every value that must never be seen. It is cut out wherever it stands. */
  readonly secrets: readonly string[]
}

const REDACTED = '[redacted]'
/** Shorter ones would cut ordinary words out of the log. */
const SECRET_LENGTH_MIN = 8

/** One JSON object a line, to stdout and a rotated file (10 MB a file, 14 kept). */
export function createLogger({ level, file, secrets }: LogParts): Logger {
  const redact = redactor(secrets)
  const streams: { stream: { write(line: string): void }; level: 'trace' }[] = [
    { level: 'trace', stream: { write: (line) => void process.stdout.write(redact(line)) } },
  ]
  if (file !== undefined) {
    const path = dirname(file)
    const rolling = createStream(basename(file), { path, size: '10M', maxFiles: 14 })
    streams.push({ level: 'trace', stream: { write: (line) => void rolling.write(redact(line)) } })
  }
  const formatters = { level: (label: string) => ({ level: label }) }
  const timestamp = pino.stdTimeFunctions.isoTime
  return pino({ level, base: null, timestamp, formatters }, multistream(streams))
}

/**
 * Cuts every secret out of a text, as it is and as JSON would write it; without the spaces around it
 * and in any case, since settings are trimmed and keys are written in lower case on the way.
 */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const needles = secrets
    .map((secret) => secret.trim().replace(/^0x/i, ''))
    .filter(({ length }) => length >= SECRET_LENGTH_MIN)
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)])
  if (needles.length === 0) return (text) => text
  // The longest first: one secret may be a part of another.
  const sorted = [...new Set(needles)].sort((a, b) => b.length - a.length).map(literal)
  const anyOfThem = new RegExp(`(?:0x)?(?:${sorted.join('|')})`, 'gi')
  return (text) => text.replace(anyOfThem, REDACTED)
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
