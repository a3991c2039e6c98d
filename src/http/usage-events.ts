import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Received } from '../pipeline/receive.js'
import type { UsageReceiver } from '../ports/usage-receiver.js'
import { answer } from './answers.js'
import { holderOf } from './usage-token.js'

export interface UsageEventsParts {
  readonly receivers: readonly UsageReceiver[]
  readonly receive: (receiver: UsageReceiver, events: readonly unknown[]) => Promise<Received>
}

const SINGLE = 'application/cloudevents+json'
const BATCH = 'application/cloudevents-batch+json'
const BODY_BYTES_MAX = 4 * 1024 * 1024
const EVENTS_MAX = 1_000
const PROBLEMS_SHOWN = 100

/** The errors of reading a body, in words that help whoever sent it. */
const BODY_ERRORS: Readonly<Record<number, readonly [error: string, message: string]>> = {
  400: ['bad_json', 'the body is no JSON'],
  413: ['too_large', `send at most ${BODY_BYTES_MAX} bytes and ${EVENTS_MAX} events at once`],
  415: ['bad_content_type', `send ${SINGLE} for one event, or ${BATCH} for an array of them`],
}

/**
 * POST /v1/usage  CloudEvents 1.0 of a meter, in structured JSON, one or a batch
 *
 * 200 `{ accepted, duplicates }`; sending again what was accepted is harmless
 * 401 without the token of a source
 * 400, 413, 415 for a body that cannot be read
 * 422 `{ events: [{ index, id, problem }] }`: nothing of the batch was stored
 */
export function addUsageEvents(server: FastifyInstance, parts: UsageEventsParts): void {
  void server.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(
      [SINGLE, BATCH],
      { parseAs: 'string', bodyLimit: BODY_BYTES_MAX },
      (_request, body, done) => {
        const value = jsonOf(`${body}`)
        if (value === undefined) done(Object.assign(new Error('no JSON'), { statusCode: 400 }))
        else done(null, value)
      },
    )
    scope.setErrorHandler(answerError)
    const onRequest = async (request: FastifyRequest, reply: FastifyReply) => {
      if (reply.sent || holderOf(request.headers.authorization, parts.receivers)) return
      await unauthorized(reply)
    }
    const options = { config: { access: 'self' }, onRequest, bodyLimit: BODY_BYTES_MAX } as const
    scope.post('/v1/usage', options, async (request, reply) => {
      const receiver = holderOf(request.headers.authorization, parts.receivers)
      if (receiver === undefined) return unauthorized(reply)
      const events = eventsOf(request)
      if (typeof events === 'string') return answer(reply, 422, 'bad_batch', events)
      const received = await parts.receive(receiver, events)
      if (received.ok) {
        const { accepted, duplicates } = received
        return reply.send({ accepted, duplicates })
      }
      return reply.code(422).send({
        error: 'bad_events',
        message: 'nothing was stored: mend or leave out these events, and send the others again',
        events: received.problems.slice(0, PROBLEMS_SHOWN),
      })
    })
  })
}

/** 401 that tells nothing of who exists. */
export function unauthorized(reply: FastifyReply): FastifyReply {
  reply.header('www-authenticate', 'Bearer')
  return answer(reply, 401, 'unauthorized', 'Authorization: Bearer and the token of a source')
}

/** The events of a body, or what is wrong with it as a whole. */
function eventsOf({ headers, body }: FastifyRequest): readonly unknown[] | string {
  const isBatch = headers['content-type']?.toLowerCase().startsWith(BATCH) === true
  if (isBatch !== Array.isArray(body)) {
    return isBatch ? 'a batch is an array of events' : `an array of events is sent as ${BATCH}`
  }
  const events: readonly unknown[] = Array.isArray(body) ? body : [body]
  return events.length > EVENTS_MAX ? `send at most ${EVENTS_MAX} events at once` : events
}

async function answerError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply) {
  const known = BODY_ERRORS[error.statusCode ?? 500]
  // What went wrong inside is for the log, never for the caller.
  if (known === undefined) return answer(reply, 500, 'internal', 'see the log')
  return answer(reply, error.statusCode ?? 500, ...known)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
