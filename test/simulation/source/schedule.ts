import type { NewCall } from '../../../devnet/litellm/calls.js'
import type { Fault } from '../../../devnet/litellm/faults.js'
import { Random } from '../../../devnet/litellm/random.js'
import type { LitellmVersion } from '../../../devnet/litellm/versions.js'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** When every schedule begins, and every source. */
export const START_MS = Date.UTC(2026, 10, 20, 22, 30)

/** One LiteLLM of a schedule, with all that will happen to it. */
export interface Instance {
  readonly name: string
  readonly version: LitellmVersion
  readonly pageSize: number
  readonly isJsonText: boolean
  readonly cacheHits: 'count' | 'exclude'
  readonly clientDisconnects: 'count' | 'exclude'
  readonly calls: readonly NewCall[]
  /** By how much its clock is ahead, from an instant of the true time on. */
  readonly skews: readonly { readonly fromMs: number; readonly ms: number }[]
  /** Whether a second source of ours reads it, under another name. */
  readonly hasTwin: boolean
}

/** One move of the true time, with what goes wrong in it. */
export interface Tick {
  readonly ms: number
  readonly faults: readonly (Fault & { readonly instance: number })[]
  /** Points until the process ends; none when it does not. */
  readonly crashAfter: number | undefined
  /** Somebody changes a row that was read, takes one away, or brings it back; or retention deletes. */
  readonly tampering: 'change' | 'vanish' | 'reappear' | 'retention' | undefined
  /** A proxy stops before it has written what it has in memory. */
  readonly stops: number | undefined
  /** By how much our own clock goes wrong from here on. */
  readonly ourSkewMs: number | undefined
}

export interface Schedule {
  readonly instances: readonly Instance[]
  readonly ticks: readonly Tick[]
  readonly settings: {
    readonly settleMs: number
    readonly overlapMs: number
    readonly rescanMs: number
    readonly rescanEveryMs: number
  }
}

const USERS = ['alice', 'bob', '', 'default_user_id']
const MODELS = ['gpt-4o', 'claude-3-opus', 'text-embedding-3-small', '']
/** What may happen to a schedule, and by which settings it has to be borne. */
interface Profile {
  readonly settings: Schedule['settings']
  /** From a call's start until its row can be read, at most. */
  readonly lateMaxMs: number
  readonly isClockJumping: boolean
}

/** The defaults. What is late by hours is left to the deep re-scan, with an outage on top. */
const WIDE: Profile = {
  settings: {
    settleMs: 75 * SECOND,
    overlapMs: 2 * HOUR,
    rescanMs: 48 * HOUR,
    rescanEveryMs: 6 * HOUR,
  },
  lateMaxMs: 24 * HOUR,
  isClockJumping: true,
}

/** Without the re-scan that heals nearly everything, so that what needs healing is seen. */
const TIGHT: Profile = {
  settings: { settleMs: 75 * SECOND, overlapMs: 10 * MINUTE, rescanMs: 0, rescanEveryMs: HOUR },
  lateMaxMs: 7 * MINUTE,
  isClockJumping: false,
}

/** Everything that will happen, made of the seed alone. */
export function scheduleOf(seed: number): Schedule {
  const random = new Random(seed * 2_654_435_761)
  const spanMs = random.pick([10 * MINUTE, 3 * HOUR, 30 * HOUR])
  const profile = random.pick([WIDE, TIGHT])
  const count = random.pick([1, 1, 2, 3])
  const instances = Array.from({ length: count }, (_, i) => instanceOf(i, spanMs, profile, random))
  return {
    instances,
    ticks: ticksOf(spanMs, count, profile, random),
    settings: profile.settings,
  }
}

