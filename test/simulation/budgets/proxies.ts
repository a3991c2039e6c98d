import { Refusal } from '../../../devnet/litellm/answers.js'
import {
  answerKeyRoute,
  type KeyRequest,
  type KeyRoutesParts,
} from '../../../devnet/litellm/key-routes.js'
import type { Random } from '../../../devnet/litellm/random.js'
import { tokenOf, type VirtualKey, VirtualKeys } from '../../../devnet/litellm/virtual-keys.js'
import { RetryableError } from '../../../src/domain/errors.js'
import type { HttpAnswer, HttpRequest } from '../../../src/runtime/http-client.js'

/** A call from the moment it is let in. */
export interface Call {
  readonly id: string
  readonly secret: string
  readonly user: string
  readonly proxy: number
  readonly model: string
  readonly tokens: number
  /** All tokens are of the answer, which may weigh more. */
  readonly isAnswer: boolean
  readonly startedAtMs: number
  readonly endsAtMs: number
  /** When its row can be read. */
  readonly loggedAtMs: number
}

const MINUTE_MS = 60_000
const ADMIN = { role: 'proxy_admin', userId: 'default_user_id' } as const
/** A write of a call's spend may follow a block for so long, and undo it in memory. */
const RACE_MS = 60_000

interface Minute {
  minute: number
  requests: number
  tokens: number
}

/** Proxies of one LiteLLM: keys in its database and in each memory, limits that each counts by itself. */
export class Proxies {
  readonly keys = new VirtualKeys()
  readonly calls: Call[] = []
  /** How the routes of keys fail: not asked, asked and the answer lost, or 500. */
  fault: 'none' | 'unreachable' | 'lost' | 'broken' = 'none'
  readonly #parts: KeyRoutesParts
  readonly #random: Random
  readonly #nowMs: () => number
  readonly #minutes = new Map<string, Minute>()
  readonly #running: { call: Call; key: VirtualKey }[] = []
  readonly #blockedAtMs = new Map<string, number>()
  readonly count: number
  readonly #races: number

  /** @param races how often a write that could bring an old key back does */
  constructor(count: number, random: Random, nowMs: () => number, races = 0.9) {
    this.count = count
    this.#races = races
    this.#random = random
    this.#nowMs = nowMs
    this.#parts = { keys: this.keys, random, version: '1.96.2', nowMs }
  }

  /** The routes of keys as an adapter reaches them. Any proxy may be the one that is asked. */
  readonly transport = {
    request: async ({
      method = 'GET',
      path,
      query = {},
      body,
    }: HttpRequest): Promise<HttpAnswer> => {
      if (this.fault === 'unreachable') throw unreachable()
      if (this.fault === 'broken') return answer(500, { error: 'no database' })
      const url = new URL(`http://litellm${path}`)
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
      const found = this.#answer({
        ...{ method, url, caller: ADMIN, replica: this.#random.whole(0, this.count - 1) },
        body: body as KeyRequest['body'],
      })
      if (this.fault === 'lost') throw unreachable()
      return answer(found.status, found.body)
    },
  }

  /** As an operator does by hand. */
  byHand(path: '/key/block' | '/key/unblock', secret: string): void {
    this.#answer({
      ...{ method: 'POST', url: new URL(`http://litellm${path}`), caller: ADMIN, replica: 0 },
      body: { key: tokenOf(secret) },
    })
  }

  /** A key as /key/generate makes it. */
  make(secret: string, limits: object): void {
    this.#answer({
      ...{ method: 'POST', url: new URL('http://litellm/key/generate'), caller: ADMIN, replica: 0 },
      body: { key: secret, ...limits },
    })
  }

  stored(secret: string): VirtualKey | undefined {
    return this.keys.stored(tokenOf(secret))
  }

  /** Lets a call in, if its proxy does. A client of a proxy has no more than so many in hand. */
  start(
    call: Omit<Call, 'startedAtMs' | 'endsAtMs' | 'loggedAtMs'>,
    { lastsMs, atOnce }: { readonly lastsMs: number; readonly atOnce: number },
  ): boolean {
    const nowMs = this.#nowMs()
    this.#end(nowMs)
    const token = tokenOf(call.secret)
    const key = this.keys.cached(token, call.proxy, nowMs)
    if (key === undefined || key.blocked === true) return false
    if (key.models.length > 0 && !key.models.includes(call.model)) return false
    if (key.max_budget !== null && key.spend >= key.max_budget) return false
    if (this.inHand(call.secret, call.proxy) >= atOnce) return false
    const minute = this.#minuteOf(token, call.proxy, nowMs)
    if (key.rpm_limit !== null && minute.requests >= key.rpm_limit) return false
    if (key.tpm_limit !== null && minute.tokens >= key.tpm_limit) return false
    minute.requests += 1
    const endsAtMs = nowMs + lastsMs
    const loggedAtMs = endsAtMs + this.#random.whole(400, 8_400)
    const begun = { ...call, startedAtMs: nowMs, endsAtMs, loggedAtMs }
    this.calls.push(begun)
    this.#running.push({ call: begun, key })
    return true
  }

  /** Calls of a key that a proxy has in hand. */
  inHand(secret: string, proxy: number): number {
    const isOf = ({ call }: { call: Call }) => call.secret === secret && call.proxy === proxy
    return this.#running.filter(isOf).length
  }

  /** Calls whose time is over: counted against the minute, and their spend written. */
  #end(nowMs: number): void {
    for (const one of [...this.#running]) {
      if (one.call.endsAtMs > nowMs) continue
      this.#running.splice(this.#running.indexOf(one), 1)
      const { call, key } = one
      this.#minuteOf(key.token, call.proxy, call.endsAtMs).tokens += call.tokens
      this.keys.addSpend(key.token, call.tokens * 1e-6)
      const blockedAtMs = this.#blockedAtMs.get(key.token) ?? Number.NEGATIVE_INFINITY
      const isRace =
        call.startedAtMs <= blockedAtMs &&
        call.endsAtMs >= blockedAtMs &&
        call.endsAtMs <= blockedAtMs + RACE_MS &&
        key.blocked !== true
      if (isRace && this.#random.next() < this.#races) this.keys.resurrect(key, call.endsAtMs)
    }
  }

  #minuteOf(token: string, proxy: number, atMs: number): Minute {
    const name = `${token}/${proxy}`
    const minute = Math.floor(atMs / MINUTE_MS)
    const known = this.#minutes.get(name)
    if (known?.minute === minute) return known
    const fresh = { minute, requests: 0, tokens: 0 }
    if (known === undefined || minute > known.minute) this.#minutes.set(name, fresh)
    return fresh
  }

  #answer(request: KeyRequest): { readonly status: number; readonly body: unknown } {
    this.#end(this.#nowMs())
    const before = new Map(this.keys.all().map(({ token, blocked }) => [token, blocked]))
    try {
      const found = answerKeyRoute(this.#parts, request) ?? { status: 404, body: {} }
      for (const { token, blocked } of this.keys.all()) {
        if (blocked === true && before.get(token) !== true) {
          this.#blockedAtMs.set(token, this.#nowMs())
        }
      }
      return found
    } catch (error) {
      if (error instanceof Refusal) return error.answer
      throw error
    }
  }
}

function answer(status: number, body: unknown): HttpAnswer {
  const text = JSON.stringify(body)
  return { status, headers: {}, text, json: () => JSON.parse(text) }
}

function unreachable(): RetryableError {
  return new RetryableError('keys_unreachable', 'no answer')
}
