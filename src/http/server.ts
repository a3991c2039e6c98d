import Fastify, { type FastifyError, type FastifyReply } from 'fastify'
import { ConfigError, RetryableError } from '../domain/errors.js'
import type { BudgetOrderParts } from '../pipeline/budget-orders.js'
import type { Status } from '../pipeline/status.js'
import type { AccessTokens } from '../ports/access-tokens.js'
import type { Clock } from '../ports/clock.js'
import { answer } from './answers.js'
import { addBudgets } from './budgets.js'
import type { HttpConfig } from './config.js'
import { addEvents } from './events.js'
import { addGuard } from './guard.js'
import { setSecurityHeaders } from './headers.js'
import { addKeys, type KeyRoutesParts } from './keys.js'
import { addMeasures } from './measured.js'
import type { Metrics } from './metrics.js'
import { addPage } from './page.js'
import { addPayments, type PaymentsParts } from './payments.js'
import type { Readiness } from './ready.js'
import { addReports, type ReportsParts } from './reports.js'
import { addUsageEvents, type UsageEventsParts } from './usage-events.js'
import { addUsageHints, type UsageHint } from './usage-hints.js'
import { addViews, type ViewsParts } from './views.js'

export interface ServerParts {
  readonly config: Pick<HttpConfig, 'host' | 'port'> & Partial<HttpConfig>
  readonly status: () => Promise<Status>
  readonly readiness: Readiness
  readonly metrics: Metrics
  readonly accessTokens: AccessTokens
  /** What the page shows besides the status. */
  readonly shown: ViewsParts['stores']
  readonly clock: Clock
  /** Told what went wrong inside, which the caller is not. */
  readonly onBug?: (error: unknown, route: string) => void
  /** Without it there is no GET /v1/reports. */
  readonly reports?: ReportsParts
  /** See events.ts. */
  readonly eventsEveryMs?: number
  /** Sources that send their usage. Without one there is no POST /v1/usage. */
  readonly usageEvents?: UsageEventsParts
  /** Sources that may wake their reading. Without one there is no POST /v1/hints. */
  readonly usageHints?: readonly UsageHint[]
  /** Keys of the gateway. Without it /v1/keys says that none are managed. */
  readonly keys?: KeyRoutesParts | undefined
  /** Without it there are no runways, budgets and quotas under /v1. */
  readonly budgets?: BudgetOrderParts | undefined
  /** Payment providers. Without one there is no POST /v1/payments. */
  readonly payments?: PaymentsParts
}

export interface Server {
  readonly url: string
  close(): Promise<void>
}

const BODY_BYTES_MAX = 64 * 1024
const HEADER_BYTES_MAX = 16 * 1024
/** For all of a request to arrive. Node looks once a second, so that a slow one is soon gone. */
const REQUEST_MS_MAX = 10_000
const HEADERS_MS_MAX = 5_000
const LOOKED_AT_MS = 1_000
const CONNECTIONS_MAX = 1_000

/** What is wrong with a request, in words that tell nothing of the inside. */
const REFUSALS: Readonly<Record<number, readonly [error: string, message: string]>> = {
  400: ['bad_request', 'the request cannot be read'],
  413: ['too_large', `send at most ${BODY_BYTES_MAX} bytes`],
  415: ['bad_content_type', 'send application/json'],
}

/** For everybody who may read: all of it is about all accounts. */
const READ = { config: { access: { role: 'read', accounts: 'all' } } } as const

/**
 * GET /         the page: page.ts; what it shows is in views.ts and events.ts, under /v1
 * GET /health   200 `{ "status": "ok" }`: the process answers
 * GET /ready    200 or 503, with every worker's state
 * GET /status   how it stands, from the store
 * GET /metrics  the same for Prometheus
 * GET /v1/reports  what usage looks like, costs and will cost: reports.ts
 * POST /v1/usage, /v1/hints/<source>  where the settings have sources that send: usage-events.ts,
 *   usage-hints.ts
 * /v1/keys     keys of the gateway: keys.ts
 * /v1/budgets, /v1/quotas, /v1/vaults/<account>/runway  what keys may use: budgets.ts
 * POST /v1/payments/<provider>  where the settings name payment providers: payments.ts
 *
 * guard.ts stands in front of all of them: what it needs to know of a route is in its `access`.
 */
export async function startServer(parts: ServerParts): Promise<Server> {
  const { config, status, readiness, metrics } = parts
  const server = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    forceCloseConnections: true,
    http: {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_MS_MAX,
      connectionsCheckingInterval: LOOKED_AT_MS,
    },
    // A path that cannot be read comes to no hook.
    frameworkErrors: (_error, _request, reply: unknown) => refuseUnreadable(reply as FastifyReply),
  })
  server.server.maxConnections = CONNECTIONS_MAX
  addGuard(server, parts)
  addMeasures(server)
  server.get('/health', { config: { access: 'open' } }, async () => ({ status: 'ok' }))
  server.get('/ready', READ, async (_request, reply) => {
    const report = readiness.report()
    return reply.code(report.ready ? 200 : 503).send(report)
  })
  server.get('/status', READ, () => status())
  server.get('/metrics', READ, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.text()),
  )
  const { reports, usageEvents, usageHints = [], payments, onBug } = parts
  if (reports) addReports(server, reports)
  addPage(server)
  addViews(server, { stores: parts.shown, clock: parts.clock })
  addEvents(server, parts)
  if (usageEvents && usageEvents.receivers.length > 0) addUsageEvents(server, usageEvents)
  addKeys(server, parts.keys)
  addBudgets(server, parts.budgets)
  if (usageHints.length > 0) addUsageHints(server, usageHints)
  if (payments && payments.providers.length > 0) addPayments(server, payments)
  server.setErrorHandler<FastifyError>(async (error, request, reply) => {
    const refusal = REFUSALS[error.statusCode ?? 500]
    if (refusal !== undefined) return answer(reply, error.statusCode ?? 400, ...refusal)
    if (error instanceof RetryableError) {
      return answer(reply.header('retry-after', 5), 503, error.code, 'ask again in a moment')
    }
    // What went wrong inside is for the log, never for the caller.
    onBug?.(error, request.routeOptions.url ?? '')
    return answer(reply, 500, 'internal', 'see the log')
  })
  server.setNotFoundHandler((_request, reply) =>
    answer(reply, 404, 'not_found', 'ask for /, /health, /ready, /status or /metrics'),
  )
  const { host, port } = config
  const url = await server.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
    const why = LISTEN_PROBLEMS[error.code ?? '']
    if (why === undefined) throw error
    throw new ConfigError('address_not_free', `${host}:${port} ${why}`)
  })
  return { url, close: () => server.close() }
}

/** No restart mends these. */
const LISTEN_PROBLEMS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is used by another program. Stop that one, or set PORT to another.',
  EADDRNOTAVAIL: 'is no address of this machine. Set HOST to one that is.',
  EACCES: 'may not be listened on by this user. Set PORT to 1024 or above.',
}

function refuseUnreadable(reply: FastifyReply): void {
  setSecurityHeaders(reply, false)
  answer(reply, 400, 'bad_request', 'the path cannot be read')
}
