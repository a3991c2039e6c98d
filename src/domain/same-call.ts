import type { UsageRecord } from './usage-record.js'

/** What of a record decides a bill, and what tells one call from another. */
export type CallFacts = Pick<
  UsageRecord,
  | 'startedAtMs'
  | 'payers'
  | 'model'
  | 'promptTokens'
  | 'cachedPromptTokens'
  | 'completionTokens'
  | 'excluded'
>

/**
 * The billable fields in which two sightings of one id differ; none for the same row seen again.
 * Whether a setting excludes the row is not among them: an operator may change a setting, and the
 * row is still the same. Cost and end time are not billed.
 */
export function billableDifference(before: CallFacts, now: CallFacts): string[] {
  const differing: string[] = []
  if (before.startedAtMs !== now.startedAtMs) differing.push('startedAt')
  if (before.model !== now.model) differing.push('model')
  if (before.promptTokens !== now.promptTokens) differing.push('promptTokens')
  if (before.cachedPromptTokens !== now.cachedPromptTokens) differing.push('cachedPromptTokens')
  if (before.completionTokens !== now.completionTokens) differing.push('completionTokens')
  if (before.payers.user !== now.payers.user) differing.push('user')
  if (before.payers.api_key !== now.payers.api_key) differing.push('api_key')
  if (before.payers.team_id !== now.payers.team_id) differing.push('team_id')
  if (before.payers.end_user !== now.payers.end_user) differing.push('end_user')
  if (ownExclusion(before) !== ownExclusion(now)) differing.push('status')
  return differing
}

/** Whether two records with one request id, of two sources, are one call. */
export function isSameCall(
  one: Pick<CallFacts, 'startedAtMs' | 'promptTokens' | 'completionTokens'>,
  other: Pick<CallFacts, 'startedAtMs' | 'promptTokens' | 'completionTokens'>,
): boolean {
  return (
    one.startedAtMs === other.startedAtMs &&
    one.promptTokens === other.promptTokens &&
    one.completionTokens === other.completionTokens
  )
}

/** The reason that lies in the row itself: a failure, a health check, an unknown status. */
function ownExclusion({ excluded = '' }: CallFacts): string {
  const isOwn = excluded === 'failure' || excluded === 'health_check'
  return isOwn || excluded.startsWith('status_') ? excluded : ''
}
