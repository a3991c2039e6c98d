import { createHash } from 'node:crypto'
import type { Random } from './random.js'
import type { VersionTraits } from './versions.js'

/** The key that LiteLLM's own health checks are logged under. */
export const HEALTH_CHECK_KEY = 'litellm-internal-health-check'

/** One metered call to insert. What is not given gets the value of an ordinary chat call. */
export interface NewCall {
  readonly user: string
  /** UTC milliseconds; becomes `startTime`, which is when the request began. */
  readonly startedAtMs: number
  readonly promptTokens: number
  readonly completionTokens: number
  /** The public name that the client asked for. Empty on refused management calls. */
  readonly modelGroup?: string
  /** The model of the provider. */
  readonly model?: string
  readonly provider?: string
  readonly durationMs?: number
  /** From the end of the call until its row can be read. Recorded: 0.4 to 8.4 s. */
  readonly writeLagMs?: number
  readonly requestId?: string
  readonly callId?: string
  /** The stored hash of the virtual key; by default one key per user. */
  readonly apiKey?: string
  readonly keyAlias?: string
  readonly callType?: string
  /** Part of the prompt that the provider read from its cache. */
  readonly cachedPromptTokens?: number
  /** Null on very old rows, which are successes. */
  readonly status?: 'success' | 'failure' | null
  readonly isCacheHit?: boolean
  readonly isStream?: boolean
  readonly errorClass?: string
  readonly spend?: number
  readonly endUser?: string
  readonly teamId?: string
  /** Fields of the answer to overwrite, so that the row can no longer be read. */
  readonly garbled?: Readonly<Record<string, unknown>>
}

/** A row of the table, under the names of its columns. */
export interface StoredCall {
  readonly request_id: string
  readonly call_id: string
  readonly call_type: string
  readonly api_key: string
  readonly key_alias: string | null
  readonly spend: number
  readonly total_tokens: number
  readonly prompt_tokens: number
  readonly cached_prompt_tokens: number
  readonly completion_tokens: number
  readonly start_ms: number
  readonly end_ms: number
  readonly visible_at_ms: number
  readonly model: string
  readonly model_group: string
  readonly provider: string
  readonly user: string
  readonly end_user: string
  readonly team_id: string
  readonly session_id: string
  readonly cache_hit: string
  readonly status: string | null
  readonly error_class: string | null
  readonly garbled: string | null
}

const LAG_MS_MIN = 400
const LAG_MS_MAX = 8_400
const TYPICAL_MS = 800

/** Completes a call to the row that the given release would have written. */
export function storedCall(call: NewCall, random: Random, traits: VersionTraits): StoredCall {
  const isFailure = call.status === 'failure'
  const isEmbedding = call.callType === 'aembedding'
  const callId = call.callId ?? random.uuid()
  const tokens = tokensOf(call, traits)
  const endMs = call.startedAtMs + durationOf(call, traits)
  const named = {
    modelGroup: call.modelGroup ?? 'gpt-4o-mini',
    model: call.model ?? `openai/${call.modelGroup ?? 'gpt-4o-mini'}`,
  }
  return {
    request_id: call.requestId ?? requestIdOf(call, callId, random, endMs),
    call_id: callId,
    call_type: call.callType ?? (isFailure && !traits.estimatesFailures ? '' : 'acompletion'),
    api_key: call.apiKey ?? keyHashOf(call.user, traits),
    key_alias: call.keyAlias ?? (call.user === '' ? null : `${call.user}-1`),
    spend: call.spend ?? (isFailure || call.isCacheHit ? 0 : tokens.sum * 1e-6),
    // Recorded: embedding rows say 0 in all, whatever the prompt was.
    total_tokens: isEmbedding ? 0 : tokens.sum,
    prompt_tokens: tokens.prompt,
    cached_prompt_tokens: isFailure ? 0 : (call.cachedPromptTokens ?? 0),
    completion_tokens: tokens.completion,
    start_ms: call.startedAtMs,
    end_ms: endMs,
    visible_at_ms: endMs + (call.writeLagMs ?? random.whole(LAG_MS_MIN, LAG_MS_MAX)),
    model: named.model,
    model_group: named.modelGroup,
    provider: isFailure ? '' : (call.provider ?? 'openai'),
    user: call.user,
    end_user: call.endUser ?? '',
    team_id: call.teamId ?? '',
    session_id: random.uuid(),
    cache_hit: cacheHitOf(call, isFailure),
    status: call.status === undefined ? 'success' : call.status,
    error_class: call.errorClass ?? (isFailure ? 'InternalServerError' : null),
    garbled: call.garbled === undefined ? null : JSON.stringify(call.garbled),
  }
}

function durationOf(call: NewCall, traits: VersionTraits): number {
  // Recorded: before 1.104 a failure starts and ends in the same millisecond.
  if (call.status === 'failure' && !traits.estimatesFailures) return 0
  return call.durationMs ?? TYPICAL_MS
}

function tokensOf(
  call: NewCall,
  traits: VersionTraits,
): {
  prompt: number
  completion: number
  sum: number
} {
  const { promptTokens: prompt, completionTokens: completion, status } = call
  if (status !== 'failure') return { prompt, completion, sum: prompt + completion }
  const estimate = traits.estimatesFailures ? 9 : 0
  return { prompt: estimate, completion: 0, sum: estimate }
}

/** Chat rows are keyed by the id of the answer, failures and embeddings by that of the call. */
function requestIdOf(call: NewCall, callId: string, random: Random, endMs: number): string {
  if (call.status === 'failure' || call.callType === 'aembedding') return callId
  const id = `chatcmpl-${random.uuid()}`
  return call.isCacheHit ? `${id}_cache_hit${endMs / 1000}${random.whole(100, 999)}` : id
}

function cacheHitOf(call: NewCall, isFailure: boolean): string {
  if (call.isCacheHit) return 'True'
  return isFailure || call.isStream ? 'False' : 'None'
}

/** Rows of the master key belong to `default_user_id`. */
function keyHashOf(user: string, traits: VersionTraits): string {
  if (user === 'default_user_id' && !traits.hashesMasterKey) return 'litellm_proxy_master_key'
  return createHash('sha256').update(`key of ${user}`).digest('hex')
}
