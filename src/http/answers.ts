import type { FastifyReply } from 'fastify'
import { PAGE_MAX } from '../pipeline/shown.js'

/** Items of a page, unless asked otherwise. */
const LIMIT = 25

/** How everything that is refused looks: `{ error, message }`, the first one for programs. */
export function answer(
  reply: FastifyReply,
  status: number,
  error: string,
  message: string,
): FastifyReply {
  return reply.code(status).send({ error, message })
}

/** The same for what is not there and for what is not the caller's: nobody learns which. */
export function notFound(reply: FastifyReply): FastifyReply {
  return answer(reply, 404, 'not_found', 'there is no such thing')
}

/** For a question that cannot be read. */
export function bad(reply: FastifyReply, message: string): FastifyReply {
  return answer(reply, 400, 'bad_request', message)
}

/** How many items are asked for: 1 to PAGE_MAX. Undefined for anything else. */
export function limitOf(limit: string | undefined): number | undefined {
  if (limit === undefined) return LIMIT
  const count = /^\d{1,4}$/.test(limit) ? Number(limit) : 0
  return count >= 1 && count <= PAGE_MAX ? count : undefined
}
