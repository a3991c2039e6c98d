import { z } from 'zod'
import { RATE_MAX } from '../domain/key-limits.js'
import { parseWad } from '../domain/money.js'
import type { Quota, Tier } from '../domain/quota.js'

const amount = z
  .string()
  .regex(/^\d{1,12}(\.\d{1,18})?$/, 'expected an amount as text, such as "0.50"')
  .transform(parseWad)
const ms = (most: number) => z.int().min(0).max(most)
const DAY_MS = 86_400_000

const limit = z.int().min(0).max(Number.MAX_SAFE_INTEGER).nullable().default(null)
const quota = z
  .strictObject({ requestsAnHour: limit, requestsADay: limit, tokensADay: limit })
  .transform(
    (limits): Quota => ({
      requestsAnHour: exact(limits.requestsAnHour),
      requestsADay: exact(limits.requestsADay),
      tokensADay: exact(limits.tokensADay),
    }),
  )
const rate = z.int().min(0).max(RATE_MAX).nullable().default(null)

/** What accounts with a tier may use, in hours and days of UTC. Null, or not named: no limit. */
const tier = z
  .strictObject({
    quota: quota.prefault({}),
    /** Of `byokModels`, which do not count above. */
    byok: quota.prefault({}),
    /** Of each key, held by LiteLLM. */
    rpmLimit: rate,
    tpmLimit: rate,
    models: z.array(z.string().min(1)).max(100).default([]),
  })
  .transform((terms): Tier => terms)

const TIER_NAME = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/
/** Of quotas alone: what a key may do in a minute is said for all keys. */
const TIERS = {
  free: { quota: { requestsAnHour: 10, requestsADay: 50, tokensADay: 10_000 } },
  pro: { quota: { requestsAnHour: 100, tokensADay: 100_000 } },
  premium: {},
}

/** The part of `budgets` in flowmeter.config.json that says when keys are blocked. */
export const termsConfig = {
  runway: z
    .strictObject({
      /** Kept back of every account, of its currency, however slowly it uses. */
      reserveMin: amount.prefault('0.05'),
      /** Below so much time left somebody is told; below `softMs` for the second time. */
      warnMs: ms(366 * DAY_MS).default(DAY_MS),
      softMs: ms(366 * DAY_MS).default(DAY_MS / 12),
      lookEveryMs: z.int().min(1_000).max(3_600_000).default(15_000),
      /** How long a batch may take from its sealing to the charge on Flow. */
      attestMs: ms(DAY_MS).default(300_000),
    })
    .prefault({}),
  /** What LiteLLM lets happen, and no log says: see docs/budgets.md, "Exposure". */
  calls: z
    .strictObject({
      proxies: z.int().min(1).max(1_000).default(1),
      /** Prompt and answer of one call. */
      tokens: z.int().min(1).max(100_000_000).default(16_000),
      /** Calls of one key that a proxy has in hand at once. */
      atOnce: z.int().min(1).max(100_000).default(4),
      /** A call takes no longer. */
      lastMs: ms(DAY_MS).default(600_000),
      /** LiteLLM's `user_api_key_cache_ttl`. */
      keyCacheMs: ms(DAY_MS).default(60_000),
    })
    .prefault({}),
  tiers: z.record(z.string().regex(TIER_NAME), tier).prefault(TIERS),
  /** Of accounts that were given none. */
  defaultTier: z.string().optional(),
  /** Models for which clients bring their own provider's key; `*` may end a name. */
  byokModels: z.array(z.string().min(1).max(200)).max(100).default([]),
}

/** What does not fit together; undefined for nothing. */
export function termsProblem({
  tiers,
  defaultTier,
}: {
  readonly tiers: Readonly<Record<string, Tier>>
  readonly defaultTier?: string | undefined
}): string | undefined {
  if (defaultTier === undefined || Object.hasOwn(tiers, defaultTier)) return undefined
  return `there is no tier "${defaultTier}" among ${Object.keys(tiers).join(', ')}`
}

function exact(value: number | null): bigint | null {
  return value === null ? null : BigInt(value)
}
