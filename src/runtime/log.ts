import { basename, dirname } from 'node:path'
import { type Logger, multistream, pino } from 'pino'
import { createStream } from 'rotating-file-stream'
import { redact } from './redaction.js'

export type { Logger } from 'pino'

export interface LogParts {
  readonly level: string
  /** A rotated copy of what goes to stdout; none when absent. */
  readonly file?: string
}

/** One JSON object a line, without secrets, to stdout and a rotated file (10 MB a file, 14 kept). */
export function createLogger({ level, file }: LogParts): Logger {
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
