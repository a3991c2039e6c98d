import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import { customerAccount, millicredits } from '../../src/domain/ledger.js'
import { wad } from '../../src/domain/money.js'
import type { CreditPackage, PaymentEvent } from '../../src/domain/payment.js'
import { chargeCreditsNext, grantCredits } from '../../src/pipeline/charge-credits.js'
import { readStatus } from '../../src/pipeline/status.js'
import { applyPayment, takePayment } from '../../src/pipeline/take-payment.js'
import type { Store } from '../../src/ports/stores.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS, OCTOBER_S } from '../support/usage.js'

const SEVEN = accountNumber(7n)
const ALICE = customerAccount(SEVEN)
const packages: readonly CreditPackage[] = [
  { credits: 1_000n, amountMinor: 100n, currency: 'USD' },
  { credits: 5_000n, amountMinor: 450n, currency: 'USD' },
]

let file: StoreFile
let store: Store
const clock = new ManualClock(EVENING_MS)
const parts = () => ({ store, clock, packages })
beforeEach(async () => {
  file = new StoreFile(clock)
  store = await file.open()
  await store.payments.openAccount(SEVEN)
})
afterEach(() => file.remove())

function paid(amountMinor: bigint, more: object = {}): PaymentEvent {
  const payment = { id: 'stripe/cs_1', alias: 'stripe/pi_1', account: SEVEN, amountMinor }
  return { kind: 'paid', payment: { currency: 'USD', ...payment, ...more } }
}

function refunded(amountMinor: bigint, id = 'all', payment = 'stripe/pi_1'): PaymentEvent {
  return { kind: 'refunded', refund: { payment, id, amountMinor, currency: 'USD' } }
}

const balance = () => store.ledger.balance(ALICE)

describe('a payment', () => {
  test('buys its package once, however often it is told', async () => {
    expect(await takePayment(parts(), paid(450n))).toBe('posted')
    expect(await takePayment(parts(), paid(450n))).toBe('known')
    expect(await balance()).toBe(5_000_000n)
  })

  test.each([
    ['a cent less than the package', { amountMinor: 449n }, 'no_package'],
    ['another currency', { currency: 'NGN' }, 'no_package'],
    ['no account', { account: undefined }, 'no_account'],
    ['an account that does not live on credits', { account: accountNumber(8n) }, 'unknown_account'],
  ])('of %s is kept for an operator, and buys nothing', async (_name, more, reason) => {
    expect(await takePayment(parts(), paid(450n, more))).toBe('set_aside')
    expect(await store.ledger.balance('sales')).toBe(0n)
    expect(await store.payments.setAside(10)).toMatchObject([{ setAside: reason }])
  })

  test('that was set aside is credited once, to whom the operator says', async () => {
    await takePayment(parts(), paid(450n, { account: undefined }))
    await expect(applyPayment(parts(), 'stripe/cs_1', accountNumber(8n))).rejects.toThrow('open it')
    expect(await applyPayment(parts(), 'stripe/cs_1', SEVEN)).toBe(5_000_000n)
    await expect(applyPayment(parts(), 'stripe/cs_1', SEVEN)).rejects.toThrow('posted already')
    await expect(applyPayment(parts(), 'stripe/cs_2', SEVEN)).rejects.toThrow('no payment')
    expect(await balance()).toBe(5_000_000n)
  })

  test('that was set aside is told until it is credited, or all of it is given back', async () => {
    const waiting = async () => {
      const status = await readStatus({ stores: store, clock, version: '0', identity: {} })
      const alarm = status.alarms.find(({ id }) => id === 'payments_waiting')
      expect(alarm?.since).toBe(status.payments?.since)
      return status.payments?.count
    }
    expect(await waiting()).toBeUndefined()
    await takePayment(parts(), paid(450n, { account: undefined }))
    const other = { id: 'stripe/cs_2', alias: 'stripe/pi_2', account: undefined }
    await takePayment(parts(), paid(100n, other))
    expect(await waiting()).toBe(2)
    await applyPayment(parts(), 'stripe/cs_1', SEVEN)
    await takePayment(parts(), refunded(99n, 'part', 'stripe/pi_2'))
    expect(await waiting()).toBe(1)
    await takePayment(parts(), refunded(1n, 'rest', 'stripe/cs_2'))
    expect(await waiting()).toBeUndefined()
  })
})

