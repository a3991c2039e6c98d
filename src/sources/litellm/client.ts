import { z } from 'zod'
import { RetryableError } from '../../domain/errors.js'
import { type HttpAnswer, HttpClient, type HttpRequest } from '../../runtime/http-client.js'
import { jsonOf, refusalOf, refusesParameter } from './refusal.js'

/** Whole seconds since 1970, the end excluded. */
export interface Seconds {
  readonly from: number
  readonly until: number
}

/** Columns to sort by. None is unique: there is no order without ties. */
export type SortColumn = 'startTime' | 'endTime' | 'total_tokens' | 'spend'

export interface PageQuery {
  readonly seconds: Seconds
  readonly page: number
  readonly sortBy: SortColumn
  readonly order: 'asc' | 'desc'
  /** Fewer rows than a page has. */
  readonly rowsMax?: number
}

export interface SpendLogsPage {
  /** Not looked at: see `parse.ts`. */
  readonly rows: readonly unknown[]
  /** How many rows the range holds. A lower bound where it is capped. */
  readonly total: number
  readonly isCapped: boolean
  /** Whether it stops counting at some number: those that do not count a whole table. */
  readonly isCapping: boolean
  readonly pageSize: number
}

export interface LitellmHealth {
  readonly hasDatabase: boolean
  /** Absent from 1.96 on, where only the details tell it. */
  readonly version?: string
}

export interface LitellmRole {
  /** `admin or viewer` where LiteLLM says no more than that. */
  readonly role: string
  readonly seesAll: boolean
  readonly version?: string
}

export interface LitellmClientParts {
  readonly apiUrl: string
  readonly apiKey: string
  readonly pageSize: number
  readonly timeoutMs: number
  readonly responseBytesMax: number
  /** The way to the proxy where that is not HTTP: for simulations. */
  readonly transport?: Pick<HttpClient, 'request'>
}

/** What every release takes; asked for after a larger size was refused. */
const PAGE_SIZE_OLD = 100
/** How the HTTP client ends its message about an answer above the limit of bytes. */
const TOO_LARGE = 'answered with too many bytes'

const envelope = z.object({
  data: z.array(z.unknown()),
  total: z.int().nonnegative(),
  // Only releases that cap have it.
  total_is_capped: z.boolean().nullish(),
})
const readiness = z.object({ db: z.string(), litellm_version: z.string().nullish() })
const details = z.object({ litellm_version: z.string().nullish() })
const userInfo = z.object({ user_info: z.object({ user_role: z.string().nullish() }).nullish() })

/**
 * LiteLLM's routes, each asked once. Throws RetryableError with the codes of the port. `/health`
 * is never asked: it calls every model, which costs money.
 */
export class LitellmClient {
  readonly #http: Pick<HttpClient, 'request'>
  #pageSize: number

  constructor({ apiUrl, apiKey, pageSize, transport, ...limits }: LitellmClientParts) {
    this.#pageSize = pageSize
    this.#http =
      transport ??
      new HttpClient({
        baseUrl: apiUrl.replace(/\/+$/, ''),
        codePrefix: 'source',
        timeoutMs: limits.timeoutMs,
        responseBytesMax: limits.responseBytesMax,
        headers: { authorization: `Bearer ${apiKey}` },
      })
  }

  /**
   * A page of the rows that started in the range. LiteLLM's filter includes both ends and knows
   * whole seconds only, so rows of the end's first millisecond are among them, and in the total.
   */
  async spendLogs(query: PageQuery, signal: AbortSignal): Promise<SpendLogsPage> {
    const asked = {
      start_date: dateText(query.seconds.from),
      end_date: dateText(query.seconds.until),
      page: String(query.page),
      sort_by: query.sortBy,
      sort_order: query.order,
    }
    const pageSize = Math.min(this.#pageSize, query.rowsMax ?? this.#pageSize)
    const path = '/spend/logs/v2'
    const sized = { path, query: { ...asked, page_size: String(pageSize) } }
    const answer = await this.#requestPage(sized, signal)
    const isRefused =
      answer !== undefined && refusesParameter(answer.status, answer.text, 'page_size')
    if (answer === undefined || (isRefused && pageSize > PAGE_SIZE_OLD)) {
      // For good, and from page 1: another size cuts the pages elsewhere.
      this.#pageSize = isRefused ? PAGE_SIZE_OLD : Math.floor(pageSize / 2)
      return this.spendLogs({ ...query, page: 1 }, signal)
    }
    const { data, total, total_is_capped } = read(answer, envelope)
    const isCapping = total_is_capped !== undefined
    return { rows: data, total, isCapped: total_is_capped ?? false, isCapping, pageSize }
  }

  /** Undefined for a page of more bytes than are taken, while fewer rows can be asked for. */
  async #requestPage(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer | undefined> {
    try {
      return await this.#http.request(request, signal)
    } catch (error) {
      const isTooLarge = error instanceof RetryableError && error.message.endsWith(TOO_LARGE)
      if (!isTooLarge || this.#pageSize === 1) throw error
      return undefined
    }
  }

  /** Whether its database answers. Public, so it says nothing of the key. */
  async health(signal: AbortSignal): Promise<LitellmHealth> {
    const answer = await this.#http.request({ path: '/health/readiness' }, signal)
    // A lost database is a 503 that says so; any other failure is not about the database.
    const body = answer.status === 503 ? readiness.safeParse(jsonOf(answer.text)).data : undefined
    const { db, litellm_version: version } = body ?? read(answer, readiness)
    return { hasDatabase: db === 'connected', ...(version ? { version } : {}) }
  }

  /**
   * Whether the key sees the rows of all users. It has to be asked: to a key without the role the
   * spend logs show no rows and no error.
   */
  async role(signal: AbortSignal): Promise<LitellmRole> {
    const answer = await this.#http.request({ path: '/health/readiness/details' }, signal)
    if (answer.status === 404) return this.#roleOfUser(signal)
    const { litellm_version: version } = read(answer, details)
    return { role: 'admin or viewer', seesAll: true, ...(version ? { version } : {}) }
  }

  /** Before 1.96 there are no details to be kept from. */
  async #roleOfUser(signal: AbortSignal): Promise<LitellmRole> {
    const body = read(await this.#http.request({ path: '/user/info' }, signal), userInfo)
    const role = body.user_info?.user_role ?? 'unknown'
    return { role, seesAll: role === 'proxy_admin' || role === 'proxy_admin_viewer' }
  }

  /** The clock that rows are stamped by, to the second. */
  async now(signal: AbortSignal): Promise<number> {
    const answer = await this.#http.request({ path: '/health/liveliness' }, signal)
    if (answer.status !== 200) throw refusalOf(answer.status, answer.text)
    const ms = Date.parse(answer.headers.date ?? '')
    if (Number.isNaN(ms))
      throw new RetryableError('source_nonsense', 'LiteLLM sends no Date header')
    return ms
  }
}

function read<Schema extends z.ZodType>(answer: HttpAnswer, schema: Schema): z.output<Schema> {
  if (answer.status !== 200) throw refusalOf(answer.status, answer.text)
  const parsed = schema.safeParse(answer.json())
  if (parsed.success) return parsed.data
  // The paths say where it went wrong; the values could be anything.
  const places = parsed.error.issues.map(({ path }) => path.join('.') || 'the whole')
  const what = `LiteLLM's answer does not have the known shape: ${places.slice(0, 5).join(', ')}`
  throw new RetryableError('source_nonsense', what)
}

/** `YYYY-MM-DD HH:MM:SS`, which LiteLLM reads as UTC. A zone or a fraction it refuses. */
function dateText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')
}
