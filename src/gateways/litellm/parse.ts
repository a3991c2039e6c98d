import { z } from 'zod'
import { type KeyLimits, parseDollars } from '../../domain/key-limits.js'
import { isKeyId } from '../../domain/virtual-key.js'
import type { GatewayKey, KeyChange } from '../../ports/key-gateway.js'

/** Where a block of ours leaves its mark, among the metadata of the key. */
export const MARK = 'flowmeter_block'

const metadata = z.preprocess(
  // Some releases answer with the JSON as they keep it.
  (value) => (typeof value === 'string' ? jsonOf(value) : (value ?? {})),
  z.record(z.string(), z.unknown()),
)

/** The fields of a key that we look at. What LiteLLM has not set is null or absent. */
const keyFields = z.object({
  key_alias: z.string().nullish(),
  user_id: z.string().nullish(),
  models: z.array(z.string()).nullish(),
  spend: z.number().nullish(),
  max_budget: z.number().nullish(),
  budget_duration: z.string().nullish(),
  rpm_limit: z.number().nullish(),
  tpm_limit: z.number().nullish(),
  blocked: z.boolean().nullish(),
  metadata,
})

/** Answer of /key/info. */
export const keyInfo = z.object({ key: z.string(), info: keyFields })

/** Answer of /key/list with whole objects. */
export const keyList = z.object({
  keys: z.array(keyFields.extend({ token: z.string() })),
  current_page: z.int(),
  total_pages: z.int(),
})

/** Answer of /user/info, as far as it says who asks. */
export const ownUser = z.object({
  user_info: z.object({ user_role: z.string().nullish() }).nullish(),
})

type KeyFields = z.output<typeof keyFields>

/** A key with all of its metadata, which is replaced as a whole. */
export interface FoundKey {
  readonly key: GatewayKey
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Undefined where the id is none: such a key is none that could be managed. */
export function foundKey(id: string, fields: KeyFields): FoundKey | undefined {
  if (!isKeyId(id)) return undefined
  const mark = fields.metadata[MARK]
  const key: GatewayKey = {
    id,
    alias: fields.key_alias ?? '',
    userId: fields.user_id ?? '',
    limits: limitsOf(fields),
    isBlocked: fields.blocked === true,
    blockMark: typeof mark === 'string' ? mark : undefined,
    spend: String(fields.spend ?? 0),
  }
  return { key, metadata: fields.metadata }
}

/**
 * LiteLLM keeps budgets as floats. The shortest text of such a float is exactly the amount that was
 * sent, up to 15 digits; one with more decimals than ours is none that we sent.
 */
function limitsOf(fields: KeyFields): KeyLimits | undefined {
  const { max_budget, rpm_limit, tpm_limit } = fields
  const budget = max_budget == null ? null : parseDollars(String(max_budget))
  if (budget === undefined) return undefined
  return {
    maxBudget: budget,
    budgetDuration: fields.budget_duration ?? null,
    rpmLimit: rpm_limit ?? null,
    tpmLimit: tpm_limit ?? null,
    models: fields.models ?? [],
  }
}

/** In LiteLLM's names. Null clears there, and what is absent stays. */
export function bodyOf(change: KeyChange): Record<string, unknown> {
  const { maxBudget, budgetDuration, rpmLimit, tpmLimit, models, userId } = change
  return {
    ...(maxBudget === undefined ? {} : { max_budget: dollarsOf(maxBudget) }),
    ...(budgetDuration === undefined ? {} : { budget_duration: budgetDuration }),
    ...(rpmLimit === undefined ? {} : { rpm_limit: rpmLimit }),
    ...(tpmLimit === undefined ? {} : { tpm_limit: tpmLimit }),
    ...(models === undefined ? {} : { models }),
    ...(userId === undefined ? {} : { user_id: userId }),
  }
}

/** The one place where a budget becomes a float, because LiteLLM takes no other. */
function dollarsOf(budget: KeyLimits['maxBudget']): number | null {
  return budget === null ? null : Number(budget) / 1e6
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
