import { z } from 'zod'
import { keccak, utf8 } from '../../domain/bytes.js'
import { HELD_DISCONNECT, HELD_FAILURE } from '../../domain/set-aside.js'
import type { Reject, UsageRecord } from '../../domain/usage-record.js'

/** The key under which LiteLLM logs the health checks that it makes by itself. */
const HEALTH_CHECK_KEY = 'litellm-internal-health-check'
/** The record's leaf has two bytes for the length of the model's name. */
const MODEL_BYTES_MAX = 65_535
/** Clients choose their end users freely. Cut, not refused: a refused row would not be billed. */
const END_USER_CHARS_MAX = 1_024
const STATUS_CHARS_MAX = 40

/** What an operator decides about rows that some count and others do not. */
export interface CountingRules {
  /** Answers that LiteLLM gave from its own cache; their rows have full token counts. */
  readonly cacheHits: 'count' | 'exclude'
  /** Streams that the client left. LiteLLM logs them as successes, with estimated tokens. */
  readonly clientDisconnects: 'count' | 'exclude' | 'hold'
  /** Rows called a failure that an answer was paid for: see `hasUsage`. */
  readonly failuresWithUsage: 'count' | 'exclude' | 'hold'
}

export type ParsedRow =
  | { readonly ok: true; readonly record: UsageRecord }
  | { readonly ok: false; readonly reject: Reject }

/** LiteLLM's columns are 32 bits wide; sums of what is larger would not fit anywhere. */
const count = z
  .int()
  .nonnegative()
  .max(2 ** 31 - 1)
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')

/**
 * A time with its offset from UTC and up to six digits of a second: `…+00:00` without a fraction
 * at millisecond 0, `…849000Z` on other routes. Gives milliseconds since 1970, cut, never rounded.
 */
