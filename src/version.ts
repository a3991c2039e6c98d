import { readFileSync } from 'node:fs'

/** The package's own version. Both `src/` and `dist/src/` lie below its package.json. */
export const version: string = readVersion(['../package.json', '../../package.json'])

function readVersion(places: readonly string[]): string {
  for (const place of places) {
    try {
      const parsed: { name?: unknown; version?: unknown } = JSON.parse(
        readFileSync(new URL(place, import.meta.url), 'utf8'),
      )
      if (parsed.name === 'flowmeter') return String(parsed.version)
    } catch {
      // Not there: the next place.
    }
  }
  return 'unknown'
}
