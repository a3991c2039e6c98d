import type { AccountNumber } from './ids.js'

/** Unique for ever: a second row with the same key is the same call seen again. */
export interface RecordKey {
  /** The permanent id of the LiteLLM instance. */
  readonly source: string
  readonly requestId: string
}

/** The fields of a record that can say whose usage it is. */
export const PAYER_FIELDS = ['user', 'api_key', 'team_id', 'end_user'] as const
export type PayerField = (typeof PAYER_FIELDS)[number]

/** One metered call, as its source logged it. Immutable. */
export interface UsageRecord {
  readonly key: RecordKey
  /** When the request started, in ms since 1970, UTC. It decides the billing period. */
  readonly startedAtMs: number
  readonly endedAtMs: number
  /** Empty text where the source has none. */
  readonly payers: Readonly<Record<PayerField, string>>
  /** As in the source's row: the name the client asked for, else the model that was called. */
  readonly model: string
  readonly promptTokens: bigint
  /** A part of `promptTokens`. */
  readonly cachedPromptTokens: bigint
  readonly completionTokens: bigint
  /** Why the record does not count; absent for a billable one. */
  readonly excluded?: string
  /** What LiteLLM believes the call cost, as text and for display: never computed with. */
  readonly spend: string
}

/** A row that is no usage record, kept with the reason. `rowHash` tells it from others. */
export interface Reject {
  readonly source: string
  /** The row's own id where it has a readable one, else keccak of the row. */
  readonly requestId: string
  readonly reason: string
}

/** Where a record stands: whose vault it goes to, or why that is not known. */
export type Attribution =
  | { readonly account: AccountNumber; readonly strategy: string }
  | { readonly account?: undefined; readonly reason: string }
