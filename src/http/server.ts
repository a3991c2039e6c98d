import Fastify from 'fastify'
import type { Status } from '../pipeline/status.js'
import { allowList } from './allow-list.js'
import type { Metrics } from './metrics.js'
import type { Readiness } from './ready.js'
import { addReports, type ReportsParts } from './reports.js'
import { addUsageEvents, type UsageEventsParts } from './usage-events.js'
import { addUsageHints, type UsageHint } from './usage-hints.js'

export interface ServerParts {
  readonly config: {
    readonly host: string
    readonly port: number
    readonly allowedIps: readonly string[]
  }
  readonly status: () => Promise<Status>
  readonly readiness: Readiness
  readonly metrics: Metrics
  /** Without it there is no GET /v1/reports. */
  readonly reports?: ReportsParts
  /** Sources that send their usage. Without one there is no POST /v1/usage. */
  readonly usageEvents?: UsageEventsParts
  /** Sources that may wake their reading. Without one there is no POST /v1/hints. */
  readonly usageHints?: readonly UsageHint[]
}

export interface Server {
  readonly url: string
  close(): Promise<void>
}

const BODY_BYTES_MAX = 64 * 1024
const REQUEST_MS_MAX = 10_000

/**
 * GET /health   200 `{ "status": "ok" }`: the process answers
 * GET /ready    200 or 503, with every worker's state
 * GET /status   how it stands, from the store
 * GET /metrics  the same for Prometheus
 * GET /v1/reports  what usage looks like, costs and will cost: reports.ts
 * POST /v1/usage, /v1/hints/<source>  where the settings have sources that send: usage-events.ts,
 *   usage-hints.ts
 *
 * Everything but /health is for ALLOWED_IPS alone; others get 403.
 */
export async function startServer(parts: ServerParts): Promise<Server> {
  const { config, status, readiness, metrics } = parts
  const isAllowed = allowList(config.allowedIps)
  const server = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    forceCloseConnections: true,
  })
  server.addHook('onRequest', async (request, reply) => {
    reply.header('x-content-type-options', 'nosniff')
    reply.header('cache-control', 'no-store')
    const { headers } = request
    const isForwarded = headers.forwarded !== undefined || 'x-forwarded-for' in headers
    const [path] = request.url.split('?')
    if (path === '/health' || isAllowed(request.ip, isForwarded)) return
    await reply.code(403).send({ error: 'forbidden', message: 'ALLOWED_IPS does not name you' })
  })
  server.get('/health', async () => ({ status: 'ok' }))
  server.get('/ready', async (_request, reply) => {
    const report = readiness.report()
    return reply.code(report.ready ? 200 : 503).send(report)
  })
  server.get('/status', () => status())
  server.get('/metrics', async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.text()),
  )
  const { reports, usageEvents, usageHints = [] } = parts
  if (reports) addReports(server, reports)
  if (usageEvents && usageEvents.receivers.length > 0) addUsageEvents(server, usageEvents)
  if (usageHints.length > 0) addUsageHints(server, usageHints)
  server.setErrorHandler(async (_error, _request, reply) => {
    // What went wrong inside is for the log, never for the caller.
    await reply.code(500).send({ error: 'internal', message: 'see the log' })
  })
  server.setNotFoundHandler(async (_request, reply) => {
    const message = 'ask for /health, /ready, /status or /metrics'
    await reply.code(404).send({ error: 'not_found', message })
  })
  const url = await server.listen({ host: config.host, port: config.port })
  return { url, close: () => server.close() }
}
