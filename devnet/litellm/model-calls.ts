import { type Answer, keyNotFound, ok, proxyError } from './answers.js'
import type { NewCall } from './calls.js'
import type { LitellmVersion } from './versions.js'
import { tokenOf, type VirtualKey, type VirtualKeys } from './virtual-keys.js'

export interface ModelCallParts {
  readonly keys: VirtualKeys
  readonly version: LitellmVersion
  readonly nowMs: () => number
  readonly insert: (call: NewCall) => void
}

/** A call of a model with a virtual key, as one proxy gets it. */
export interface ModelCall {
  readonly key: string
  readonly model: string
  /** Which of the proxies on the database was asked; 0 is the first. */
  readonly replica?: number
  /** What the mock provider counts unless told: 10 and 20, as recorded. */
  readonly promptTokens?: number
  readonly completionTokens?: number
  readonly durationMs?: number
  readonly requestId?: string
  /** The spend update of this call brings the key object it began with back into every memory. */
  readonly isStaleWriter?: boolean
}

const PROMPT_TOKENS = 10
const COMPLETION_TOKENS = 20
const MINUTE_MS = 60_000

/** What a key did of late on one proxy, which is where its limits per minute are kept. */
interface Recent {
  readonly atMs: number
  readonly tokens: number
}

/** The model routes, as far as keys decide about them. The provider behind is a mock that answers. */
export class ModelCalls {
  readonly #parts: ModelCallParts
  readonly #recent = new Map<string, Recent[]>()

  constructor(parts: ModelCallParts) {
    this.#parts = parts
  }

  answer(call: ModelCall): Answer {
    const { keys, nowMs } = this.#parts
    const { replica = 0 } = call
    const token = tokenOf(call.key)
    const key = keys.cached(token, replica, nowMs())
    if (key === undefined) return keyNotFound(call.key)
    const refusal = this.#refusal(key, call)
    if (refusal !== undefined) {
      this.#logFailure(key, call)
      return refusal
    }
    return this.#serve(key, call)
  }

  #refusal(key: VirtualKey, { model, replica = 0 }: ModelCall): Answer | undefined {
    const { version, keys } = this.#parts
    if (key.blocked === true) {
      const words = "Key is blocked. Update via `/key/unblock` if you're an admin."
      return proxyError(401, 'auth_error', `Authentication Error, ${words}`)
    }
    if (key.models.length > 0 && !key.models.includes(model)) {
      const words = `key not allowed to access model. This key can only access models=${JSON.stringify(key.models)}. Tried to access ${model}`
      return proxyError(
        version === '1.81.16' ? 401 : 403,
        'key_model_access_denied',
        words,
        'model',
      )
    }
    // 400 in the releases recorded; 429 is what threads tell of the newest one.
    const budgetStatus = version === '1.104.2' ? 429 : 400
    const owner = keys.users.get(key.user_id ?? '')
    for (const { spend, max_budget } of owner === undefined ? [key] : [key, owner]) {
      if (max_budget === null || spend < max_budget) continue
      const words = `Budget has been exceeded! Current cost: ${spend}, Max budget: ${max_budget}`
      return proxyError(budgetStatus, 'budget_exceeded', words)
    }
    const recent = this.#recentOf(key.token, replica)
    const tokens = recent.reduce((sum, { tokens: each }) => sum + each, 0)
    if (key.rpm_limit !== null && recent.length >= key.rpm_limit) return limited('requests')
    if (key.tpm_limit !== null && tokens >= key.tpm_limit) return limited('tokens')
    return undefined
  }

  #serve(key: VirtualKey, call: ModelCall): Answer {
    const { keys, nowMs, insert } = this.#parts
    const { promptTokens = PROMPT_TOKENS, completionTokens = COMPLETION_TOKENS } = call
    const total = promptTokens + completionTokens
    // The request began before the answer: a row's start lies in the past when it is written.
    insert({
      ...this.#rowOf(key, call),
      promptTokens,
      completionTokens,
    })
    this.#recentOf(key.token, call.replica ?? 0).push({ atMs: nowMs(), tokens: total })
    keys.addSpend(key.token, total * 1e-6)
    if (call.isStaleWriter) keys.resurrect(key, nowMs())
    return ok({
      object: 'chat.completion',
      model: call.model,
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi' } }],
      usage: {
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        total_tokens: total,
      },
    })
  }

  /** Recorded: a blocked key's call leaves a failure row. */
  #logFailure(key: VirtualKey, call: ModelCall): void {
    this.#parts.insert({
      ...this.#rowOf(key, call),
      promptTokens: 0,
      completionTokens: 0,
      status: 'failure',
      errorClass: 'ProxyException',
    })
  }

  #rowOf(key: VirtualKey, call: ModelCall): Omit<NewCall, 'promptTokens' | 'completionTokens'> {
    return {
      user: key.user_id ?? '',
      startedAtMs: this.#parts.nowMs(),
      modelGroup: call.model,
      apiKey: key.token,
      ...(key.key_alias === null ? {} : { keyAlias: key.key_alias }),
      ...(call.durationMs === undefined ? {} : { durationMs: call.durationMs }),
      ...(call.requestId === undefined ? {} : { requestId: call.requestId }),
    }
  }

  #recentOf(token: string, replica: number): Recent[] {
    const name = `${replica}/${token}`
    const since = this.#parts.nowMs() - MINUTE_MS
    const recent = (this.#recent.get(name) ?? []).filter(({ atMs }) => atMs > since)
    this.#recent.set(name, recent)
    return recent
  }
}

function limited(what: string): Answer {
  const words = `Rate limit exceeded for api_key. Limit type: ${what}`
  const answer = proxyError(429, 'rate_limit_error', words)
  return { ...answer, headers: { 'retry-after': '60' } }
}
