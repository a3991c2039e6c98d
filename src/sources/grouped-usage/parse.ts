import { z } from 'zod'
import { isWhole, keccak, utf8 } from '../../domain/bytes.js'
import type { Reject } from '../../domain/usage-record.js'
import type { Reading } from '../../ports/usage-source.js'

/** What the gateway says now of one user and model in one bucket. */
export type Sum = Omit<Reading, 'increases'>

export type ParsedSum =
  | { readonly ok: true; readonly sum: Sum }
  | { readonly ok: false; readonly reject: Reject }

export interface Bucket {
  readonly fromMs: number
  readonly untilMs: number
}

const TEXT_CHARS_MAX = 1_024
/** The record's leaf has two bytes for the length of the model's name. */
const MODEL_BYTES_MAX = 65_535

const tokens = z.int().nonnegative()
const maybe = tokens.nullish().transform((value) => value ?? undefined)
const text = z.string().max(TEXT_CHARS_MAX).refine(isWhole, 'has half a character').nullish()
const instant = z.union([z.iso.date(), z.iso.datetime({ offset: true })]).nullish()

/** The names that such endpoints use for the same things. */
const row = z
  .object({
    user_id: text,
    user: text,
    model: z
      .string()
      .refine(isWhole, 'has half a character')
      .refine((name) => utf8(name).length <= MODEL_BYTES_MAX, 'is too long'),
    prompt_tokens: maybe,
    input_tokens: maybe,
    completion_tokens: maybe,
    output_tokens: maybe,
    cached_prompt_tokens: maybe,
    cached_tokens: maybe,
    input_cached_tokens: maybe,
    /** The bucket, where the row names it: another one than was asked for is refused. */
    date: instant,
    bucket: instant,
  })
  .transform((value, context) => {
    const promptTokens = value.prompt_tokens ?? value.input_tokens
    const completionTokens = value.completion_tokens ?? value.output_tokens
    if (promptTokens === undefined || completionTokens === undefined) {
      // A total alone has no price: prompt and completion are priced apart.
      context.addIssue({
        code: 'custom',
        message: 'prompt and completion tokens are not told apart',
      })
      return z.NEVER
    }
    const cached = value.cached_prompt_tokens ?? value.cached_tokens ?? value.input_cached_tokens
    return {
      user: value.user_id ?? value.user ?? '',
      model: value.model,
      promptTokens: BigInt(promptTokens),
      cachedPromptTokens: BigInt(Math.min(cached ?? 0, promptTokens)),
      completionTokens: BigInt(completionTokens),
      atMs: [value.date, value.bucket].flatMap((at) => (at == null ? [] : [Date.parse(at)])),
    }
  })

const envelope = z.union([
  z.array(z.unknown()),
  z.object({ data: z.array(z.unknown()) }).transform(({ data }) => data),
  z.object({ results: z.array(z.unknown()) }).transform(({ results }) => results),
  z.object({ usage: z.array(z.unknown()) }).transform(({ usage }) => usage),
])

/** The list within an answer; undefined where there is none, or where it is one page of several. */
export function rowsOf(answer: unknown): readonly unknown[] | undefined {
  const parsed = envelope.safeParse(answer)
  if (!parsed.success) return undefined
  const more = z
    .object({ has_more: z.literal(true) })
    .or(z.object({ next_page: z.string().min(1) }))
  return more.safeParse(answer).success ? undefined : parsed.data
}

/** Alone knows the names of the fields. Never throws: what does not fit is a reject. */
export function parseSum(source: string, value: unknown, bucket: Bucket): ParsedSum {
  const parsed = row.safeParse(value)
  if (!parsed.success) return rejected(source, value, bucket, z.prettifyError(parsed.error))
  const { atMs, ...sum } = parsed.data
  const isElsewhere = atMs.some((ms) => ms < bucket.fromMs || ms >= bucket.untilMs)
  if (isElsewhere) return rejected(source, value, bucket, 'is of another bucket than was asked for')
  return { ok: true, sum: { bucketStartMs: bucket.fromMs, ...sum } }
}

/** A row that cannot be read has no name of its own: it is told by its bucket and content. */
function rejected(source: string, value: unknown, bucket: Bucket, reason: string): ParsedSum {
  const digest = keccak(utf8(JSON.stringify(value) ?? '')).slice(0, 18)
  const requestId = `${new Date(bucket.fromMs).toISOString()}/${digest}`
  return { ok: false, reject: { source, requestId, reason } }
}
