import type { FastifyInstance } from 'fastify'
import { TerminalError } from '../domain/errors.js'
import type { PaymentEvent } from '../domain/payment.js'
import type { Taken } from '../pipeline/take-payment.js'
import type { Clock } from '../ports/clock.js'
import type { PaymentProvider } from '../ports/payment-provider.js'
import { answer } from './answers.js'

export interface PaymentsParts {
  readonly providers: readonly PaymentProvider[]
  readonly take: (event: PaymentEvent) => Promise<Taken>
  readonly clock: Clock
}

/** Webhooks of both providers stay far below it. */
const BODY_BYTES_MAX = 256 * 1024

/**
 * POST /v1/payments/<provider>  the webhook of a payment provider, signed by it
 *
 * 200 `{ "status": "posted" | "known" | "set_aside" | "ignored" }`: kept, and need not be sent again
 * 400 what was signed cannot be read · 401 it was not signed by the provider, or long ago · 413
 *
 * Any other answer makes the provider send it again, which is harmless.
 */
export function addPayments(
  server: FastifyInstance,
  { providers, take, clock }: PaymentsParts,
): void {
  void server.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    // Byte by byte: a body that was parsed and written again is no longer what was signed.
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, body)
    })
    for (const provider of providers) {
      const options = { config: { access: 'self' }, bodyLimit: BODY_BYTES_MAX } as const
      scope.post(`/v1/payments/${provider.name}`, options, async (request, reply) => {
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
        try {
          const event = provider.read({ body, headers: request.headers }, clock.now())
          return await reply.send({ status: await take(event) })
        } catch (error) {
          if (!(error instanceof TerminalError)) throw error
          const status = error.code === 'payment_signature' ? 401 : 400
          return answer(reply, status, error.code, error.message)
        }
      })
    }
  })
}
