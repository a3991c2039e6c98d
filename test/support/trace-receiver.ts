import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { listen, stopListening } from './loopback.js'

type Value = { readonly stringValue?: string; readonly intValue?: string | number }
type Attributes = readonly { readonly key: string; readonly value: Value }[]

/** As OTLP's JSON has it. */
interface SentSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: Attributes
  readonly events: readonly { readonly name: string; readonly attributes: Attributes }[]
  readonly status: { readonly code?: number }
}

export interface SeenSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parent: string | undefined
  readonly name: string
  readonly kind: number
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: readonly (readonly [name: string, Readonly<Record<string, unknown>>])[]
  readonly isFailed: boolean
}

const ERROR = 2
const NS_OF_MS = 1e6

/** A receiver of OTLP over HTTP, as a collector is one. It answers at once unless it is told to hold. */
export class TraceReceiver {
  readonly requests: {
    readonly path: string
    readonly headers: IncomingHttpHeaders
    readonly body: Buffer
  }[] = []
  /** What it answers. */
  status = 200
  readonly #server: Server
  readonly #held: ServerResponse[] = []
  #isHolding = false
  #waiting: (() => void)[] = []

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const { url: path = '', headers } = request
        const whole = Buffer.concat(chunks)
        const body = headers['content-encoding'] === 'gzip' ? gunzipSync(whole) : whole
        this.requests.push({ path, headers, body })
        if (this.#isHolding) this.#held.push(response)
        else this.#answer(response)
        for (const wake of this.#waiting.splice(0)) wake()
      })
    })
  }

  /** Returns its address. */
  async start(): Promise<string> {
    return `http://${await listen(this.#server)}`
  }

  async stop(): Promise<void> {
    await stopListening(this.#server)
  }

  /** Takes what comes from now on, and does not answer. */
  hold(): void {
    this.#isHolding = true
  }

  release(): void {
    this.#isHolding = false
    for (const response of this.#held.splice(0)) this.#answer(response)
  }

  /** All that came so far, of senders that write JSON. */
  spans(): SeenSpan[] {
    return this.requests
      .flatMap(({ body }) => {
        const { resourceSpans } = JSON.parse(body.toString()) as {
          resourceSpans: { scopeSpans: { spans: SentSpan[] }[] }[]
        }
        return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
      })
      .map(seen)
  }

  /** Looks after each request that comes, until something is there. */
  async until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      await new Promise<void>((wake) => this.#waiting.push(wake))
    }
  }

  #answer(response: ServerResponse): void {
    response.writeHead(this.status, { 'content-type': 'application/json' }).end('{}')
  }
}

function seen(span: SentSpan): SeenSpan {
  const { traceId, spanId, parentSpanId, name, kind, attributes, events = [], status } = span
  return {
    ...{ traceId, spanId, name, kind },
    parent: parentSpanId || undefined,
    startMs: Number(span.startTimeUnixNano) / NS_OF_MS,
    endMs: Number(span.endTimeUnixNano) / NS_OF_MS,
    attributes: valuesOf(attributes),
    events: events.map((event) => [event.name, valuesOf(event.attributes)] as const),
    isFailed: status.code === ERROR,
  }
}

function valuesOf(attributes: Attributes): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]),
  )
}
