import type { Agent } from 'node:http'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import { ConfigError } from '../domain/errors.js'
import type { Logger } from '../runtime/log.js'
import { type Exchange, listenToMeasures, tellExchange } from '../runtime/measures.js'
import type { TracesConfig } from './config.js'
import { GivenIds, Spans } from './spans.js'

/** Of one sending, with all that is tried again in it. */
const SENDING_MS_MAX = 10_000
const SENDINGS_MAX = 4
/** What is left at the end is sent for so long: less than half of what the daemon gives itself. */
const LAST_MS_MAX = 8_000
/** What waits to be sent; more is dropped. */
const WAITING_MAX = 4_096
const TEXT_CHARS_MAX = 512
/** The code of the exporter's results. */
const SUCCESS = 0

export type OtlpParts = TracesConfig & { readonly endpoint: string; readonly version: string }

/**
 * Makes spans of what is measured, and sends them by OTLP over HTTP, beside everything else: what is
 * not taken is dropped, told once, and holds nobody up. Nothing of it is global, no header of it goes
 * to anybody else, and none is taken from callers.
 *
 * Returns what ends it: sends what is left, for LAST_MS_MAX at most.
 */
export async function sendTraces(parts: OtlpParts, log: Logger): Promise<() => Promise<void>> {
  const packages = await loadPackages(parts.protocol)
  const { AlwaysOnSampler, BatchSpanProcessor, TracerProvider, resourceFromAttributes } = packages
  const line = new Line()
  const exporter = new packages.OTLPTraceExporter({
    url: `${parts.endpoint}/v1/traces`,
    timeoutMillis: SENDING_MS_MAX,
    concurrencyLimit: SENDINGS_MAX,
    // Asked before every try, also before those that come late.
    headers: async () => {
      if (line.isCut) throw new Error('the way there is cut')
      return { ...parts.headers }
    },
    httpAgentOptions: (protocol) => line.agent(protocol),
  })
  const processor = new BatchSpanProcessor({
    exporter: told(exporter, new URL(parts.endpoint).host, log),
    maxQueueSize: WAITING_MAX,
    exportTimeoutMillis: SENDING_MS_MAX,
  })
  const ids = new GivenIds()
  const provider = new TracerProvider({
    sampler: new AlwaysOnSampler(),
    idGenerator: ids,
    spanLimits: { attributeValueLengthLimit: TEXT_CHARS_MAX },
    spanProcessors: [processor],
    resource: resourceFromAttributes({
      'service.name': parts.serviceName,
      'service.version': parts.version,
      ...parts.resource,
    }),
  })
  const spans = new Spans(provider.getTracer('flowmeter', parts.version), ids)
  const stop = listenToMeasures({
    onStage: (stage) => spans.addStage(stage),
    onWork: (work) => spans.addWork(work),
  })
  return async () => {
    stop()
    const limit = setTimeout(() => line.cut(), LAST_MS_MAX)
    // What could not be sent was told.
    await Promise.race([provider.shutdown().catch(() => {}), line.end])
    clearTimeout(limit)
    line.cut()
  }
}

/** An installation without optional packages has none of these. */
async function loadPackages(protocol: TracesConfig['protocol']) {
  try {
    const { OTLPTraceExporter } =
      protocol === 'http/json'
        ? await import('@opentelemetry/exporter-trace-otlp-http')
        : await import('@opentelemetry/exporter-trace-otlp-proto')
    const { resourceFromAttributes } = await import('@opentelemetry/resources')
    return {
      ...(await import('@opentelemetry/sdk-trace')),
      resourceFromAttributes,
      OTLPTraceExporter,
    }
  } catch (cause) {
    const message =
      'OTEL_EXPORTER_OTLP_ENDPOINT is set, and the packages that send traces are not installed. ' +
      'Install them with: npm ci --omit=dev. Or unset it.'
    throw new ConfigError('traces_packages', message, { cause })
  }
}

/** The connections to the receiver. Cut, nothing on its way there keeps the process alive. */
class Line {
  isCut = false
  readonly end: Promise<void>
  readonly #agents: Agent[] = []
  #ended: () => void = () => {}

  constructor() {
    this.end = new Promise((done) => {
      this.#ended = done
    })
  }

  async agent(protocol: string): Promise<Agent> {
    const { Agent } = await import(protocol === 'http:' ? 'node:http' : 'node:https')
    const agent: Agent = new Agent({ keepAlive: true })
    this.#agents.push(agent)
    return agent
  }

  cut(): void {
    this.isCut = true
    for (const agent of this.#agents) agent.destroy()
    this.#ended()
  }
}

/** Counts sendings like every other exchange, and tells when they begin to fail and work again. */
function told(exporter: SpanExporter, host: string, log: Logger): SpanExporter {
  let isFailing = false
  const note = (outcome: Exchange['outcome'], why: string): void => {
    if (outcome === 'answered' && isFailing) log.info('traces are taken again')
    if (outcome !== 'answered' && !isFailing) log.warn({ why }, 'traces are not taken, and dropped')
    isFailing = outcome !== 'answered'
  }
  return {
    export(spans, done) {
      const startedAtMs = performance.now()
      exporter.export(spans, (result) => {
        const { code: why } = (result.error ?? {}) as { readonly code?: number | string }
        const refused = typeof why === 'number' ? 'refused' : 'failed'
        const outcome = result.code === SUCCESS ? 'answered' : refused
        const ms = performance.now() - startedAtMs
        tellExchange({ dependency: 'traces', host, outcome, ms })
        note(outcome, String(why ?? 'no answer'))
        done(result)
      })
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  }
}
