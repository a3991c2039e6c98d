import { createHash } from 'node:crypto'
import { Random } from '../../../devnet/litellm/random.js'
import { type BlockDelays, exposedMs } from '../../../src/pipeline/budget-settings.js'
import { worstUsage } from '../../../src/pricing/worst-usage.js'
import { Proxies } from './proxies.js'

/** What was used after knowledge had ended, against what had been said of it then. In tokens. */
export interface Attack {
  readonly used: number
  readonly worst: bigint
}

const STEP_MS = 500
const CALL_TOKENS = 4_000
const AT_ONCE = 2
const CALL_MS = 120_000
const MODEL = 'm'
const START_MS = Date.parse('2026-09-24T20:00:00Z')

/**
 * One client who knows everything: when rows are read, when a block comes, and what each proxy has in
 * memory. It keeps calls in hand over the last reading, fills every minute's limit, and has a call end
 * after the block that brings the old key back. All delays are as long as they may be.
 */
export function attack(seed: number): Attack {
  const random = new Random(seed ^ 0x57a6)
  const rpm = random.whole(2, 6)
  const count = random.whole(1, 3)
  const delays: BlockDelays = {
    ...{
      lookMs: random.pick([5_000, 15_000, 40_000]),
      syncMs: random.pick([1_000, 5_000, 10_000]),
    },
    ...{ keyCacheMs: 60_000, callMs: CALL_MS, attestMs: 0 },
  }
  const knownForMs = random.whole(10_000, 70_000)
  const knownUntilMs = START_MS + 300_000 + random.whole(0, 59_999)
  const readAtMs = knownUntilMs + knownForMs
  const blockAtMs = readAtMs + delays.lookMs + delays.syncMs

  let nowMs = knownUntilMs - CALL_MS
  const proxies = new Proxies(count, random, () => nowMs, 1)
  const secret = `sk-${createHash('sha256').update(`${seed}`).digest('base64url')}`
  const limits = { rpm_limit: rpm, tpm_limit: null, max_budget: null }
  proxies.make(secret, limits)
  const start = (proxy: number, lastsMs: number) => {
    const call = { secret, proxy, model: MODEL, tokens: CALL_TOKENS, isAnswer: true, user: '7' }
    const id = `${proxies.calls.length}`
    return lastsMs > 0 && proxies.start({ ...call, id }, { lastsMs, atOnce: AT_ONCE })
  }

  const inHand = Array.from({ length: count }, () => random.whole(0, AT_ONCE))
  const mayCallAtMs = random.pick([knownUntilMs, knownUntilMs, nowMs])
  let isBlocked = false
  const endMs = blockAtMs + 3 * delays.keyCacheMs
  for (; nowMs <= endMs; nowMs += STEP_MS) {
    if (!isBlocked && nowMs >= blockAtMs) {
      isBlocked = true
      proxies.byHand('/key/block', secret)
    }
    for (let proxy = 0; proxy < count; proxy += 1) {
      const left = inHand[proxy] ?? 0
      const untilReadMs = readAtMs + STEP_MS - nowMs
      if (left > 0 && nowMs < knownUntilMs && untilReadMs <= CALL_MS) {
        if (start(proxy, untilReadMs)) inHand[proxy] = left - 1
      }
      const isRace = nowMs < blockAtMs && nowMs >= blockAtMs - 2 * STEP_MS
      if (isRace) start(proxy, blockAtMs + delays.keyCacheMs - STEP_MS - nowMs)
      if (nowMs >= mayCallAtMs) start(proxy, STEP_MS / 2)
    }
  }
  // Rows that had not been written when it was read, of whenever.
  const unknown = proxies.calls.filter(
    ({ startedAtMs, loggedAtMs }) => startedAtMs >= knownUntilMs || loggedAtMs > readAtMs,
  )
  const gateway = {
    proxies: BigInt(count),
    callTokens: BigInt(CALL_TOKENS),
    callsAtOnce: BigInt(AT_ONCE),
  }
  const keys = [{ rpmLimit: rpm, tpmLimit: null }]
  const worst = worstUsage(keys, gateway, exposedMs(knownForMs, delays, 0))
  return {
    used: unknown.reduce((sum, { tokens }) => sum + tokens, 0),
    worst: worst?.tokens ?? 0n,
  }
}
