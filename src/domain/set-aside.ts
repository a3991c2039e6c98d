import { keccak, utf8 } from './bytes.js'
import type { RecordKey, UsageRecord } from './usage-record.js'

/** A call that another source showed before. */
export const TWIN_SOURCE = 'twin_source'
/** Called a failure, though an answer was paid for. */
export const HELD_FAILURE = 'held_failure'
/** A stream that the client left, with estimated tokens, where the settings say to ask. */
export const HELD_DISCONNECT = 'held_client_disconnected'

/** Reasons of exclusion on which an operator has the last word. */
export const HELD_REASONS = [TWIN_SOURCE, HELD_FAILURE, HELD_DISCONNECT] as const

export function isHeldReason(excluded: string): boolean {
  return HELD_REASONS.some((reason) => reason === excluded)
}

/** Why a row waits for an operator's word: one of those, or it is a known id with other fields. */
export const SET_ASIDE_REASONS = ['changed', ...HELD_REASONS] as const
export type SetAsideReason = (typeof SET_ASIDE_REASONS)[number]

/** A row that does not count until an operator says so. */
export interface SetAside {
  readonly record: UsageRecord
  readonly reason: SetAsideReason
  /** The fields in which it differs from the row that was read first; empty unless it `changed`. */
  readonly differs: readonly string[]
  /** Tells rows with one id apart; empty unless it `changed`. */
  readonly rowHash: string
  readonly seenAtMs: number
}

/**
 * The key under which a changed row counts, beside the one that was read first. Derived from what is
 * billed of it, so that the same row counted again is the same record again.
 */
export function changedKey({ key, ...record }: UsageRecord): RecordKey {
  const { startedAtMs, payers, model, promptTokens, cachedPromptTokens, completionTokens } = record
  const tokens = [promptTokens, cachedPromptTokens, completionTokens].map(String)
  const { user, api_key, team_id, end_user } = payers
  const billed = [startedAtMs, user, api_key, team_id, end_user, model, ...tokens]
  const tail = keccak(utf8(JSON.stringify(billed))).slice(2, 18)
  return { source: key.source, requestId: `${key.requestId}~${tail}` }
}
