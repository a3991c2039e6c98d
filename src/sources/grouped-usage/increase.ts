import type { Reject, UsageRecord } from '../../domain/usage-record.js'
import type { Reading } from '../../ports/usage-source.js'
import type { Sum } from './parse.js'

export type Change =
  | { readonly record: UsageRecord; readonly reading: Reading }
  | { readonly reject: Reject }
  | undefined

/**
 * What one more look at a sum says: an increase, which is one record, or nothing. A sum of which
 * any part fell is quarantined, and counts again once all of it is above what was counted: usage
 * that was billed does not become unused, and a gateway that forgot counts from there on.
 */
export function increaseOf(source: string, last: Reading | undefined, sum: Sum): Change {
  const increases = last?.increases ?? 0
  const group = groupId(sum)
  const grown = {
    promptTokens: sum.promptTokens - (last?.promptTokens ?? 0n),
    cachedPromptTokens: sum.cachedPromptTokens - (last?.cachedPromptTokens ?? 0n),
    completionTokens: sum.completionTokens - (last?.completionTokens ?? 0n),
  }
  if (Object.values(grown).some((tokens) => tokens < 0n)) {
    const reason = `the sum fell: ${textOf(last)} was counted, now it is ${textOf(sum)}`
    return { reject: { source, requestId: `${group}#${increases}`, reason } }
  }
  if (grown.promptTokens === 0n && grown.completionTokens === 0n) return undefined
  // More cached than prompt has no price: the cached part waits for its prompt.
  if (grown.cachedPromptTokens > grown.promptTokens) {
    const reason = `more cached than prompt tokens were added: ${textOf(last)}, now ${textOf(sum)}`
    return { reject: { source, requestId: `${group}#${increases}`, reason } }
  }
  const record: UsageRecord = {
    // The number makes the id: the same increase seen twice is the same record.
    key: { source, requestId: `${group}#${increases}` },
    startedAtMs: sum.bucketStartMs,
    endedAtMs: sum.bucketStartMs,
    payers: { user: sum.user, api_key: '', team_id: '', end_user: '' },
    model: sum.model,
    ...grown,
    spend: '',
  }
  return { record, reading: { ...sum, increases: increases + 1 } }
}

/** One name for bucket, user and model, whatever characters are in them. */
export function groupId({
  bucketStartMs,
  user,
  model,
}: Pick<Sum, 'bucketStartMs' | 'user' | 'model'>) {
  const at = new Date(bucketStartMs).toISOString()
  return `${at}/${encodeURIComponent(user)}/${encodeURIComponent(model)}`
}

function textOf(sum: Sum | undefined): string {
  const { promptTokens = 0n, cachedPromptTokens = 0n, completionTokens = 0n } = sum ?? {}
  return `${promptTokens} prompt (${cachedPromptTokens} cached) and ${completionTokens} completion`
}
