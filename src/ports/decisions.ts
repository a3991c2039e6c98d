import type { RecordKey, UsageRecord } from '../domain/usage-record.js'

/** What counts of a record, by the operator's own rule. The record itself never changes. */
export type Decision =
  | { readonly verdict: 'count' }
  | { readonly verdict: 'exclude'; readonly reason: string }
  /** The rule failed on it: it waits. */
  | { readonly verdict: 'hold'; readonly reason: string }
  | {
      readonly verdict: 'cap'
      readonly reason: string
      readonly promptTokens: bigint
      readonly cachedPromptTokens: bigint
      readonly completionTokens: bigint
    }

export interface DecisionCounts {
  readonly excluded: number
  readonly capped: number
  readonly held: number
}

/**
 * Decisions beside the records. One that was made stays until another version of the rule decides,
 * and for ever once the record is in a batch.
 */
export interface Decisions {
  /** Billable, in no batch, and not decided by this version, or held and due again. Oldest first. */
  undecided(
    ruleVersion: string,
    heldBeforeMs: number,
    limit: number,
  ): Promise<readonly UsageRecord[]>
  /** In one transaction; passes over records that are in a batch by now. */
  save(
    ruleVersion: string,
    decisions: readonly { readonly key: RecordKey; readonly decision: Decision }[],
  ): Promise<void>
  /** By `nameOfRecord`; those of other versions are not among them. */
  of(ruleVersion: string, keys: readonly RecordKey[]): Promise<ReadonlyMap<string, Decision>>
  counts(): Promise<DecisionCounts>
  /** What was decided against counting in full, newest first. */
  list(limit: number): Promise<readonly { readonly key: RecordKey; readonly decision: Decision }[]>
}
