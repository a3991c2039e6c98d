import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The text of a file of `cadence/`, by its path there: "transactions/anybody/deposit". */
export function cadenceSource(name: string): string {
  return readFileSync(join(cadenceFolder(), `${name}.cdc`), 'utf8')
}

/** `cadence/`, seen from the sources and from `dist/`. */
function cadenceFolder(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const cadence = join(folder, 'cadence')
    if (existsSync(join(cadence, 'flow.json'))) return cadence
  }
  throw new Error('the folder cadence/ is not there')
}
