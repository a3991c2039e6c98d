import type { StoredCall } from './calls.js'
import type { VersionTraits } from './versions.js'

/** `full` has the recorded size of about 6 KB a row, `thin` only what a reader may rely on. */
export type MetadataSize = 'full' | 'thin'

/** The JSON of a row's `metadata`, names and nesting as recorded. */
export function metadataOf(
  call: StoredCall,
  traits: VersionTraits,
  size: MetadataSize,
): Record<string, unknown> {
  const isFailure = call.status === 'failure'
  return {
    status: isFailure ? 'failure' : null,
    usage_object: isFailure ? null : usageOf(call),
    user_api_key: call.api_key,
    user_api_key_alias: call.key_alias,
    user_api_key_team_id: call.team_id === '' ? null : call.team_id,
    user_api_key_user_id: call.user === '' ? null : call.user,
    ...(traits.hasLaterColumns ? { litellm_call_id: call.call_id } : {}),
    spend_logs_metadata: null,
    error_information: errorOf(call),
    ...(size === 'full' ? bulkOf(call, traits) : {}),
  }
}

function usageOf(call: StoredCall): Record<string, unknown> {
  const cached = call.cached_prompt_tokens
  const usage = {
    total_tokens: call.prompt_tokens + call.completion_tokens,
    prompt_tokens: call.prompt_tokens,
    completion_tokens: call.completion_tokens,
    completion_tokens_details: null,
    prompt_tokens_details: cached === 0 ? null : { audio_tokens: null, cached_tokens: cached },
  }
  if (call.provider !== 'anthropic') return usage
  return { ...usage, cache_read_input_tokens: cached, cache_creation_input_tokens: 0 }
}

/** Tracebacks name paths of the server, and messages may quote the prompt: none of it is for us. */
function errorOf({ error_class, status }: StoredCall): Record<string, unknown> | null {
  if (error_class === null) return null
  return {
    error_code: status === 'failure' ? '500' : '',
    error_class,
    llm_provider: 'openai',
    error_message: `litellm.${error_class}: the request said "my private prompt"`,
    traceback:
      '  File "/app/litellm/proxy/proxy_server.py", line 6204, in chat_completion\n'.repeat(3),
  }
}

const FLAGS = [
  ...['system_messages', 'response_schema', 'vision', 'function_calling', 'tool_choice'],
  ...['assistant_prefill', 'prompt_caching', 'audio_input', 'audio_output', 'pdf_input'],
  ...['embedding_image_input', 'native_streaming', 'web_search', 'url_context', 'reasoning'],
  ...['computer_use', 'parallel_function_calling', 'service_tier', 'native_structured_output'],
]
const COSTS = ['input', 'output', 'cache_read_input', 'cache_creation_input', 'output_reasoning']
const UNITS = ['token', 'character', 'image', 'image_token', 'audio_token', 'audio_per_second']
const STEPS = ['', '_flex', '_priority', '_batches', '_above_128k_tokens', '_above_200k_tokens']
const PARAMS = [
  ...['frequency_penalty', 'logit_bias', 'logprobs', 'top_logprobs', 'max_tokens', 'n', 'seed'],
  ...['max_completion_tokens', 'modalities', 'prediction', 'presence_penalty', 'stop', 'stream'],
  ...['stream_options', 'temperature', 'top_p', 'tools', 'tool_choice', 'functions', 'user'],
  ...['function_call', 'extra_headers', 'parallel_tool_calls', 'audio', 'web_search_options'],
  ...['response_format', 'service_tier', 'safety_identifier', 'prompt_cache_key', 'verbosity'],
]

/** The price map that LiteLLM copies into every row; nearly five of the six kilobytes. */
function bulkOf(call: StoredCall, traits: VersionTraits): Record<string, unknown> {
  return {
    cost_breakdown: {
      input_cost: call.spend / 2,
      output_cost: call.spend / 2,
      total_cost: call.spend,
      tool_usage_cost: 0,
      original_cost: call.spend,
      discount_percent: null,
      discount_amount: null,
    },
    model_map_information: {
      model_map_key: call.model,
      // 1.81 wrote a shorter one.
      model_map_value: {
        ...modelMapOf(call.model),
        ...(traits.hasLaterColumns ? {} : { costs: {} }),
      },
    },
    ...(traits.hasCallIdColumn ? { routing_information: modelMapOf('routing').costs } : {}),
    applied_guardrails: [],
    mcp_tool_call_metadata: null,
    vector_store_request_metadata: null,
    requester_ip_address: '127.0.0.1',
    user_api_key_org_id: null,
    user_api_key_team_alias: null,
    user_api_key_auth_metadata: {},
    batch_models: null,
    attempted_retries: null,
    max_retries: null,
    cold_storage_object_key: null,
  }
}

const modelMaps = new Map<string, { readonly costs: object }>()

function modelMapOf(model: string): { readonly costs: object } {
  const known = modelMaps.get(model)
  if (known !== undefined) return known
  const names = COSTS.flatMap((cost) => UNITS.map((unit) => `${cost}_cost_per_${unit}`))
  const costs = names.flatMap((name, i) =>
    STEPS.slice(0, i % 6 === 0 ? 6 : 2).map((step) => [`${name}${step}`, null]),
  )
  const map = {
    key: model,
    max_tokens: 16_384,
    max_input_tokens: 128_000,
    max_output_tokens: 16_384,
    mode: 'chat',
    litellm_provider: 'openai',
    costs: Object.fromEntries(costs) as object,
    ...Object.fromEntries(FLAGS.map((flag) => [`supports_${flag}`, null])),
    supported_openai_params: PARAMS,
  }
  modelMaps.set(model, map)
  return map
}
