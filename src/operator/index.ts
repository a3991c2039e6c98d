import type { StrategyConfig } from '../mapping/config.js'
import type { PayerDirectory } from '../ports/payer-directory.js'
import type { RecordRule } from '../ports/record-rule.js'
import type { AggregationConfig } from './config.js'

export { aggregationConfig } from './config.js'

/** Holds a thread, perhaps. */
export type Closing<Made> = Made & { close(): Promise<void> }

/**
 * The directories of a mapping chain that have to be asked. Asks none of them yet.
 *
 * @param folder of the settings: paths are from there
 */
export async function createDirectories(
  chain: readonly StrategyConfig[],
  secretOf: (variable: string) => string,
  folder: string,
): Promise<readonly Closing<PayerDirectory>[]> {
  const made: Closing<PayerDirectory>[] = []
  for (const one of chain) {
    if (one.kind === 'sql') {
      const { sqlDirectory } = await import('./sql-directory.js')
      made.push(sqlDirectory(one, secretOf(one.databaseUrlEnv), folder))
    }
    if (one.kind === 'module') {
      const { moduleDirectory } = await import('./module-directory.js')
      made.push(moduleDirectory(one, folder))
    }
  }
  return made
}

export async function createRecordRule(
  config: AggregationConfig | undefined,
  folder: string,
): Promise<Closing<RecordRule> | undefined> {
  if (config === undefined) return undefined
  return (await import('./record-rule.js')).recordRule(config, folder)
}
