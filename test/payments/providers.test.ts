import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { paystack } from '../../src/payments/paystack.js'
import { stripe } from '../../src/payments/stripe.js'
import { EVENING_MS } from '../support/usage.js'

// Goal: nothing of a webhook is believed that the provider did not sign, byte by byte and lately.
// Method: bodies shaped as the providers document them, signed as they say, then spoiled.

const SECRET = 'whsec_of_the_tests'
const paid = {
  id: 'evt_1',
  type: 'checkout.session.completed',
  data: {
    object: {
      id: 'cs_1',
      payment_status: 'paid',
      amount_total: 450,
      currency: 'usd',
      payment_intent: 'pi_1',
      client_reference_id: '7',
    },
  },
}

function stripeEvent(event: unknown, { atMs = EVENING_MS, secret = SECRET, body = '' } = {}) {
  const text = body || JSON.stringify(event)
  const t = Math.floor(atMs / 1000)
  const v1 = createHmac('sha256', secret).update(`${t}.${text}`).digest('hex')
  return { body: Buffer.from(text), headers: { 'stripe-signature': `t=${t},v1=${v1},v0=aa` } }
}

describe('stripe', () => {
  const read = (event: ReturnType<typeof stripeEvent>, nowMs = EVENING_MS) =>
    stripe(SECRET).read(event, nowMs)

  test('a paid checkout buys, once it is paid', () => {
    expect(read(stripeEvent(paid))).toEqual({
      kind: 'paid',
      payment: {
        id: 'stripe/cs_1',
        alias: 'stripe/pi_1',
        account: 7n,
        amountMinor: 450n,
        currency: 'USD',
      },
    })
    const unpaid = { ...paid.data.object, payment_status: 'unpaid' }
    expect(read(stripeEvent({ ...paid, data: { object: unpaid } })).kind).toBe('other')
  })

  test('a refund tells the sum of all', () => {
    const object = { payment_intent: 'pi_1', amount_refunded: 150, currency: 'usd' }
    expect(read(stripeEvent({ type: 'charge.refunded', data: { object } }))).toEqual({
      kind: 'refunded',
      refund: { payment: 'stripe/pi_1', id: 'all', amountMinor: 150n, currency: 'USD' },
    })
  })

  test('money that a bank took back is a refund of its own', () => {
    const object = { id: 'dp_1', payment_intent: 'pi_1', amount: 450, currency: 'usd' }
    const type = 'charge.dispute.funds_withdrawn'
    expect(read(stripeEvent({ type, data: { object } }))).toEqual({
      kind: 'refunded',
      refund: { payment: 'stripe/pi_1', id: 'dispute/dp_1', amountMinor: 450n, currency: 'USD' },
    })
    const other = { ...object, payment_intent: null }
    expect(read(stripeEvent({ type, data: { object: other } })).kind).toBe('other')
  })

  test('any other event is read and means nothing', () => {
    const event = { type: 'customer.created', data: { object: {} } }
    expect(read(stripeEvent(event))).toEqual({ kind: 'other', type: 'customer.created' })
  })

  test('what takes no money, or is of no checkout, means nothing: it is not sent again', () => {
    const session = { id: 'cs_2', payment_status: 'no_payment_required', amount_total: null }
    const setup = { ...paid, data: { object: { ...session, currency: null, mode: 'setup' } } }
    expect(read(stripeEvent(setup)).kind).toBe('other')
    const object = { payment_intent: null, amount_refunded: 150, currency: 'usd' }
    expect(read(stripeEvent({ type: 'charge.refunded', data: { object } })).kind).toBe('other')
  })

  test('a new secret and the old one sign side by side', () => {
    const event = stripeEvent(paid)
    const header = event.headers['stripe-signature'].replace('v1=', `v1=${'0'.repeat(64)},v1=`)
    expect(read({ ...event, headers: { 'stripe-signature': header } }).kind).toBe('paid')
  })

  test.each([
    ['no signature', { ...stripeEvent(paid), headers: {} }],
    ['another secret', stripeEvent(paid, { secret: 'whsec_other' })],
    [
      'another body',
      { ...stripeEvent(paid), body: Buffer.from(JSON.stringify({ ...paid, id: 'evt_2' })) },
    ],
    ['one byte more', { ...stripeEvent(paid), body: Buffer.from(`${JSON.stringify(paid)} `) }],
    ['signed too long ago', stripeEvent(paid, { atMs: EVENING_MS - 301_000 })],
    ['signed in the future', stripeEvent(paid, { atMs: EVENING_MS + 301_000 })],
    [
      'not hex',
      { ...stripeEvent(paid), headers: { 'stripe-signature': `t=${EVENING_MS / 1000},v1=zz` } },
    ],
    [
      'a time of its own',
      {
        ...stripeEvent(paid),
        headers: {
          'stripe-signature': stripeEvent(paid).headers['stripe-signature'].replace(
            /^t=\d+/,
            't=9',
          ),
        },
      },
    ],
  ])('refuses %s', (_name, event) => {
    expect(() => read(event as ReturnType<typeof stripeEvent>)).toThrow(
      expect.objectContaining({ code: 'payment_signature' }),
    )
  })

  test('what is signed and cannot be read says so, and quotes nothing of it', () => {
    for (const body of [
      '{',
      '[]',
      '{"type":5}',
      JSON.stringify({ ...paid, data: { object: { id: 'private' } } }),
    ]) {
      expect(() => read(stripeEvent(undefined, { body }))).toThrow(
        expect.objectContaining({
          code: 'payment_event',
          message: expect.not.stringContaining('private'),
        }),
      )
    }
  })

  test.each(['007', '+7', '7 ', '-1', '1e3', '18446744073709551616', ''])(
    'takes %j for no account number',
    (reference) => {
      const object = { ...paid.data.object, client_reference_id: reference }
      const event = read(stripeEvent({ ...paid, data: { object } }))
      expect(event).toMatchObject({ kind: 'paid', payment: { account: undefined } })
    },
  )
})

