import type { ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Status } from '../pipeline/status.js'
import { answer } from './answers.js'

export interface EventsParts {
  readonly status: () => Promise<Status>
  /** Told what went wrong inside. */
  readonly onBug?: (error: unknown, route: string) => void
  /** From one look at the store to the next, ms, while anybody listens. */
  readonly eventsEveryMs?: number
}

const CLIENTS_MAX = 50
const EVERY_MS = 2_000
/** Looking must not take more than a small part of the time: a large store is looked at less often. */
const REST_FACTOR = 10
const EVERY_MS_MAX = 60_000
/** Proxies close what is silent for longer. */
const HEARTBEAT_MS = 15_000
/** Of a client that does not read what it is sent. */
const UNREAD_BYTES_MAX = 1024 * 1024

/**
 * GET /v1/events  server-sent events: `status`, the same as GET /status, when it has changed
 *
 * 503 when too many listen. One look at the store serves them all; there is none while nobody
 * listens. A comment comes every 15 s. Ends when the server does.
 */
export function addEvents(server: FastifyInstance, parts: EventsParts): void {
  const listeners = new Listeners(parts)
  server.addHook('preClose', async () => listeners.end())
  const access = { role: 'read', accounts: 'all' } as const
  server.get('/v1/events', { config: { access } }, async (request, reply) => {
    if (listeners.isFull) return answer(reply, 503, 'too_many_listeners', 'ask again later')
    for (const [name, value] of Object.entries(reply.getHeaders())) {
      if (value !== undefined) reply.raw.setHeader(name, value)
    }
    reply.raw.setHeader('content-type', 'text/event-stream; charset=utf-8')
    reply.raw.setHeader('x-accel-buffering', 'no')
    reply.hijack()
    reply.raw.writeHead(200)
    request.raw.setTimeout(0)
    listeners.add(reply.raw)
    return reply
  })
}

class Listeners {
  readonly #parts: EventsParts
  readonly #clients = new Set<ServerResponse>()
  #last: { readonly facts: string; readonly text: string } | undefined
  #look: NodeJS.Timeout | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #isLooking = false
  #hasEnded = false

  constructor(parts: EventsParts) {
    this.#parts = parts
  }

  get isFull(): boolean {
    return this.#hasEnded || this.#clients.size >= CLIENTS_MAX
  }

  add(client: ServerResponse): void {
    client.on('error', () => {}) // It closes next.
    client.on('close', () => this.#remove(client))
    this.#clients.add(client)
    client.write('retry: 3000\n\n')
    if (this.#last !== undefined) client.write(this.#last.text)
    this.#heartbeat ??= setInterval(() => this.#send(': still here\n\n'), HEARTBEAT_MS)
    if (!this.#isLooking && this.#look === undefined) void this.#lookNow()
  }

  end(): void {
    this.#hasEnded = true
    for (const client of this.#clients) client.end()
    this.#rest()
  }

  #remove(client: ServerResponse): void {
    this.#clients.delete(client)
    if (this.#clients.size === 0) this.#rest()
  }

  /** Nobody listens. What was seen last is old for whoever comes next. */
  #rest(): void {
    clearTimeout(this.#look)
    clearInterval(this.#heartbeat)
    this.#look = undefined
    this.#heartbeat = undefined
    this.#last = undefined
  }

  async #lookNow(): Promise<void> {
    const startedAtMs = performance.now()
    this.#isLooking = true
    try {
      const { at, ...facts } = await this.#parts.status()
      const text = JSON.stringify(facts)
      if (text !== this.#last?.facts) {
        this.#last = {
          facts: text,
          text: `event: status\ndata: ${JSON.stringify({ at, ...facts })}\n\n`,
        }
        this.#send(this.#last.text)
      }
    } catch (error) {
      this.#parts.onBug?.(error, '/v1/events')
    }
    this.#isLooking = false
    if (this.#clients.size === 0 || this.#hasEnded) return
    const { eventsEveryMs: everyMs = EVERY_MS } = this.#parts
    const restMs = (performance.now() - startedAtMs) * REST_FACTOR
    const nextMs = Math.min(EVERY_MS_MAX, Math.max(everyMs, restMs))
    this.#look = setTimeout(() => void this.#lookNow(), nextMs)
  }

  #send(text: string): void {
    for (const client of this.#clients) {
      if (client.writableLength > UNREAD_BYTES_MAX) client.destroy()
      else client.write(text)
    }
  }
}
