import type { StoredCall } from './calls.js'
import { type MetadataSize, metadataOf } from './metadata.js'
import type { VersionTraits } from './versions.js'

/** How rows are written into an answer. */
export interface RowStyle {
  readonly traits: VersionTraits
  readonly metadata: MetadataSize
  /** `metadata` and `request_tags` as JSON text, as some releases send them. */
  readonly isJsonText: boolean
}

/** One element of `data` of `/spend/logs/v2`: every column, and neither prompt nor answer. */
export function rowJson(call: StoredCall, style: RowStyle): Record<string, unknown> {
  const { traits, isJsonText } = style
  const isFailure = call.status === 'failure'
  const metadata = metadataOf(call, traits, style.metadata)
  const tags = isFailure ? [] : ['User-Agent: curl', 'User-Agent: curl/8.5.0']
  return {
    request_id: call.request_id,
    call_type: call.call_type,
    api_key: call.api_key,
    spend: call.spend,
    total_tokens: call.total_tokens,
    prompt_tokens: call.prompt_tokens,
    completion_tokens: call.completion_tokens,
    startTime: timeText(call.start_ms),
    endTime: timeText(call.end_ms),
    completionStartTime: timeText(call.end_ms),
    model: call.model,
    model_id: isFailure ? '' : '8f2b3c1d9e7a',
    model_group: call.model_group,
    custom_llm_provider: call.provider,
    api_base: call.call_type === 'aembedding' ? null : '',
    user: call.user,
    metadata: isJsonText ? JSON.stringify(metadata) : metadata,
    cache_hit: call.cache_hit,
    cache_key: 'Cache OFF',
    request_tags: isJsonText ? JSON.stringify(tags) : tags,
    team_id: call.team_id,
    organization_id: '',
    end_user: call.end_user,
    requester_ip_address: '127.0.0.1',
    session_id: call.session_id,
    status: call.status,
    mcp_namespaced_tool_name: null,
    agent_id: null,
    ...(traits.hasLaterColumns ? { request_duration_ms: call.end_ms - call.start_ms } : {}),
    ...(traits.hasCallIdColumn ? { litellm_call_id: call.call_id } : {}),
    ...(call.garbled === null ? {} : (JSON.parse(call.garbled) as object)),
  }
}

/** `2026-11-21T05:02:53.695+00:00`, and without a fraction at millisecond 0. */
function timeText(ms: number): string {
  const text = new Date(ms).toISOString().slice(0, -1)
  return `${text.endsWith('.000') ? text.slice(0, -4) : text}+00:00`
}