function instanceOf(i: number, spanMs: number, profile: Profile, random: Random): Instance {
  const skews = skewsOf(spanMs, profile, random)
  const skewAt = (ms: number): number => skews.findLast(({ fromMs }) => fromMs <= ms)?.ms ?? 0
  const calls: NewCall[] = []
  const wanted = random.whole(10, 60)
  while (calls.length < wanted) calls.push(...callsOf(spanMs, skewAt, profile, random))
  return {
    name: `litellm-${i}`,
    version: random.pick(['1.81.16', '1.96.2', '1.104.2']),
    pageSize: random.pick([4, 11, 40, 100, 1000]),
    isJsonText: random.next() < 0.2,
    cacheHits: random.pick(['count', 'exclude']),
    clientDisconnects: random.pick(['count', 'exclude']),
    calls,
    skews,
    hasTwin: random.next() < 0.15,
  }
}

/** Mostly right; else off for good, or for a while, in either direction. */
function skewsOf(spanMs: number, { isClockJumping }: Profile, random: Random): Instance['skews'] {
  const base = random.pick([0, 0, 400, -1_900, 95 * SECOND, -20 * MINUTE])
  const skews = [{ fromMs: 0, ms: base }]
  if (isClockJumping && random.next() < 0.3) {
    const fromMs = START_MS + random.whole(0, spanMs)
    skews.push({ fromMs, ms: base + random.pick([3 * HOUR, -HOUR, 30 * SECOND]) })
    skews.push({ fromMs: fromMs + random.whole(MINUTE, 2 * HOUR), ms: base })
  }
  return skews
}

/** One call, or a burst of them: in a second, in a millisecond, on the edge of a second. */
function callsOf(
  spanMs: number,
  skewAt: (ms: number) => number,
  profile: Profile,
  random: Random,
): NewCall[] {
  // Some begin before we do, and are not ours.
  const trueStartMs = START_MS + random.whole(-10 * MINUTE, spanMs)
  const kind = random.next()
  const size = kind < 0.6 ? 1 : random.whole(2, 25)
  const isTied = kind > 0.75
  const second = Math.floor(trueStartMs / SECOND) * SECOND
  return Array.from({ length: size }, (_, i) => {
    const startMs = isTied ? second : size === 1 ? trueStartMs : second + random.whole(0, 1_200)
    const call = callOf(startMs, skewAt(startMs), random, `${i}`)
    return { ...call, ...latenessOf(skewAt(startMs), profile, random) }
  })
}

function callOf(trueStartMs: number, skewMs: number, random: Random, tag: string): NewCall {
  const odd = random.next()
  const promptTokens = random.whole(0, 5_000)
  return {
    user: random.pick(USERS),
    modelGroup: random.pick(MODELS),
    model: random.pick(['openai/gpt-4o', 'claude-3-opus-20240229']),
    provider: random.pick(['openai', 'anthropic']),
    startedAtMs: trueStartMs + skewMs,
    promptTokens,
    cachedPromptTokens: random.next() < 0.3 ? random.whole(0, promptTokens + 50) : 0,
    completionTokens: random.whole(0, 900),
    ...(odd < 0.06 ? { status: 'failure' as const } : {}),
    ...(odd > 0.06 && odd < 0.1 ? { isCacheHit: true } : {}),
    ...(odd > 0.1 && odd < 0.14 ? { errorClass: 'ClientDisconnected', isStream: true } : {}),
    ...(odd > 0.14 && odd < 0.17 ? { apiKey: 'litellm-internal-health-check' } : {}),
    ...(odd > 0.17 && odd < 0.2 ? { garbled: { prompt_tokens: 'many' } } : {}),
    ...(odd > 0.2 && odd < 0.22 ? { status: null } : {}),
    // An id that is taken: LiteLLM drops the second row in silence.
    ...(odd > 0.22 && odd < 0.26
      ? { requestId: `client-chosen-${random.whole(0, 3)}-${tag}` }
      : {}),
  }
}

/** The row appears by the true time, whatever the proxy's clock says. */
function latenessOf(
  skewMs: number,
  { lateMaxMs }: Profile,
  random: Random,
): Pick<NewCall, 'durationMs' | 'writeLagMs'> {
  const durationMs = Math.min(durationOf(random), lateMaxMs / 2)
  return { durationMs, writeLagMs: Math.min(lagOf(random), lateMaxMs / 2) - skewMs }
}

