import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Answer } from './answers.js'
import type { Fault, FaultPlan } from './faults.js'
import type { Routes } from './routes.js'

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
      : parts.routes.answer({ headers: { authorization } }, url, fault)
  parts.seen({ path: url.pathname, query, status: answer.status })
  const text = JSON.stringify(answer.body)
  return {
    status: answer.status,
    headers: { date: new Date(parts.dateMs()).toUTCString() },
    text: fault?.kind === 'truncated' ? text.slice(0, Math.ceil(text.length / 2)) : text,
  }
}

/** Listens on the loopback interface; port 0 takes a free one. */
export async function listen(parts: ServerParts, port: number): Promise<RunningServer> {
  const server = createServer((request, response) => handle(parts, request, response))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const { port: taken } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${taken}`, stop: () => stop(server) }
}

function handle(parts: ServerParts, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://litellm')
  const fault = parts.faults.take(url.pathname)
  if (fault?.kind === 'unreachable' || isSilent(fault)) {
    parts.seen({ path: url.pathname, query: Object.fromEntries(url.searchParams), status: 0 })
    if (fault?.kind === 'unreachable') request.socket.destroy()
    return
  }
  if (fault?.kind === 'slow') {
    const timer = setTimeout(() => respond(parts, { request, response, url, fault }), fault.delayMs)
    response.once('close', () => clearTimeout(timer))
    return
  }
  respond(parts, { request, response, url, fault })
}

function isSilent(fault: Fault | undefined): boolean {
  return fault?.kind === 'slow' && fault.delayMs === Number.POSITIVE_INFINITY
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly url: URL
  readonly fault: Fault | undefined
}

function respond(parts: ServerParts, { request, response, url, fault }: Exchange): void {
  const answer = answerTo(parts, { request, response, url, fault })
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

function answerTo(parts: ServerParts, { request, url, fault }: Exchange): Answer {
  if (fault?.kind === 'answer') return { status: fault.status, body: fault.body }
  if (request.method !== 'GET') return { status: 405, body: { detail: 'Method Not Allowed' } }
  return parts.routes.answer(request, url, fault)
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