const time = z
  .string()
  .regex(/^\d{4}(-\d\d){2}T\d\d(:\d\d){2}(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$/, 'is no UTC time')
  .transform((value) => Date.parse(value))
  .refine((ms) => ms >= 0, 'is no time since 1970')

const tokensInCache = z
  .object({
    cache_read_input_tokens: count.nullish(),
    prompt_cache_hit_tokens: count.nullish(),
    prompt_tokens_details: z.object({ cached_tokens: count.nullish() }).nullish(),
    // Only whether it is there: see `hasUsage`.
    completion_tokens_details: z.unknown().optional(),
  })
  .nullish()

/** All that is kept of several kilobytes. Error texts and tracebacks may quote prompts. */
const metadata = z
  .object({
    // A client may put anything under these names: what it breaks is its own rebate, not the row.
    usage_object: tokensInCache.catch(null),
    additional_usage_values: tokensInCache.catch(null),
    error_information: z.object({ error_class: z.string().nullish() }).nullish().catch(null),
  })
  .nullish()

/** Only the fields named here are kept: prompts and answers go no further than this file. */
const spendLog = z.object({
  // May be empty: a client may choose it, and an empty one hides no usage.
  request_id: z.string(),
  startTime: time,
  endTime: time,
  api_key: text,
  user: text,
  team_id: text,
  end_user: text,
  model: text,
  model_group: text,
  cache_hit: text,
  // Old rows have none, and are successes.
  status: text,
  // Not `total_tokens`: embedding rows have 0 there.
  prompt_tokens: count,
  completion_tokens: count,
  spend: z.union([z.number(), z.string()]).nullish(),
  metadata: z.preprocess(asObject, metadata),
})

type SpendLog = z.infer<typeof spendLog>

/** Alone knows the field names of LiteLLM. Never throws: what does not fit is a reject. */
export function parseSpendLog(source: string, row: unknown, rules: CountingRules): ParsedRow {
  const parsed = spendLog.safeParse(row)
  if (!parsed.success) return rejected(source, row, z.prettifyError(parsed.error))
  const log = parsed.data
  // The public name that the client asked for is what plans are written in.
  const model = log.model_group || log.model
  if (utf8(model).length > MODEL_BYTES_MAX)
    return rejected(source, row, 'the model name is too long')
  const excluded = excludedOf(log, rules)
  const record: UsageRecord = {
    key: { source, requestId: log.request_id },
    startedAtMs: log.startTime,
    endedAtMs: log.endTime,
    payers: {
      user: log.user,
      api_key: log.api_key,
      team_id: log.team_id,
      end_user: cut(log.end_user),
    },
    model,
    promptTokens: BigInt(log.prompt_tokens),
    cachedPromptTokens: BigInt(cachedTokensOf(log)),
    completionTokens: BigInt(log.completion_tokens),
    ...(excluded === undefined ? {} : { excluded }),
    spend: String(log.spend ?? ''),
  }
  return { ok: true, record }
}

/** Never in the middle of a character: stored, that would come back as another text. */
function cut(text: string): string {
  return text.slice(0, END_USER_CHARS_MAX).replace(/\p{Surrogate}$/u, '')
}

/** The id of a row that cannot be read, or what stands for it. */
function rowIdOf(row: unknown): string {
  const id = z.object({ request_id: z.string().min(1) }).safeParse(row)
  return id.success ? id.data.request_id : keccak(utf8(JSON.stringify(row) ?? ''))
}

/** Some releases send the JSON column as text. */
function asObject(value: unknown): unknown {
  if (typeof value !== 'string') return value
  if (value === '') return null
  try {
    return JSON.parse(value) as unknown
  } catch {
    return value // Refused by the schema then, as text where an object should be.
  }
}

function rejected(source: string, row: unknown, reason: string): ParsedRow {
  return { ok: false, reject: { source, requestId: rowIdOf(row), reason } }
}

/**
 * Kept, with the reason why it does not count. Judged by the row's own column `status`: failures may
 * have tokens, and what metadata says of the status is the client's word.
 */
function excludedOf(log: SpendLog, rules: CountingRules): string | undefined {
  if (log.api_key === HEALTH_CHECK_KEY) return 'health_check'
  if (log.status === 'failure') {
    return hasUsage(log)
      ? ruled(rules.failuresWithUsage, 'failure_with_usage', HELD_FAILURE)
      : 'failure'
  }
  if (log.status !== '' && log.status !== 'success') {
    return `status_${log.status.slice(0, STATUS_CHARS_MAX)}`
  }
  if (log.metadata?.error_information?.error_class === 'ClientDisconnected') {
    const left = ruled(rules.clientDisconnects, 'client_disconnected', HELD_DISCONNECT)
    if (left !== undefined) return left
  }
  if (log.cache_hit.toLowerCase() === 'true' && rules.cacheHits === 'exclude') return 'cache_hit'
  return undefined
}

function ruled(
  rule: 'count' | 'exclude' | 'hold',
  excluded: string,
  held: string,
): string | undefined {
  if (rule === 'count') return undefined
  return rule === 'hold' ? held : excluded
}

/**
 * Whether a provider has answered: LiteLLM computed a cost, counted an answer's tokens, or copied
 * the details of a usage that the provider sent. A call that fails before has none of them in any
 * release that was measured. A client that writes `status: failure` into the metadata of its request
 * has LiteLLM call it a failure all the same, with all of them; so has a stream that broke late.
 */
function hasUsage({ spend, completion_tokens, metadata: meta }: SpendLog): boolean {
  const details = Object.keys(meta?.additional_usage_values ?? {})
  return Number(spend ?? 0) > 0 || completion_tokens > 0 || details.length > 0
}

/**
 * Prompt tokens that the provider read from its cache: OpenAI's `cached_tokens`, Anthropic's
 * `cache_read_input_tokens`, DeepSeek's `prompt_cache_hit_tokens`; LiteLLM often repeats one under
 * the name of another. OpenAI counts them within the prompt, and so does LiteLLM for Anthropic on
 * most paths; where a row has more of them than prompt, all of the
 * prompt is taken as cached, so that a part never exceeds its whole.
 */
function cachedTokensOf({ metadata: meta, prompt_tokens }: SpendLog): number {
  const usages = [meta?.usage_object, meta?.additional_usage_values]
  const cached = usages.flatMap((usage) => [
    usage?.prompt_tokens_details?.cached_tokens ?? 0,
    usage?.cache_read_input_tokens ?? 0,
    usage?.prompt_cache_hit_tokens ?? 0,
  ])
  return Math.min(Math.max(...cached), prompt_tokens)
}