function durationOf(random: Random): number {
  const kind = random.next()
  if (kind < 0.7) return random.whole(200, 9_000)
  if (kind < 0.9) return random.whole(10 * SECOND, 10 * MINUTE)
  return random.whole(10 * MINUTE, 100 * MINUTE)
}

function lagOf(random: Random): number {
  const kind = random.next()
  if (kind < 0.7) return random.whole(400, 8_400)
  if (kind < 0.9) return random.whole(10 * SECOND, 5 * MINUTE)
  return kind < 0.95 ? random.whole(5 * MINUTE, 20 * MINUTE) : random.whole(HOUR, 22 * HOUR)
}

function ticksOf(spanMs: number, instances: number, profile: Profile, random: Random): Tick[] {
  const ticks: Tick[] = []
  for (let passedMs = 0; passedMs < spanMs + 10 * MINUTE; ) {
    const ms = stepOf(spanMs, random)
    passedMs += ms
    const isRough = random.next() < 0.4
    ticks.push({
      ms,
      faults: isRough ? faultsOf(instances, passedMs, profile, random) : [],
      crashAfter: random.next() < 0.45 ? random.whole(0, 70) : undefined,
      tampering:
        random.next() < 0.1
          ? random.pick(['change', 'vanish', 'reappear', 'retention'])
          : undefined,
      stops: random.next() < 0.04 ? random.whole(0, instances - 1) : undefined,
      ourSkewMs: random.next() < 0.05 ? random.pick([0, HOUR, -5 * HOUR, 90 * SECOND]) : undefined,
    })
  }
  return ticks
}

/** Polls, pauses and outages of ours; about thirty in a schedule. */
function stepOf(spanMs: number, random: Random): number {
  const kind = random.next()
  const usual = Math.max(20 * SECOND, spanMs / 25)
  if (kind < 0.7) return Math.round(usual * (0.3 + random.next()))
  return kind < 0.95 ? random.whole(10 * SECOND, 90 * SECOND) : random.whole(MINUTE, 5 * HOUR)
}

const PAGE = '<html>Bad gateway</html>'

function faultsOf(
  instances: number,
  passedMs: number,
  profile: Profile,
  random: Random,
): Tick['faults'] {
  return Array.from({ length: random.whole(1, 3) }, () => ({
    ...faultOf(passedMs, profile, random),
    instance: random.whole(0, instances - 1),
    times: random.whole(1, 3),
    ...(random.next() < 0.7 ? { path: '/spend' } : {}),
  }))
}

function faultOf(passedMs: number, { lateMaxMs }: Profile, random: Random): Fault {
  const late = () => {
    const startMs =
      START_MS + Math.max(0, passedMs - random.whole(0, Math.min(3 * HOUR, lateMaxMs / 2)))
    return { ...callOf(startMs, 0, random, 'late'), durationMs: 0, writeLagMs: -5 * HOUR }
  }
  return random.pick<() => Fault>([
    () => ({ kind: 'unreachable' }),
    () => ({ kind: 'keyGone' }),
    // For one answer alone it hides rows without a trace: only a re-scan finds them.
    () => (lateMaxMs > HOUR ? { kind: 'wrongRole' } : { kind: 'keyGone' }),
    () => ({ kind: 'noDatabase' }),
    () => ({ kind: 'databaseLost' }),
    () => ({ kind: 'answer', status: 500, body: { detail: 'x' } }),
    () => ({ kind: 'answer', status: 429, body: {} }),
    () => ({ kind: 'answer', status: 502, body: PAGE }),
    () => ({ kind: 'answer', status: 200, body: PAGE }),
    () => ({ kind: 'answer', status: 200, body: { data: [] } }),
    () => ({ kind: 'truncated' }),
    () => ({ kind: 'broken' }),
    () => ({ kind: 'lateRows', calls: Array.from({ length: random.whole(1, 4) }, late) }),
  ])()
}