describe('paystack', () => {
  const sign = (event: unknown, secret = SECRET) => {
    const body = Buffer.from(JSON.stringify(event))
    const hex = createHmac('sha512', secret).update(body).digest('hex')
    return { body, headers: { 'x-paystack-signature': hex } }
  }
  const success = {
    event: 'charge.success',
    data: {
      status: 'success',
      reference: 'qTPrJoy9Bx',
      amount: 100,
      currency: 'USD',
      metadata: { flowmeter_account: '7' },
    },
  }
  const read = (event: ReturnType<typeof sign>) => paystack(SECRET).read(event, EVENING_MS)

  test('a charge buys', () => {
    expect(read(sign(success))).toEqual({
      kind: 'paid',
      payment: { id: 'paystack/qTPrJoy9Bx', account: 7n, amountMinor: 100n, currency: 'USD' },
    })
  })

  test.each([0, '', null, 'text'])('metadata may be %j', (metadata) => {
    const event = read(sign({ ...success, data: { ...success.data, metadata } }))
    expect(event).toMatchObject({ kind: 'paid', payment: { account: undefined } })
  })

  test('each refund tells its own amount, as text or number', () => {
    const data = {
      transaction_reference: 'q',
      refund_reference: 'r1',
      amount: '50',
      currency: 'USD',
    }
    expect(read(sign({ event: 'refund.processed', data }))).toEqual({
      kind: 'refunded',
      refund: { payment: 'paystack/q', id: 'r1', amountMinor: 50n, currency: 'USD' },
    })
  })

  test.each(['9'.repeat(30), '-1', '1.5', 'many'])('a refund of %j is none', (amount) => {
    const data = { transaction_reference: 'q', refund_reference: 'r1', amount, currency: 'USD' }
    expect(() => read(sign({ event: 'refund.processed', data }))).toThrow(
      expect.objectContaining({ code: 'payment_event' }),
    )
  })

  test('refuses what it did not sign', () => {
    const refusal = expect.objectContaining({ code: 'payment_signature' })
    expect(() => read(sign(success, 'other'))).toThrow(refusal)
    expect(() => read({ ...sign(success), body: Buffer.from('{}') })).toThrow(refusal)
    expect(() => paystack(SECRET).read({ body: Buffer.from('{}'), headers: {} }, 0)).toThrow(
      refusal,
    )
  })
})