describe('a refund', () => {
  test('takes back its part, and all of it in the end', async () => {
    await takePayment(parts(), paid(450n))
    await takePayment(parts(), refunded(150n))
    expect(await balance()).toBe(3_333_334n)
    await takePayment(parts(), refunded(450n))
    await takePayment(parts(), refunded(150n)) // An old one that comes late.
    expect(await balance()).toBe(0n)
  })

  test('that is told before its payment waits for it', async () => {
    expect(await takePayment(parts(), refunded(450n))).toBe('set_aside')
    await takePayment(parts(), paid(450n))
    expect(await balance()).toBe(0n)
  })

  test('of more than was paid takes back what was bought', async () => {
    await takePayment(parts(), paid(100n))
    await takePayment(parts(), refunded(5_000n))
    expect(await balance()).toBe(0n)
  })

  test('in another currency takes nothing back, told before or after its payment', async () => {
    const inNaira = (amountMinor: bigint): PaymentEvent => ({
      kind: 'refunded',
      refund: { payment: 'stripe/pi_1', id: 'all', amountMinor, currency: 'NGN' },
    })
    await takePayment(parts(), inNaira(300n))
    await takePayment(parts(), paid(450n))
    await takePayment(parts(), refunded(450n))
    expect(await balance()).toBe(0n)
    await takePayment(parts(), inNaira(450n))
    expect(await balance()).toBe(0n)
    const other = { id: 'stripe/cs_2', alias: 'stripe/pi_2' }
    await takePayment(parts(), paid(450n, other))
    const event = inNaira(450n)
    if (event.kind !== 'refunded') throw new Error('a refund')
    await takePayment(parts(), { ...event, refund: { ...event.refund, payment: 'stripe/pi_2' } })
    expect(await balance()).toBe(5_000_000n)
  })

  // Goal: whoever may choose a payment's name makes no refund of theirs pass for another's.
  test('that was told before currencies were kept, and is told again, is one', async () => {
    await takePayment(parts(), paid(450n))
    const old = { payment: 'stripe/pi_1', id: 'all', amountMinor: 150n, currency: '' }
    await store.payments.saveRefund(old)
    await takePayment(parts(), refunded(150n))
    expect(await balance()).toBe(3_333_334n)
  })

  test('of a payment whose name begins as another’s is not taken for the other’s', async () => {
    await takePayment(parts(), paid(450n, { id: 'paystack/a', alias: undefined }))
    await takePayment(parts(), paid(450n, { id: 'paystack/a/450', alias: undefined }))
    await takePayment(parts(), refunded(450n, 'r1', 'paystack/a/450'))
    await takePayment(parts(), refunded(450n, 'r2', 'paystack/a'))
    expect(await balance()).toBe(0n)
  })

  test('any order and repetition of the same events comes to the same balance', async () => {
    const events = [
      paid(450n, { id: 'paystack/q', alias: undefined }),
      refunded(100n, 'r1', 'paystack/q'),
      refunded(200n, 'r2', 'paystack/q'),
    ]
    const order = fc.array(fc.nat(2), { minLength: 3, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(order, async (picks) => {
        const world = new StoreFile(clock)
        const other = await world.open()
        await other.payments.openAccount(SEVEN)
        for (const i of [...picks, 0, 1, 2]) {
          await takePayment({ ...parts(), store: other }, events[i] as PaymentEvent)
        }
        expect(await other.ledger.balance(ALICE)).toBe(1_666_667n)
        expect(await other.ledger.difference()).toBe(0n)
        await world.remove()
      }),
      { numRuns: 15 },
    )
  })
})

describe('charges', () => {
  const applied = (charged: bigint, lastSeq: bigint) =>
    store.books.saveApplied([
      {
        accountNumber: SEVEN,
        periodStart: OCTOBER_S,
        meterEpoch: 1,
        lastSeq,
        billable: 1n,
        charged: wad(charged),
      },
    ])

  test('what Flow charged is posted once for each batch, a correction as its counter-entry', async () => {
    await applied(1_500_000_000_000_000_000n, 1n)
    expect(await chargeCreditsNext(parts())).toBe('advanced')
    expect(await chargeCreditsNext(parts())).toBe('idle')
    expect(await balance()).toBe(-1_500_000n)
    await applied(2_000_000_000_000_000_000n, 2n)
    await chargeCreditsNext(parts())
    await applied(500_000_000_000_000_000n, 2n)
    await chargeCreditsNext(parts())
    expect(await balance()).toBe(-500_000n)
    const lines = await store.ledger.statement(ALICE, 0, 10)
    expect(lines.map(({ amount }) => amount)).toEqual([-1_500_000n, -500_000n, 1_500_000n])
    expect(await store.ledger.difference()).toBe(0n)
  })

  test('an account that pays from a wallet has no line here', async () => {
    await store.books.saveApplied([
      {
        accountNumber: accountNumber(8n),
        periodStart: OCTOBER_S,
        meterEpoch: 1,
        lastSeq: 1n,
        billable: 1n,
        charged: wad(10n ** 18n),
      },
    ])
    expect(await chargeCreditsNext(parts())).toBe('idle')
  })
})

test('a grant is given once for its reason', async () => {
  const grant = { account: SEVEN, amount: millicredits(500_000n), reason: 'sign-up' }
  expect(await grantCredits(parts(), grant)).toBe(true)
  expect(await grantCredits(parts(), grant)).toBe(false)
  await expect(
    grantCredits(parts(), { ...grant, amount: millicredits(600_000n) }),
  ).rejects.toMatchObject({ code: 'granted_before' })
  expect(await balance()).toBe(500_000n)
})
