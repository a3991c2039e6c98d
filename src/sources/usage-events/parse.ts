import { z } from 'zod'
import { isWhole, utf8 } from '../../domain/bytes.js'
import type { UsageRecord } from '../../domain/usage-record.js'
import type { EventProblem, ReceivedEvents } from '../../ports/usage-receiver.js'

export interface EventRules {
  /** The permanent id of the source. */
  readonly source: string
  readonly types: readonly string[]
}

/** Clocks differ; what is further ahead would be billed in a period that has not begun. */
const AHEAD_MS_MAX = 5 * 60_000
/** Far above any call, far below where sums leave 64 bits. */
const TOKENS_MAX = 1_000_000_000_000
const TEXT_CHARS_MAX = 1_024
/** The record's leaf has two bytes for the length of the model's name. */
const MODEL_BYTES_MAX = 65_535

const tokens = z.int().min(0).max(TOKENS_MAX)
const text = z.string().max(TEXT_CHARS_MAX).refine(isWhole, 'has half a character in it')
const payer = text.default('')
const instant = z.iso
  .datetime({ offset: true, error: 'expected a time with its zone: 2026-11-21T05:02:53.695Z' })
  .transform((text) => Date.parse(text))
  .refine((ms) => ms >= 0, 'is before 1970')

/** CloudEvents 1.0, structured JSON. Other attributes are extensions, and are not looked at. */
const event = z.object({
  specversion: z.literal('1.0'),
  type: z.string(),
  id: text.min(1),
  /** A URI reference has no spaces; so `source id` names one event only. */
  source: text.regex(/^\S+$/, 'expected a URI reference, without spaces'),
  /** Who pays: the `user` of the mapping. */
  subject: text.min(1),
  /** When the call began. It decides the billing period. */
  time: instant,
  datacontenttype: z
    .string()
    .regex(/^application\/([a-z.-]+\+)?json\s*(;|$)/i, 'expected application/json')
    .optional(),
  data: z.object({
    model: z
      .string()
      .min(1)
      .refine(isWhole, 'has half a character in it')
      .refine((name) => utf8(name).length <= MODEL_BYTES_MAX, 'is too long'),
    prompt_tokens: tokens,
    /** A part of `prompt_tokens`. */
    cached_prompt_tokens: tokens.default(0),
    completion_tokens: tokens,
    ended_at: instant.optional(),
    api_key: payer,
    team_id: payer,
    end_user: payer,
  }),
})

type Event = z.infer<typeof event>

/** Alone knows the names of the attributes. All events are taken, or none is. */
export function parseEvents(
  events: readonly unknown[],
  rules: EventRules,
  nowMs: number,
): ReceivedEvents {
  const problems: EventProblem[] = []
  /** By request id, with the content, so that a batch cannot say two things of one event. */
  const records = new Map<string, { record: UsageRecord; content: string; index: number }>()
  for (const [index, value] of events.entries()) {
    const parsed = event.safeParse(value)
    const problem = parsed.success
      ? problemOf(parsed.data, rules, nowMs)
      : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
    if (problem !== undefined || !parsed.success) {
      problems.push({ index, ...idOf(value), problem: problem ?? '' })
      continue
    }
    const record = recordOf(parsed.data, rules.source)
    const content = JSON.stringify(parsed.data) // In the order of the schema, whoever wrote it.
    const before = records.get(record.key.requestId)
    if (before === undefined) records.set(record.key.requestId, { record, content, index })
    else if (before.content !== content) {
      const what = `has the source and id of event ${before.index}, and says something else`
      problems.push({ index, ...idOf(value), problem: what })
    }
  }
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, records: [...records.values()].map(({ record }) => record) }
}

function problemOf({ type, time, data }: Event, rules: EventRules, nowMs: number) {
  if (!rules.types.includes(type)) return `type: expected ${rules.types.join(' or ')}`
  if (time > nowMs + AHEAD_MS_MAX) return 'time: is in the future'
  if (data.ended_at !== undefined && data.ended_at < time) return 'data.ended_at: is before time'
  if (data.cached_prompt_tokens > data.prompt_tokens) {
    return 'data.cached_prompt_tokens: is more than prompt_tokens, of which it is a part'
  }
  return undefined
}

function recordOf({ source: sender, id, subject, time, data }: Event, source: string): UsageRecord {
  const { api_key, team_id, end_user } = data
  return {
    key: { source, requestId: `${sender} ${id}` },
    startedAtMs: time,
    endedAtMs: data.ended_at ?? time,
    payers: { user: subject, api_key, team_id, end_user },
    model: data.model,
    promptTokens: BigInt(data.prompt_tokens),
    cachedPromptTokens: BigInt(data.cached_prompt_tokens),
    completionTokens: BigInt(data.completion_tokens),
    spend: '',
  }
}

function idOf(value: unknown): { id?: string } {
  const parsed = z.object({ id: z.string().min(1).max(TEXT_CHARS_MAX) }).safeParse(value)
  return parsed.success ? { id: parsed.data.id } : {}
}
