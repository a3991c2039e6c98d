import { z } from 'zod'
import { TerminalError } from '../domain/errors.js'
import type { PaymentEvent } from '../domain/payment.js'
import type { PaymentProvider } from '../ports/payment-provider.js'
import { accountOf, jsonOf } from './parse.js'
import { isHmacOf } from './signature.js'

const envelope = z.object({ event: z.string(), data: z.unknown() })
const charge = z.object({
  status: z.string(),
  reference: z.string().min(1).max(255),
  amount: z.number().int().nonnegative(),
  currency: z.string().length(3),
  // An object where the checkout was given one; 0, "" or null where it was not.
  metadata: z.unknown(),
})
const refund = z.object({
  transaction_reference: z.string().min(1).max(255),
  refund_reference: z.string().min(1).max(255),
  // Recorded as text and as a number.
  amount: z.coerce.bigint().nonnegative().max(BigInt(Number.MAX_SAFE_INTEGER)),
  currency: z.string().length(3),
})

/**
 * Paystack: `charge.success` buys, `refund.processed` gives back. The account is
 * `metadata.flowmeter_account`. Its signature has no time in it: a repetition is known by the
 * payment's reference alone. https://paystack.com/docs/payments/webhooks
 */
export function paystack(secret: string): PaymentProvider {
  return {
    name: 'paystack',
    read({ body, headers }) {
      const hex = String(headers['x-paystack-signature'] ?? '')
      if (!isHmacOf(body, { algorithm: 'sha512', secret, hex })) {
        throw new TerminalError('payment_signature', 'the signature is missing or wrong')
      }
      return eventOf(body)
    },
  }
}

function eventOf(body: Buffer): PaymentEvent {
  const { event, data } = jsonOf(envelope, body)
  if (event === 'charge.success') {
    const paid = jsonOf(charge, data)
    if (paid.status !== 'success') return { kind: 'other', type: event }
    return {
      kind: 'paid',
      payment: {
        id: `paystack/${paid.reference}`,
        account: accountOf(metadataOf(paid.metadata).flowmeter_account),
        amountMinor: BigInt(paid.amount),
        currency: paid.currency.toUpperCase(),
      },
    }
  }
  if (event === 'refund.processed') {
    const back = jsonOf(refund, data)
    return {
      kind: 'refunded',
      refund: {
        payment: `paystack/${back.transaction_reference}`,
        id: back.refund_reference,
        amountMinor: back.amount,
        currency: back.currency.toUpperCase(),
      },
    }
  }
  return { kind: 'other', type: event }
}

function metadataOf(metadata: unknown): Readonly<Record<string, unknown>> {
  return typeof metadata === 'object' && metadata !== null ? { ...metadata } : {}
}
