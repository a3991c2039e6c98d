import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Answer } from './answers.js'
import type { Fault, FaultPlan } from './faults.js'
import type { AskedRequest, Routes } from './routes.js'

/** One request as it was asked, for tests. */
export interface SeenRequest {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** 0 where the request was left without an answer. */
  readonly status: number
}

export interface ServerParts {
  readonly routes: Routes
  readonly faults: FaultPlan
  /** What the Date header says. */
  readonly dateMs: () => number
  readonly seen: (request: SeenRequest) => void
  /** Which of the proxies on the database this is; the first unless told. */
  readonly replica?: number
}

export interface RunningServer {
  readonly url: string
  stop(): Promise<void>
}

/** What came back, as text. */
export interface DirectAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

/**
 * Answers without HTTP around it, for simulations of thousands of proxies: same routes, same faults.
 * Undefined where a client would see a connection without a whole answer.
 */
export function answerDirectly(
  parts: ServerParts,
  url: URL,
  authorization: string,
  sent: DirectRequest = {},
): DirectAnswer | undefined {
  const fault = parts.faults.take(url.pathname)
  const query = Object.fromEntries(url.searchParams)
  const isSilenced =
    fault?.kind === 'unreachable' || fault?.kind === 'slow' || fault?.kind === 'broken'
  if (isSilenced) {
    parts.seen({ path: url.pathname, query, status: 0 })
    return undefined
  }
  const answer =
    fault?.kind === 'answer'
      ? { status: fault.status, body: fault.body }
      : parts.routes.answer({ headers: { authorization }, ...sent }, url, fault)
  parts.seen({ path: url.pathname, query, status: answer.status })
  const text = JSON.stringify(answer.body)
  return {
    status: answer.status,
    headers: { date: new Date(parts.dateMs()).toUTCString() },
    text: fault?.kind === 'truncated' ? text.slice(0, Math.ceil(text.length / 2)) : text,
  }
}

/** What a direct request has beside its address: GET without a body at the first proxy by itself. */
export type DirectRequest = Omit<AskedRequest, 'headers'>

const BODY_BYTES_MAX = 1_000_000

/** Listens on the loopback interface; port 0 takes a free one. */
export async function listen(parts: ServerParts, port: number): Promise<RunningServer> {
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => handle(parts, { request, response, body }))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const { port: taken } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${taken}`, stop: () => stop(server) }
}

interface Arrived {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Readonly<Record<string, unknown>> | undefined
}

function handle(parts: ServerParts, arrived: Arrived): void {
  const { request, response } = arrived
  const url = new URL(request.url ?? '/', 'http://litellm')
  const fault = parts.faults.take(url.pathname)
  if (fault?.kind === 'unreachable' || isSilent(fault)) {
    parts.seen({ path: url.pathname, query: Object.fromEntries(url.searchParams), status: 0 })
    if (fault?.kind === 'unreachable') request.socket.destroy()
    return
  }
  if (fault?.kind === 'slow') {
    const timer = setTimeout(() => respond(parts, { ...arrived, url, fault }), fault.delayMs)
    response.once('close', () => clearTimeout(timer))
    return
  }
  respond(parts, { ...arrived, url, fault })
}

function isSilent(fault: Fault | undefined): boolean {
  return fault?.kind === 'slow' && fault.delayMs === Number.POSITIVE_INFINITY
}

interface Exchange extends Arrived {
  readonly url: URL
  readonly fault: Fault | undefined
}

function respond(parts: ServerParts, exchange: Exchange): void {
  const { response, url, fault } = exchange
  const answer = answerTo(parts, exchange)
  const query = Object.fromEntries(url.searchParams)
  parts.seen({ path: url.pathname, query, status: answer.status })
  const body = Buffer.from(
    typeof answer.body === 'string' && fault?.kind === 'answer'
      ? answer.body
      : JSON.stringify(answer.body),
  )
  response.writeHead(answer.status, {
    'content-type': 'application/json',
    // The clock of the proxy, which a reader should go by, not that of this machine.
    date: new Date(parts.dateMs()).toUTCString(),
    ...answer.headers,
  })
  write(response, body, fault)
}

function answerTo(parts: ServerParts, { request, body, url, fault }: Exchange): Answer {
  if (fault?.kind === 'answer') return { status: fault.status, body: fault.body }
  const { headers, method = 'GET' } = request
  return parts.routes.answer({ headers, method, body, replica: parts.replica ?? 0 }, url, fault)
}

/** The body as JSON; undefined where there is none, or none that is an object. */
async function bodyOf(
  request: IncomingMessage,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of request) {
      bytes += (chunk as Buffer).length
      if (bytes > BODY_BYTES_MAX) return undefined
      chunks.push(chunk as Buffer)
    }
    const json: unknown = JSON.parse(Buffer.concat(chunks).toString() || 'null')
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json)
    return isObject ? (json as Record<string, unknown>) : undefined
  } catch {
    return undefined // Left in the middle, or no JSON: answered as if nothing had been sent.
  }
}

function write(response: ServerResponse, body: Buffer, fault: Fault | undefined): void {
  const half = body.subarray(0, Math.ceil(body.length / 2))
  switch (fault?.kind) {
    case 'truncated':
      response.end(half)
      return
    case 'broken':
      response.write(half, () => response.destroy())
      return
    case 'oversized':
      response.end(Buffer.concat([Buffer.alloc(fault.bytes, ' '), body]))
      return
    default:
      response.end(body)
  }
}

async function stop(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
