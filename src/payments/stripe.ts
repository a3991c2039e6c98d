import { z } from 'zod'
import { TerminalError } from '../domain/errors.js'
import type { PaymentEvent } from '../domain/payment.js'
import type { PaymentProvider } from '../ports/payment-provider.js'
import { accountOf, jsonOf } from './parse.js'
import { isHmacOf } from './signature.js'

/** Stripe's own libraries refuse what is older. https://docs.stripe.com/webhooks/signature */
const TOLERANCE_MS = 300_000

const envelope = z.object({ type: z.string(), data: z.object({ object: z.unknown() }) })
/** Of a session that takes no money, such as one that only keeps a card, the amounts are null. */
const anySession = z.object({ payment_status: z.string() })
const session = z.object({
  id: z.string().min(1).max(255),
  amount_total: z.number().int().nonnegative(),
  currency: z.string().length(3),
  payment_intent: z.string().max(255).nullish(),
  client_reference_id: z.string().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
})
/** A charge that is no payment intent's was made by no checkout. */
const anyCharge = z.object({ payment_intent: z.string().nullish() })
const charge = z.object({
  payment_intent: z.string().min(1).max(255),
  amount_refunded: z.number().int().nonnegative(),
  currency: z.string().length(3),
})
const dispute = z.object({
  id: z.string().min(1).max(255),
  payment_intent: z.string().min(1).max(255),
  amount: z.number().int().nonnegative(),
  currency: z.string().length(3),
})

/**
 * Stripe Checkout: `checkout.session.completed` and `.async_payment_succeeded` buy, `charge.refunded`
 * and `charge.dispute.funds_withdrawn` (a bank took the money back) give back. The account is `client_reference_id`, or `metadata.flowmeter_account`.
 */
export function stripe(secret: string): PaymentProvider {
  return {
    name: 'stripe',
    read({ body, headers }, nowMs) {
      checkSignature(body, String(headers['stripe-signature'] ?? ''), { secret, nowMs })
      return eventOf(body)
    },
  }
}

/** `t=<unix seconds>,v1=<hex>[,v1=<hex> …]`: HMAC-SHA256 of `<t>.<body>`; several while a secret changes. */
function checkSignature(
  body: Buffer,
  header: string,
  { secret, nowMs }: { secret: string; nowMs: number },
): void {
  const parts = header.split(',').map((part) => part.trim().split('='))
  const at = parts.find(([name]) => name === 't')?.[1] ?? ''
  const signed = Buffer.concat([Buffer.from(`${at}.`), body])
  const isOurs = parts.some(
    ([name, hex = '']) => name === 'v1' && isHmacOf(signed, { algorithm: 'sha256', secret, hex }),
  )
  if (!isOurs) throw new TerminalError('payment_signature', 'the signature is missing or wrong')
  if (!(Math.abs(nowMs - Number(at) * 1000) <= TOLERANCE_MS)) {
    throw new TerminalError('payment_signature', 'the event was signed too long ago')
  }
}

function eventOf(body: Buffer): PaymentEvent {
  const { type, data } = jsonOf(envelope, body)
  switch (type) {
    case 'checkout.session.completed':
    case 'checkout.session.async_payment_succeeded': {
      // Completed and not yet paid: the money, and the other event, come later.
      if (jsonOf(anySession, data.object).payment_status !== 'paid') return { kind: 'other', type }
      const paid = jsonOf(session, data.object)
      const account = accountOf(paid.client_reference_id ?? paid.metadata?.flowmeter_account)
      return {
        kind: 'paid',
        payment: {
          id: `stripe/${paid.id}`,
          account,
          amountMinor: BigInt(paid.amount_total),
          currency: paid.currency.toUpperCase(),
          ...(paid.payment_intent ? { alias: `stripe/${paid.payment_intent}` } : {}),
        },
      }
    }
    case 'charge.refunded': {
      if (!jsonOf(anyCharge, data.object).payment_intent) return { kind: 'other', type }
      const { payment_intent, amount_refunded, currency } = jsonOf(charge, data.object)
      return {
        kind: 'refunded',
        refund: {
          payment: `stripe/${payment_intent}`,
          // Of the charge: all its refunds together.
          id: 'all',
          amountMinor: BigInt(amount_refunded),
          currency: currency.toUpperCase(),
        },
      }
    }
    case 'charge.dispute.funds_withdrawn': {
      if (!jsonOf(anyCharge, data.object).payment_intent) return { kind: 'other', type }
      const { id, payment_intent, amount, currency } = jsonOf(dispute, data.object)
      return {
        kind: 'refunded',
        refund: {
          payment: `stripe/${payment_intent}`,
          id: `dispute/${id}`,
          amountMinor: BigInt(amount),
          currency: currency.toUpperCase(),
        },
      }
    }
    default:
      return { kind: 'other', type }
  }
}
