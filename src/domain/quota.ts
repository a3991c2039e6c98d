/** How much may be used in hours and days of UTC. Null: no limit. */
export interface Quota {
  readonly requestsAnHour: bigint | null
  readonly requestsADay: bigint | null
  readonly tokensADay: bigint | null
}

/** What every key of an account with this tier is held to. Names of tiers are the operator's. */
export interface Tier {
  readonly quota: Quota
  /** Of models for which clients bring their provider's key: they count here and not above. */
  readonly byok: Quota
  /** Of each key, held by the gateway: requests and tokens a minute, models; see KeyLimits. */
  readonly rpmLimit: number | null
  readonly tpmLimit: number | null
  readonly models: readonly string[]
}

/** What was used so far of the hour and the day that an instant is in. */
export interface QuotaUse {
  readonly requestsThisHour: bigint
  readonly requestsToday: bigint
  readonly tokensToday: bigint
}

export type QuotaLimit = 'requests_an_hour' | 'requests_a_day' | 'tokens_a_day'

/** One limit, and how much of it is left; never below 0. */
export interface QuotaLeft {
  readonly limit: QuotaLimit
  readonly allowed: bigint
  readonly used: bigint
  readonly left: bigint
  /** When it begins anew, ms. */
  readonly turnsAtMs: number
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

export const NO_QUOTA: Quota = { requestsAnHour: null, requestsADay: null, tokensADay: null }

export function hasLimit({ requestsAnHour, requestsADay, tokensADay }: Quota): boolean {
  return requestsAnHour !== null || requestsADay !== null || tokensADay !== null
}

/** The hour and the day of an instant, in UTC, ms. */
export function quotaWindows(atMs: number) {
  const hourMs = Math.floor(atMs / HOUR_MS) * HOUR_MS
  const dayMs = Math.floor(atMs / DAY_MS) * DAY_MS
  return { hourMs, dayMs, hourEndsMs: hourMs + HOUR_MS, dayEndsMs: dayMs + DAY_MS }
}

/** Every limit of a quota with what is left of it. */
export function quotaLeft(quota: Quota, used: QuotaUse, atMs: number): QuotaLeft[] {
  const { hourEndsMs, dayEndsMs } = quotaWindows(atMs)
  const left = (limit: QuotaLimit, allowed: bigint | null, use: bigint, turnsAtMs: number) =>
    allowed === null
      ? []
      : [{ limit, allowed, used: use, left: allowed > use ? allowed - use : 0n, turnsAtMs }]
  return [
    ...left('requests_an_hour', quota.requestsAnHour, used.requestsThisHour, hourEndsMs),
    ...left('requests_a_day', quota.requestsADay, used.requestsToday, dayEndsMs),
    ...left('tokens_a_day', quota.tokensADay, used.tokensToday, dayEndsMs),
  ]
}

/** The limit that is used up for longest; undefined while something is left of each. */
export function usedUp(limits: readonly QuotaLeft[]): QuotaLeft | undefined {
  return limits
    .filter(({ left }) => left === 0n)
    .reduce<QuotaLeft | undefined>(
      (last, one) => (last === undefined || lastsUntil(one) > lastsUntil(last) ? one : last),
      undefined,
    )
}

/** Of nothing there is nothing in the next hour either. */
function lastsUntil({ allowed, turnsAtMs }: QuotaLeft): number {
  return allowed === 0n ? Number.POSITIVE_INFINITY : turnsAtMs
}
