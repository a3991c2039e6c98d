import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { unauthorized } from './usage-events.js'
import { holderOf } from './usage-token.js'

/** A source that says when there is something to read. */
export interface UsageHint {
  readonly source: string
  readonly token: string
  /** Soon, and never now only: the row of which it tells is written seconds later. */
  readonly wake: () => void
}

/** LiteLLM sends up to 512 calls at once, prompts and all. More than this is cut off. */
const BODY_BYTES_MAX = 64 * 1024 * 1024

/**
 * POST /v1/hints/<source>  what LiteLLM's `generic_api` callback calls; 202, or 401
 *
 * A hint and no more: LiteLLM sends it at most once and sometimes twice, unsigned, so nothing of
 * it is counted, or even kept. The body runs through and is dropped: it may hold prompts.
 */
export function addUsageHints(server: FastifyInstance, hints: readonly UsageHint[]): void {
  void server.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, payload, done) => {
      let bytes = 0
      payload.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= BODY_BYTES_MAX) return
        payload.removeAllListeners('data').pause()
        done(new Error('too large'))
      })
      payload.on('end', () => done(null))
      payload.on('error', done)
    })
    scope.setErrorHandler(async (_error, _request, reply) => {
      // What is left of the body is not read: the connection cannot be used again.
      const message = `at most ${BODY_BYTES_MAX} bytes`
      await reply.code(413).header('connection', 'close').send({ error: 'too_large', message })
    })
    const hintOf = ({ headers, params }: FastifyRequest) => {
      const { source } = params as { readonly source: string }
      const named = hints.filter((hint) => hint.source === source)
      return holderOf(headers.authorization, named)
    }
    const onRequest = async (request: FastifyRequest, reply: FastifyReply) => {
      if (reply.sent || hintOf(request)) return
      await unauthorized(reply)
    }
    const options = { config: { access: 'self' }, onRequest, bodyLimit: BODY_BYTES_MAX } as const
    scope.post('/v1/hints/:source', options, async (request, reply) => {
      hintOf(request)?.wake()
      return reply.code(202).send({ status: 'noted' })
    })
  })
}
