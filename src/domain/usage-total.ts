import { assert } from './errors.js'
import type { AccountNumber, ModelId } from './ids.js'

/** What is counted. `cachedPromptTokens` is a part of `promptTokens`. */
export interface Usage {
  readonly promptTokens: bigint
  readonly cachedPromptTokens: bigint
  readonly completionTokens: bigint
  readonly requests: bigint
}

/** The cumulative counters of one model in one (vault, period). */
export interface UsageTotal extends Usage {
  readonly modelId: ModelId
}

/** Names one entry: a vault in a billing period (its start, in seconds since 1970, UTC). */
export interface EntryKey {
  readonly accountNumber: AccountNumber
  readonly periodStart: number
}

export const NO_USAGE: Usage = {
  promptTokens: 0n,
  cachedPromptTokens: 0n,
  completionTokens: 0n,
  requests: 0n,
}

export function addUsage(a: Usage, b: Usage): Usage {
  const sum = {
    promptTokens: a.promptTokens + b.promptTokens,
    cachedPromptTokens: a.cachedPromptTokens + b.cachedPromptTokens,
    completionTokens: a.completionTokens + b.completionTokens,
    requests: a.requests + b.requests,
  }
  assert(sum.cachedPromptTokens <= sum.promptTokens, 'cached tokens are part of the prompt')
  return sum
}

/** What is left of `a` without `b`, which is a part of it. */
export function subtractUsage(a: Usage, b: Usage): Usage {
  const left = {
    promptTokens: a.promptTokens - b.promptTokens,
    cachedPromptTokens: a.cachedPromptTokens - b.cachedPromptTokens,
    completionTokens: a.completionTokens - b.completionTokens,
    requests: a.requests - b.requests,
  }
  assert(
    Object.values(left).every((value) => value >= 0n),
    'more is taken than there is',
  )
  return left
}
