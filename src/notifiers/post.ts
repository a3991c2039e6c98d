import { ConfigError, RetryableError } from '../domain/errors.js'
import type { Told } from '../ports/notifier.js'
import { HttpClient } from '../runtime/http-client.js'

const TIMEOUT_MS = 10_000
/** What a receiver answers is not looked at. */
const ANSWER_BYTES_MAX = 64 * 1024
/** How far beyond now an answer may put the next try. */
const RETRY_AFTER_S_MAX = 3_600
const GONE = 410

/** Where messages go, as the settings say it. The address itself is a secret. */
export interface Place {
  readonly name: string
  /** The variable that holds the address. */
  readonly urlEnv: string
  readonly url: string
}

/**
 * Posts to one fixed address: no redirect is followed, no proxy used, time and answer are bounded.
 * What is said of a failure has the host alone, since the rest of the address may be a secret.
 */
export class Post {
  readonly #client: HttpClient
  readonly #now: () => number

  /** @throws ConfigError `notify_url`, without the address */
  constructor(place: Place, now: () => number) {
    checkUrl(place)
    this.#client = new HttpClient({
      baseUrl: place.url,
      codePrefix: 'notify',
      timeoutMs: TIMEOUT_MS,
      responseBytesMax: ANSWER_BYTES_MAX,
    })
    this.#now = now
  }

  /** @param body JSON, sent as it is: its bytes are what was signed */
  async send(
    body: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Told> {
    const all = { 'content-type': 'application/json', ...headers }
    try {
      const answer = await this.#client.request(
        { method: 'POST', path: '', body, headers: all },
        signal,
      )
      const { status } = answer
      if (status >= 200 && status < 300) return { ok: true, answer: `${status}` }
      const retryAfterMs = retryAfterOf(answer.headers['retry-after'], this.#now())
      return {
        ok: false,
        why: whyOf(status),
        isFinal: status === GONE,
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      }
    } catch (error) {
      if (!(error instanceof RetryableError)) throw error
      return { ok: false, why: error.message, isFinal: false }
    }
  }
}

/** Whether http:// may be used there was looked at with the settings. */
function checkUrl({ name, urlEnv, url }: Place): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const isWeb = parsed?.protocol === 'https:' || parsed?.protocol === 'http:'
  if (parsed !== undefined && isWeb && parsed.username === '' && parsed.password === '') return
  throw new ConfigError(
    'notify_url',
    `${urlEnv}, of "${name}" in notify: expected an https:// address without a user in it.`,
  )
}

function whyOf(status: number): string {
  if (status >= 300 && status < 400) return `answered ${status}: redirects are not followed`
  if (status === GONE) return 'answered 410: it wants no more messages'
  return `answered ${status}`
}

/** Seconds, or a date. */
function retryAfterOf(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - nowMs
  return Number.isNaN(ms) ? undefined : Math.max(0, Math.min(ms, RETRY_AFTER_S_MAX * 1_000))
}
