import { type Logger, pino } from 'pino'

/** A log that a test can read. */
export function logOf(): { log: Logger; lines: () => Record<string, unknown>[] } {
  const written: string[] = []
  const log = pino(
    { level: 'trace', base: null },
    { write: (line: string) => void written.push(line) },
  )
  return { log, lines: () => written.map((line) => JSON.parse(line)) }
}
