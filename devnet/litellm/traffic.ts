import { HEALTH_CHECK_KEY, type NewCall } from './calls.js'
import type { Random } from './random.js'
import type { VersionTraits } from './versions.js'

/** Traffic to make up. The same plan gives the same calls, ids included. */
export interface TrafficPlan {
  readonly seed: number
  /** A whole second in UTC milliseconds; calls start in [fromMs, untilMs), maybe in the future. */
  readonly fromMs: number
  readonly untilMs: number
  /** About a third of them are odd. From 80 on every kind of oddity is there. */
  readonly calls: number
  /** Owners of keys, two keys each. */
  readonly users?: readonly string[]
}

export const DEFAULT_USERS = ['alice', 'bob', 'carol', 'dave'] as const

const MODELS = [
  { modelGroup: 'gpt-4o', model: 'openai/gpt-4o', provider: 'openai' },
  { modelGroup: 'gpt-4o-mini', model: 'openai/gpt-4o-mini', provider: 'openai' },
  { modelGroup: 'gpt-3.5-turbo', model: 'openai/gpt-3.5-turbo-0125', provider: 'openai' },
  { modelGroup: 'claude-3-opus', model: 'claude-3-opus-20240229', provider: 'anthropic' },
  { modelGroup: 'claude-3-haiku', model: 'claude-3-haiku-20240307', provider: 'anthropic' },
  { modelGroup: 'claude-sonnet-4', model: 'claude-sonnet-4-20250514', provider: 'anthropic' },
] as const

const LONGEST_STREAM_MS = 120_000
const ODD_EVERY = 5

/** Every kind of row that a reader has to tell from an ordinary one, as a change of such a one. */
const ODDITIES: readonly ((call: NewCall, random: Random) => readonly NewCall[])[] = [
  (call) => [{ ...call, status: 'failure', modelGroup: 'broken', model: 'openai/gpt-4o-mini' }],
  // A refused management call leaves a failure without a model.
  (call) => [{ ...call, status: 'failure', modelGroup: '', model: '' }],
  (call) => [{ ...call, isCacheHit: true }],
  (call) => [{ ...call, user: '', apiKey: HEALTH_CHECK_KEY, keyAlias: HEALTH_CHECK_KEY }],
  (call) => [ownerless(call, '')],
  (call) => [ownerless(call, 'default_user_id')],
  (call) => [{ ...call, errorClass: 'ClientDisconnected', isStream: true, ...ESTIMATED }],
  (call) => [{ ...call, ...EMBEDDING, completionTokens: 0, cachedPromptTokens: 0 }],
  // One call id, sent twice by a client: two rows, since chat rows go by the id of the answer.
  (call, random) => twice({ ...call, callId: random.uuid() }),
  // The same id of the answer again: LiteLLM keeps the first row only.
  (call, random) => twice({ ...call, requestId: `chatcmpl-${random.uuid()}` }),
  // Ties in the sort key, on the edge of a second.
  (call) => [0, 1, 2].map(() => ({ ...call, startedAtMs: wholeSecond(call.startedAtMs) })),
  (call, random) => [
    { ...call, isStream: true, durationMs: random.whole(60_000, LONGEST_STREAM_MS) },
  ],
  (call) => [{ ...call, status: null }],
]

const ESTIMATED = { promptTokens: 15, completionTokens: 49, cachedPromptTokens: 0 }
const EMBEDDING = {
  callType: 'aembedding',
  modelGroup: 'text-embedding-3-small',
  model: 'text-embedding-3-small',
  provider: 'openai',
}

/** Makes up the calls of a plan, in the order of their start. */
export function makeTraffic(plan: TrafficPlan, random: Random, traits: VersionTraits): NewCall[] {
  const calls: NewCall[] = []
  for (let i = 0; calls.length < plan.calls; i += 1) {
    const share = calls.length / plan.calls
    const startedAtMs = plan.fromMs + Math.floor(share * (plan.untilMs - plan.fromMs))
    const call = ordinaryCall(plan.users ?? DEFAULT_USERS, startedAtMs, random)
    const oddity = ODDITIES[Math.floor(i / ODD_EVERY) % ODDITIES.length]
    const isOdd = i % ODD_EVERY === ODD_EVERY - 1
    calls.push(...(isOdd && oddity !== undefined ? oddity(call, random) : [call]))
  }
  return calls.filter((call) => traits.logsDisconnects || call.errorClass !== 'ClientDisconnected')
}

function ordinaryCall(users: readonly string[], startedAtMs: number, random: Random): NewCall {
  const user = random.pick(users)
  const key = random.whole(1, 2)
  const promptTokens = random.whole(50, 6_000)
  const isCached = random.next() < 0.2
  return {
    user,
    ...(key === 1 ? {} : { apiKey: secondKeyOf(user), keyAlias: `${user}-2` }),
    ...random.pick(MODELS),
    startedAtMs,
    durationMs: random.whole(300, 9_000),
    promptTokens,
    cachedPromptTokens: isCached ? random.whole(1, promptTokens) : 0,
    completionTokens: random.whole(5, 2_000),
    isStream: random.next() < 0.5,
    ...(random.next() < 0.3 ? { endUser: `end-${random.whole(1, 9)}` } : {}),
  }
}

/** Stands for a hash: 64 hex digits made of the name. */
function secondKeyOf(user: string): string {
  return Buffer.from(`${user}#2`).toString('hex').padEnd(64, '0').slice(0, 64)
}

function ownerless({ apiKey: _, keyAlias: __, ...call }: NewCall, user: string): NewCall {
  return { ...call, user }
}

function twice(call: NewCall): readonly NewCall[] {
  return [call, { ...call, completionTokens: call.completionTokens + 1 }]
}

function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}
