import { type Wad, wad } from '../domain/money.js'
import type { UsageTotal } from '../domain/usage-total.js'
import type { Plan } from './plan.js'
import { type Billable, billableOf, dueOf, priceOf } from './price.js'

/** What a gateway itself holds one key to. Null: nothing. */
export interface KeyRates {
  /** Requests a minute. */
  readonly rpmLimit: number | null
  /** Tokens a minute. */
  readonly tpmLimit: number | null
}

/** How a gateway can be used; from the settings, since nothing that is logged bounds it. */
export interface GatewayBounds {
  /** Proxies that serve models: each counts a key's minute by itself. */
  readonly proxies: bigint
  /** Prompt and answer of one call together. */
  readonly callTokens: bigint
  /** Calls of one key that one proxy has in hand at once. */
  readonly callsAtOnce: bigint
}

export interface WorstUsage {
  readonly tokens: bigint
  readonly requests: bigint
}

const MINUTE_MS = 60_000

/**
 * The most that keys can use from the end of what is known on, until so long later nothing more can
 * begin. A call counts against a minute's tokens when it has ended, so each minute may go beyond by
 * the calls in hand; those in hand at the beginning are in no log yet. Undefined: nothing bounds it.
 */
export function worstUsage(
  keys: readonly KeyRates[],
  { proxies, callTokens, callsAtOnce }: GatewayBounds,
  windowMs: number,
): WorstUsage | undefined {
  // One more than fits: the minutes of a limit do not begin when ours do.
  const minutes = BigInt(Math.ceil(windowMs / MINUTE_MS) + 1)
  const inHand = callsAtOnce * callTokens
  let [tokens, requests] = [0n, 0n]
  for (const { rpmLimit, tpmLimit } of keys) {
    const byCalls = rpmLimit === null ? undefined : BigInt(rpmLimit) * callTokens
    const byTokens = tpmLimit === null ? undefined : tpmLimit === 0 ? 0n : BigInt(tpmLimit) + inHand
    const aMinute = least(byCalls, byTokens)
    if (aMinute === undefined) return undefined
    tokens += proxies * (minutes * aMinute + inHand)
    // Without a limit of requests, each may be of one token.
    requests += proxies * (minutes * (rpmLimit === null ? aMinute : BigInt(rpmLimit)) + callsAtOnce)
  }
  return { tokens, requests }
}

/** What the worst usage would add to the bill of a period, at the dearest weight of its plan. */
export function worstCost(
  plan: Plan,
  rows: readonly UsageTotal[],
  { tokens, requests }: WorstUsage,
): Wad {
  if (tokens === 0n && requests === 0n) return wad(0n)
  const [aToken, aRequest] = dearest(plan)
  const more = tokens * aToken + requests * aRequest
  return wad(priceOf(plan, (billableOf(plan, rows) + more) as Billable) - dueOf(plan, rows))
}

/** The highest weights of a token and of a request. */
function dearest({ rates }: Plan): readonly [bigint, bigint] {
  let [aToken, aRequest] = [0n, 0n]
  for (const { prompt, cachedPrompt, completion, request } of rates.values()) {
    for (const weight of [prompt, cachedPrompt, completion]) {
      if (weight > aToken) aToken = weight
    }
    if (request > aRequest) aRequest = request
  }
  return [aToken, aRequest]
}

function least(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a < b ? a : b
}
