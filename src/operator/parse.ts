import { z } from 'zod'
import type { DirectoryAnswer } from '../domain/directory-answer.js'
import { accountNumber } from '../domain/ids.js'
import type { UsageRecord } from '../domain/usage-record.js'
import type { Decision } from '../ports/decisions.js'

const U64_MAX = 2n ** 64n - 1n
const REASON_CHARS_MAX = 200
/** As `direct` takes it: no sign, no leading zero, so that no number is written in two ways. */
const CANONICAL = /^(?:0|[1-9][0-9]{0,19})$/

/** An account number as operators write it, or undefined. */
export function accountFrom(value: unknown): DirectoryAnswer & { readonly account: unknown } {
  const number = numberFrom(value)
  if (number !== undefined && number >= 0n && number <= U64_MAX) {
    return { account: accountNumber(number) }
  }
  return { account: undefined, reason: 'gave no account number', isFinal: true }
}

function numberFrom(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined
  return typeof value === 'string' && CANONICAL.test(value) ? BigInt(value) : undefined
}

const reason = z
  .string()
  .trim()
  .min(1)
  .transform((text) => text.slice(0, REASON_CHARS_MAX))
const tokens = z.union([z.int().nonnegative(), z.bigint().nonnegative()]).transform(BigInt)

const decisionShape = z.union([
  z.undefined(),
  z.null(),
  z.literal(true),
  z.strictObject({ exclude: z.literal(true), reason }),
  z.strictObject({
    cap: z.strictObject({
      promptTokens: tokens.optional(),
      cachedPromptTokens: tokens.optional(),
      completionTokens: tokens.optional(),
    }),
    reason,
  }),
])

/**
 * What a rule returned for a record: nothing, `{ exclude: true, reason }` or `{ cap, reason }`. A cap
 * only lowers. What is none of these holds the record.
 */
export function decisionFrom(value: unknown, record: UsageRecord): Decision {
  const parsed = decisionShape.safeParse(value)
  if (!parsed.success) {
    return { verdict: 'hold', reason: 'it returned neither nothing, nor { exclude } nor { cap }' }
  }
  const said = parsed.data
  if (said === undefined || said === null || said === true) return { verdict: 'count' }
  if ('exclude' in said) return { verdict: 'exclude', reason: said.reason }
  const promptTokens = least(record.promptTokens, said.cap.promptTokens)
  const completionTokens = least(record.completionTokens, said.cap.completionTokens)
  const cached = least(record.cachedPromptTokens, said.cap.cachedPromptTokens)
  const cachedPromptTokens = least(cached, promptTokens)
  const isSame =
    promptTokens === record.promptTokens &&
    cachedPromptTokens === record.cachedPromptTokens &&
    completionTokens === record.completionTokens
  if (isSame) return { verdict: 'count' }
  const counters = { promptTokens, cachedPromptTokens, completionTokens }
  return { verdict: 'cap', reason: said.reason, ...counters }
}

function least(own: bigint, cap: bigint | undefined): bigint {
  return cap !== undefined && cap < own ? cap : own
}
