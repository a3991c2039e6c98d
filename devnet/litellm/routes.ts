import type { IncomingMessage } from 'node:http'
import { aggregatedBody } from './aggregate.js'
import {
  type Answer,
  detailText,
  keyNotFound,
  noDatabase,
  ok,
  proxyError,
  Refusal,
  roleDenied,
} from './answers.js'
import { authenticate, type Caller, visibleUser } from './auth.js'
import type { Fault } from './faults.js'
import { answerKeyRoute, type KeyRoutesParts } from './key-routes.js'
import type { ModelCalls } from './model-calls.js'
import { answerOwnerRoute } from './owner-routes.js'
import { all, spendLogsQuery } from './query.js'
import { type RowStyle, rowJson } from './row.js'
import type { Condition, SpendTable } from './table.js'

/** What the routes stand on. */
export interface RoutesParts {
  readonly table: SpendTable
  readonly style: RowStyle
  readonly nowMs: () => number
  /** Whether equal sort keys come in another order with every answer, as after a plan change. */
  readonly isTieOrderShifting: boolean
  readonly insertLate: (fault: Fault) => void
  readonly keyRoutes: KeyRoutesParts
  readonly modelCalls: ModelCalls
}

/** All that the routes look at of a request. */
export interface AskedRequest extends Pick<IncomingMessage, 'headers'> {
  /** GET unless told. */
  readonly method?: string
  /** The body as JSON, if it is an object. */
  readonly body?: Readonly<Record<string, unknown>> | undefined
  /** Which of the proxies on the database is asked; the first unless told. */
  readonly replica?: number
}

interface Asked {
  readonly request: AskedRequest
  readonly url: URL
  readonly fault: Fault | undefined
}

/** The routes of the proxy, without HTTP around them. */
export class Routes {
  readonly #parts: RoutesParts
  #reads = 0

  constructor(parts: RoutesParts) {
    this.#parts = parts
  }

  answer(request: AskedRequest, url: URL, fault: Fault | undefined): Answer {
    try {
      return this.#route({ request, url, fault })
    } catch (error) {
      if (error instanceof Refusal) return error.answer
      throw error
    }
  }

