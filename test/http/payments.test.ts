import { createHmac } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import { customerAccount } from '../../src/domain/ledger.js'
import { startServer } from '../../src/http/server.js'
import { stripe } from '../../src/payments/stripe.js'
import { takePayment } from '../../src/pipeline/take-payment.js'
import type { Store } from '../../src/ports/stores.js'
import { openStore } from '../../src/store/index.js'
import { ManualClock } from '../support/manual-clock.js'
import { quietServerParts } from '../support/quiet-server.js'

// Goal: over HTTP, a signed event credits once, and nobody else's does anything.

const SECRET = 'canary-of-the-webhook'
const clock = new ManualClock(Date.UTC(2026, 10, 21))
const SEVEN = accountNumber(7n)
const packages = [{ credits: 1_000n, amountMinor: 100n, currency: 'USD' }]

let store: Store
let url: string
const ends: (() => Promise<void>)[] = []
beforeEach(async () => {
  store = openStore(':memory:', clock)
  await store.migrate()
  await store.payments.openAccount(SEVEN)
  const server = await startServer({
    ...quietServerParts(store, clock),
    payments: {
      providers: [stripe(SECRET)],
      take: (event) => takePayment({ store, clock, packages }, event),
      clock,
    },
  })
  ends.push(
    () => store.close(),
    () => server.close(),
  )
  url = server.url
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const object = { id: 'cs_1', payment_status: 'paid', amount_total: 100, currency: 'usd' }
const event = JSON.stringify(
  { type: 'checkout.session.completed', data: { object: { ...object, client_reference_id: '7' } } },
  undefined,
  2, // As a provider may write it: the bytes count, not the meaning.
)

function signed(body: string, secret = SECRET): Record<string, string> {
  const t = clock.now() / 1000
  const v1 = createHmac('sha256', secret).update(`${t}.${body}`).digest('hex')
  return { 'content-type': 'application/json', 'stripe-signature': `t=${t},v1=${v1}` }
}

const post = (body: string, headers: Record<string, string>, path = '/v1/payments/stripe') =>
  fetch(`${url}${path}`, { method: 'POST', body, headers })

const balance = () => store.ledger.balance(customerAccount(SEVEN))

describe('a webhook', () => {
  test('credits once, however often it is sent', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => post(event, signed(event))))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    const said = await Promise.all(answers.map((answer) => answer.text()))
    expect(said.filter((text) => text === '{"status":"posted"}')).toHaveLength(1)
    expect(await balance()).toBe(1_000_000n)
  })

  test('of somebody else is 401 and does nothing', async () => {
    expect((await post(event, signed(event, 'guessed'))).status).toBe(401)
    expect((await post(event, {})).status).toBe(401)
    expect((await post(`${event} `, signed(event))).status).toBe(401)
    expect(await balance()).toBe(0n)
  })

  test('that cannot be read is 400, too large 413, unknown 404', async () => {
    expect((await post('{', signed('{'))).status).toBe(400)
    expect((await post('x'.repeat(300_000), {})).status).toBe(413)
    expect((await post(event, signed(event), '/v1/payments/paystack')).status).toBe(404)
  })

  test('is answered 500 when it could not be kept, so that it comes again', async () => {
    await store.close()
    const answer = await post(event, signed(event))
    expect(answer.status).toBe(500)
    expect(await answer.text()).not.toContain('cs_1')
  })
})
