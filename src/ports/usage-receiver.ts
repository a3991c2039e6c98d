import type { UsageRecord } from '../domain/usage-record.js'

/** What is wrong with one event, told to whoever sent it. Quotes nothing of it but its id. */
export interface EventProblem {
  /** Its place in the batch, from 0. */
  readonly index: number
  readonly id?: string
  readonly problem: string
}

export type ReceivedEvents =
  | { readonly ok: true; readonly records: readonly UsageRecord[] }
  | { readonly ok: false; readonly problems: readonly EventProblem[] }

/** A source that is not read but sends. Its records are those of every other source. */
export interface UsageReceiver {
  /** Permanent id, as of every source. */
  readonly name: string
  /** Who knows it may send. Compared in constant time, never shown. */
  readonly token: string
  /**
   * Reads events of a batch: all of them, or what is wrong with each that cannot be taken. Never
   * throws.
   */
  parse(events: readonly unknown[], nowMs: number): ReceivedEvents
}

/** One kind of source that sends. The same rules for `config` as for a SourceKind. */
export interface ReceiverKind<Config> {
  receive(config: Config, secretOf: (variable: string) => string): Promise<UsageReceiver>
}