  #route(asked: Asked): Answer {
    const { method = 'GET' } = asked.request
    if (MODEL_ROUTES.includes(asked.url.pathname)) return this.#modelCall(asked)
    if (/^\/(key|user|budget)\//.test(asked.url.pathname)) {
      const managed = this.#managed(asked)
      if (managed !== undefined) return managed
    }
    if (method !== 'GET') return detailText(405, 'Method Not Allowed')
    const { hasReadinessDetails } = this.#parts.style.traits
    switch (asked.url.pathname) {
      case '/health/liveliness':
      case '/health/liveness':
        return ok("I'm alive!")
      case '/health/readiness':
        return this.#readiness(asked)
      case '/health/readiness/details':
        return hasReadinessDetails ? this.#readinessDetails(asked) : notFound
      case '/spend/logs/v2':
        return this.#spendLogs(asked)
      case '/user/daily/activity/aggregated':
        return this.#aggregated(asked)
      case '/user/info':
        return this.#userInfo(asked)
      default:
        return notFound
    }
  }

  #managed(asked: Asked): Answer | undefined {
    const { request, url } = asked
    const { method = 'GET', body, replica = 0 } = request
    const { keyRoutes } = this.#parts
    const key = { method, url, body, replica, caller: this.#caller(asked) }
    return answerKeyRoute(keyRoutes, key) ?? answerOwnerRoute(keyRoutes, key)
  }

  #modelCall({ request }: Asked): Answer {
    const { method, body, replica = 0, headers } = request
    if (method !== 'POST') return detailText(405, 'Method Not Allowed')
    const key = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? ''
    return this.#parts.modelCalls.answer({ key, model: String(body?.model ?? ''), replica })
  }

  #readiness({ fault }: Asked): Answer {
    const { hasReadinessDetails, version } = this.#parts.style.traits
    if (fault?.kind === 'databaseLost') {
      return { status: 503, body: { status: 'healthy', db: 'disconnected' } }
    }
    const db = fault?.kind === 'noDatabase' ? 'Not connected' : 'connected'
    if (hasReadinessDetails) return ok({ status: 'healthy', db })
    return ok({ status: 'connected', db, cache: null, litellm_version: version })
  }

  #readinessDetails(asked: Asked): Answer {
    const caller = this.#caller(asked)
    if (caller.role === 'internal_user') {
      throw new Refusal(roleDenied(asked.url.pathname, caller.role))
    }
    return ok({
      status: 'healthy',
      db: 'connected',
      cache: null,
      litellm_version: this.#parts.style.traits.version,
      success_callbacks: ['_ProxyDBLogger'],
      use_aiohttp_transport: true,
    })
  }

  #spendLogs(asked: Asked): Answer {
    const { table, style, nowMs, insertLate } = this.#parts
    const { traits } = style
    const onlyUser = visibleUser(this.#caller(asked), asked.url.pathname, traits)
    const query = spendLogsQuery(asked.url.searchParams, onlyUser, traits)
    const { where, page, pageSize } = query
    const counted = table.count(where, nowMs(), traits.totalCap)
    if (asked.fault?.kind === 'lateRows') insertLate(asked.fault)
    const total = Math.min(counted, traits.totalCap ?? counted)
    const slice = { limit: pageSize, offset: (page - 1) * pageSize }
    const rows = table.read(where, nowMs(), this.#order(query.sort), slice)
    return ok({
      data: rows.map((row) => rowJson(row, style)),
      total,
      page,
      page_size: pageSize,
      total_pages: Math.ceil(total / pageSize),
      ...(traits.totalCap === null ? {} : { total_is_capped: counted > traits.totalCap }),
    })
  }

  /** The order of ties is the engine's: here that of the table, or another one each time. */
  #order({ column, direction }: { column: string; direction: string }): Condition {
    this.#reads += 1
    if (!this.#parts.isTieOrderShifting) return { sql: `${column} ${direction}, seq`, values: [] }
    const sql = `${column} ${direction}, (seq * 7919 + ? * 31) % 101`
    return { sql, values: [this.#reads] }
  }

  #aggregated(asked: Asked): Answer {
    const { table, style, nowMs } = this.#parts
    const params = asked.url.searchParams
    const caller = this.#caller(asked)
    const own = caller.role === 'internal_user' ? caller.userId : undefined
    const start = params.get('start_date')
    const end = params.get('end_date')
    if (!isDay(start) || !isDay(end)) {
      return { status: 400, body: { detail: { error: 'Please provide start_date and end_date' } } }
    }
    const conditions: Condition[] = [
      { sql: "date(start_ms / 1000, 'unixepoch') BETWEEN ? AND ?", values: [start, end] },
    ]
    const user = own ?? (style.traits.hasLaterColumns ? params.get('user_id') : null)
    const filters = { user, model: params.get('model'), api_key: params.get('api_key') }
    for (const [column, value] of Object.entries(filters)) {
      if (value !== null) conditions.push({ sql: `${column} = ?`, values: [value] })
    }
    return ok(aggregatedBody(table.daily(all(conditions), nowMs())))
  }

  /** Only the fields that tell a caller who it is. */
  #userInfo(asked: Asked): Answer {
    const { role, userId } = this.#caller(asked)
    const wanted = asked.url.searchParams.get('user_id') ?? userId
    const { keys } = this.#parts.keyRoutes
    const owner = role === 'proxy_admin' ? keys.users.get(wanted) : undefined
    if (owner !== undefined) {
      const owned = keys.all().filter(({ user_id }) => user_id === wanted)
      return ok({ user_id: wanted, user_info: owner, keys: owned, teams: [] })
    }
    if (wanted !== userId && role !== 'proxy_admin') {
      return proxyError(403, 'auth_error', 'Authentication Error, not allowed to see this user')
    }
    if (wanted !== userId) return detailText(404, `User ${wanted} not found`)
    const info = { user_id: userId, user_role: role, max_budget: null, spend: 0, models: [] }
    return ok({ user_id: userId, user_info: info, keys: [], teams: [] })
  }

  /** Who asks, after the faults that show themselves when keys are looked up. */
  #caller({ request, url, fault }: Asked): Caller {
    const caller = authenticate(request, url.pathname, this.#parts.style.traits)
    switch (fault?.kind) {
      case 'keyGone':
        throw new Refusal(keyNotFound(request.headers.authorization ?? ''))
      case 'noDatabase':
        throw new Refusal(noDatabase)
      case 'databaseLost':
        throw new Refusal(databaseLost(caller))
      case 'wrongRole':
        return { role: 'internal_user', userId: 'watcher' }
      default:
        return caller
    }
  }
}

const MODEL_ROUTES = ['/v1/chat/completions', '/chat/completions']

const notFound = detailText(404, 'Not Found')

function databaseLost({ role }: Caller): Answer {
  if (role === 'proxy_admin') {
    return proxyError(500, 'internal_server_error', "Can't reach database server")
  }
  return proxyError(503, 'no_db_connection', 'Service Unavailable, No DB Connection')
}

function isDay(text: string | null): text is string {
  return text !== null && /^\d{4}-\d{2}-\d{2}$/.test(text)
}
