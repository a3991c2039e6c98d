import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import {
  chargeInMillicredits,
  customerAccount,
  formatCredits,
  type LedgerTransaction,
  millicredits,
  transfer,
} from '../../src/domain/ledger.js'
import { wad } from '../../src/domain/money.js'
import type { Store } from '../../src/ports/stores.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS } from '../support/usage.js'

const ALICE = customerAccount(accountNumber(7n))
const BOB = customerAccount(accountNumber(70n))

let file: StoreFile
let store: Store
beforeEach(async () => {
  file = new StoreFile(new ManualClock(EVENING_MS))
  store = await file.open()
})
afterEach(() => file.remove())

function topUp(id: string, amount: bigint, to = ALICE): LedgerTransaction {
  const fact = { id: `top_up/stripe/${id}`, kind: 'top_up', atMs: EVENING_MS, memo: 'a' } as const
  return transfer(fact, { from: 'sales', to, amount: millicredits(amount) })
}

function charge(seq: number, amount: bigint, from = ALICE, period = 100): LedgerTransaction {
  const id = `charge/${from.split('/')[1]}/${period}/${seq}`
  const fact = { id, kind: 'charge', atMs: EVENING_MS, memo: 'usage' } as const
  return transfer(fact, { from, to: 'usage', amount: millicredits(amount) })
}

describe('the ledger', () => {
  test('posts a transaction once, however often it is told', async () => {
    expect(await store.ledger.post(topUp('1', 500n))).toBe(true)
    expect(await store.ledger.post(topUp('1', 500n))).toBe(false)
    expect(await store.ledger.balance(ALICE)).toBe(500n)
    expect(await store.ledger.balance('sales')).toBe(-500n)
  })

  test('refuses another fact under an id that is there', async () => {
    await store.ledger.post(topUp('1', 500n))
    await expect(store.ledger.post(topUp('1', 501n))).rejects.toThrow('says something else')
    await expect(store.ledger.post(topUp('1', 500n, BOB))).rejects.toThrow('says something else')
    expect(await store.ledger.balance(ALICE)).toBe(500n)
  })

  test('refuses what does not balance', async () => {
    const lost = { ...topUp('1', 5n), postings: [{ account: ALICE, amount: millicredits(5n) }] }
    await expect(store.ledger.post(lost)).rejects.toThrow('does not balance')
    expect(await store.ledger.difference()).toBe(0n)
  })

  test('knows what was charged for a period, and only for that', async () => {
    await store.ledger.post(charge(1, 30n))
    await store.ledger.post(charge(2, -10n))
    await store.ledger.post(charge(2, 7n, ALICE, 1000))
    await store.ledger.post(charge(2, 9n, BOB))
    expect(await store.ledger.charged(ALICE, 100)).toBe(20n)
    expect(await store.ledger.charged(ALICE, 1000)).toBe(7n)
    expect(await store.ledger.charged(BOB, 100)).toBe(9n)
    expect(await store.ledger.charged(ALICE, 10)).toBe(0n)
  })

  test('tells an account its statement page by page', async () => {
    await store.ledger.post(topUp('1', 100n))
    await store.ledger.post(charge(1, 30n))
    await store.ledger.post(charge(2, 20n))
    const [first] = await store.ledger.statement(ALICE, 0, 1)
    expect(first).toMatchObject({ amount: 100n, balance: 100n, transaction: { kind: 'top_up' } })
    const rest = await store.ledger.statement(ALICE, 1, 10)
    expect(rest.map(({ amount, balance }) => [amount, balance])).toEqual([
      [-30n, 70n],
      [-20n, 50n],
    ])
  })

  test('always comes to 0, and every balance to what was posted', async () => {
    const amounts = fc.array(fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(amounts, fc.uuid(), async (list, run) => {
        const before = await store.ledger.balance(ALICE)
        const moved = list.filter((amount) => amount !== 0n)
        for (const [i, amount] of moved.entries()) {
          await store.ledger.post(topUp(`${run}/${i}`, amount))
          await store.ledger.post(topUp(`${run}/${i}`, amount))
        }
        const sum = moved.reduce((total, amount) => total + amount, 0n)
        expect((await store.ledger.balance(ALICE)) - before).toBe(sum)
        expect(await store.ledger.difference()).toBe(0n)
      }),
      { numRuns: 25 },
    )
  })
})

describe('millicredits', () => {
  test('a charge comes to the same in any parts', () => {
    const parts = fc.array(fc.bigInt({ min: 0n, max: 10n ** 20n }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(parts, (list) => {
        let charged = 0n
        let posted = 0n
        for (const part of list) {
          const before = chargeInMillicredits(wad(charged))
          charged += part
          posted += chargeInMillicredits(wad(charged)) - before
        }
        expect(posted).toBe(chargeInMillicredits(wad(charged)))
      }),
    )
  })

  test('a dollar is a thousand credits', () => {
    expect(formatCredits(chargeInMillicredits(wad(10n ** 18n)))).toBe('1000')
    expect(formatCredits(millicredits(-1_500n))).toBe('-1.5')
    expect(formatCredits(millicredits(7n))).toBe('0.007')
  })

  test('an amount that would not fit, or that is nothing, is a bug', () => {
    expect(() => topUp('1', 2n ** 62n)).toThrow('too much')
    expect(() => topUp('1', 0n)).toThrow('moves nothing')
    expect(() => topUp('1', 5n, 'sales' as typeof ALICE)).toThrow('to itself')
  })
})
