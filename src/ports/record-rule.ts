import type { UsageRecord } from '../domain/usage-record.js'
import type { Decision } from './decisions.js'

/** The operator's own rule of what counts. */
export interface RecordRule {
  /** Changes with the rule: then everything that waits is decided again. */
  readonly version: string
  /** Looks at the record alone, so that it says the same again. A rule that fails holds it. */
  decide(record: UsageRecord, signal: AbortSignal): Promise<Decision>
}
