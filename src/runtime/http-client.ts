import axios, { type AxiosInstance } from 'axios'
import { RetryableError } from '../domain/errors.js'
import { type Exchange, tellExchange } from './measures.js'
import { learnCredentials, redact } from './redaction.js'
import { timeLimit } from './time-limit.js'

export interface HttpClientParts {
  /** Without a slash at the end. May carry a path. */
  readonly baseUrl: string
  /** Begins the codes of its errors: `source` throws `source_unreachable`, `source_nonsense`. */
  readonly codePrefix: string
  readonly timeoutMs: number
  /** A larger answer is refused, not cut off. */
  readonly responseBytesMax: number
  readonly headers?: Readonly<Record<string, string>>
}

export interface HttpRequest {
  readonly method?: 'GET' | 'POST'
  /** Below the base, with its slash. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** Sent as JSON; text goes as it is. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface HttpAnswer {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  /** The answer as text; `json` parses it. */
  readonly text: string
  /** @throws RetryableError `…_nonsense` when the answer is not JSON */
  json(): unknown
}

/**
 * One way out for every adapter: time limit, size limit, abort, no redirect. An answer is an answer,
 * whatever its status; only silence throws.
 *
 * @throws RetryableError `…_unreachable` on silence, `…_nonsense` on an answer that is too large
 */
export class HttpClient {
  readonly #axios: AxiosInstance
  readonly #timeoutMs: number
  readonly #codePrefix: string
  /** Host only: a path or a query may hold a key. */
  readonly #host: string

  constructor({ baseUrl, codePrefix, timeoutMs, responseBytesMax, headers }: HttpClientParts) {
    this.#codePrefix = codePrefix
    this.#timeoutMs = timeoutMs
    this.#host = new URL(baseUrl).host
    learnCredentials(baseUrl)
    this.#axios = axios.create({
      baseURL: baseUrl,
      maxContentLength: responseBytesMax,
      maxRedirects: 0,
      proxy: false,
      responseType: 'text',
      // axios would parse what looks like JSON, and read large integers as floats.
      transformResponse: (text: unknown) => text,
      validateStatus: () => true,
      headers: { accept: 'application/json', ...headers },
    })
  }

  async request(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const { method = 'GET', path, query, body, headers: own } = request
    // For the whole exchange: axios's own limit starts anew with every byte of a slow answer.
    const limit = timeLimit(this.#timeoutMs, signal)
    const startedAtMs = performance.now()
    let outcome: Exchange['outcome'] = 'failed'
    try {
      const answer = await this.#axios.request<string>({
        method,
        url: path,
        signal: limit.signal,
        ...(query === undefined ? {} : { params: query }),
        ...(body === undefined ? {} : { data: body }),
        ...(own === undefined ? {} : { headers: own }),
      })
      const headers = Object.fromEntries(
        Object.entries(answer.headers).map(([name, value]) => [name.toLowerCase(), `${value}`]),
      )
      outcome = answer.status < 400 ? 'answered' : 'refused'
      const said = answer.data ?? ''
      // Whoever refuses a key likes to repeat it, and what was refused is told to people.
      const text = outcome === 'refused' ? redact(said) : said
      return { status: answer.status, headers, text, json: () => this.#parse(text) }
    } catch (error) {
      signal.throwIfAborted()
      throw this.#failure(error)
    } finally {
      limit.end()
      const [dependency, host] = [this.#codePrefix, this.#host]
      // Whoever is told to stop says nothing of the other side.
      if (!signal.aborted) {
        tellExchange({ dependency, host, outcome, ms: performance.now() - startedAtMs })
      }
    }
  }

  #parse(text: string): unknown {
    try {
      return JSON.parse(text)
    } catch {
      throw new RetryableError(
        `${this.#codePrefix}_nonsense`,
        `${this.#host} answered with something that is not JSON (${text.length} characters)`,
      )
    }
  }

  /** The error of axios is not kept as the cause: it holds the request with its headers. */
  #failure(error: unknown): RetryableError {
    const [code, message] = axios.isAxiosError(error)
      ? [error.code ?? 'unknown', error.message]
      : ['unknown', String(error)]
    const isTooLarge = message.includes('maxContentLength')
    const kind = isTooLarge ? 'nonsense' : 'unreachable'
    const what = isTooLarge ? 'answered with too many bytes' : `cannot be reached (${code})`
    return new RetryableError(`${this.#codePrefix}_${kind}`, `${this.#host} ${what}`)
  }
}
