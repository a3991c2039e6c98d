import type { FastifyReply } from 'fastify'

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
