import type { ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { isInForce } from '../pipeline/access-tokens.js'
import type { Status } from '../pipeline/status.js'
import type { AccessTokens } from '../ports/access-tokens.js'
import type { Clock } from '../ports/clock.js'
import { answer } from './answers.js'
import { callerOf } from './guard.js'

export interface EventsParts {
  readonly status: () => Promise<Status>
  readonly accessTokens: Pick<AccessTokens, 'find'>
  readonly clock: Clock
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
 * listens. A comment comes every 15 s. Ends when the server does, or the caller's token.
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
    listeners.add(reply.raw, callerOf(request).tokenId)
    return reply
  })
}

class Listeners {
  readonly #parts: EventsParts
  /** With the access token that each has shown, if it was one. */
  readonly #clients = new Map<ServerResponse, string | undefined>()
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

  add(client: ServerResponse, tokenId: string | undefined): void {
    client.on('error', () => {}) // It closes next.
    client.on('close', () => this.#remove(client))
    this.#clients.set(client, tokenId)
    client.write('retry: 3000\n\n')
    if (this.#last !== undefined) client.write(this.#last.text)
    this.#heartbeat ??= setInterval(() => this.#send(': still here\n\n'), HEARTBEAT_MS)
    if (!this.#isLooking && this.#look === undefined) void this.#lookNow()
  }

  end(): void {
    this.#hasEnded = true
    for (const client of this.#clients.keys()) client.end()
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
      await this.#dismiss()
      const text = JSON.stringify(facts)
      if (this.#clients.size > 0 && text !== this.#last?.facts) {
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

  /** Whose token was revoked or has expired hears nothing more. */
  async #dismiss(): Promise<void> {
    const { accessTokens, clock } = this.#parts
    for (const [client, tokenId] of this.#clients) {
      if (tokenId === undefined) continue
      const token = await accessTokens.find(tokenId)
      if (token !== undefined && isInForce(token, clock.now())) continue
      this.#remove(client)
      client.end()
    }
  }

  #send(text: string): void {
    for (const client of this.#clients.keys()) {
      if (client.writableLength > UNREAD_BYTES_MAX) client.destroy()
      else client.write(text)
    }
  }
}
