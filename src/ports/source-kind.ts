import type { ControlTotals } from './control-totals.js'
import type { Reading, UsageSource } from './usage-source.js'

/** What a gateway that shows sums alone was last seen to say. */
export interface Readings {
  /** Of the buckets that start in `[fromMs, untilMs)`. */
  of(source: string, fromMs: number, untilMs: number): Promise<readonly Reading[]>
}

/** What an adapter may need besides its own settings. */
export interface SourceParts {
  /** The value of an environment variable, checked to be there with the settings. */
  readonly secretOf: (variable: string) => string
  /** Absent where nothing is collected, as in `doctor`. */
  readonly readings?: Readings
}

/**
 * One kind of source: what `sources/kinds.ts` has a line for. `config` is a zod object with `kind`
 * (a literal) and `name`; a setting of it whose name ends in `Env` names a variable that holds a
 * secret, and the daemon does not start without that variable.
 */
export interface SourceKind<Config> {
  /** Loads the adapter. Asks the source nothing yet. */
  create(config: Config, parts: SourceParts): Promise<UsageSource>
  /** What an operator does about a code of the port's errors, in a sentence. Shows no secret. */
  fixOf(code: string, config: Config): string
  /** The source's own sums of whole days, where it has any besides what is read. */
  controlTotals?(config: Config, parts: SourceParts): Promise<ControlTotals>
}
