import { afterAll, beforeAll, expect, test } from 'vitest'
import { Crowd, openingUnits } from '../../bench/settle/crowd.js'
import { KINDS, measureBatch, measureRun, measureTransfer } from '../../bench/settle/measure.js'
import { brokenOf } from '../../bench/settle/run.js'
import { Settlement } from '../cadence/settlement.js'

// Goal: nothing is lost when many vaults are settled in few transactions, and what `npm run bench --
// settle` measures is really settled.
// Method: the bench itself with fewer vaults. It compares events, records and everybody's money with
// our own price function; how much it costs is the bench's own matter.

const OPENED_AT_ONCE = 40
const VAULTS = 165
const BATCH = 135

let crowd: Crowd
beforeAll(async () => {
  const parts = { transactionUnitsMax: openingUnits(OPENED_AT_ONCE) }
  const size = { count: VAULTS, atOnce: OPENED_AT_ONCE }
  crowd = await Crowd.open(await Settlement.start(undefined, parts), size)
})
afterAll(() => crowd?.settlement.stop())

test('every vault is opened once', () => {
  expect(new Set(crowd.numbers).size).toBe(VAULTS)
})

test('runs of one, three and six models are applied at our own price', async () => {
  for (const models of [1, 3, 6]) {
    for (const kind of KINDS) {
      const run = await measureRun(crowd, { entries: 10, models, kind })
      expect(run).toMatchObject({ entries: 10, error: null, lost: [] })
    }
  }
})

test('a batch of several chunks, cut anywhere, is applied once and all of it', async () => {
  const accounts = crowd.fresh(BATCH)
  const batch = await measureBatch(crowd, { accounts, models: 3, atOnce: 65 })
  expect(batch.lost).toEqual([])
  expect(batch.transactions.map(({ entries }) => entries)).toEqual([65, 65, 5])
})

test('what was not applied would be told', async () => {
  const accounts = crowd.known(10, 3)
  // Their totals as they were: Flow applies none of them.
  const stale = crowd.held().filter(({ accountNumber }) => accounts.includes(accountNumber))
  const smaller = stale.map((entry) => ({
    ...entry,
    rows: entry.rows.map((row) => ({ ...row, promptTokens: row.promptTokens - 1n })),
  }))
  crowd.entries = () => smaller
  const { lost } = await measureRun(crowd, { entries: 10, models: 3, kind: 'later' })
  expect(lost).toEqual(accounts.map((number) => `account ${number}: regressed`))
})

test('a payment costs a fee and is metered', async () => {
  const { fee, computation } = await measureTransfer(crowd)
  expect(fee).toBeGreaterThan(0n)
  expect(computation).toBeGreaterThan(0n)
})

test('a promise that is not kept is told, with what was measured', () => {
  const kept = { kind: 'first' as const, entries: 300, units: 9_999, feeOfTransfer: 0.45 }
  expect(brokenOf(kept)).toEqual([])
  expect(brokenOf({ ...kept, entries: 299, feeOfTransfer: 0.451 })).toEqual([
    'of first entries the longest run has 299, not 300',
    'of first entries the longest run costs 0.451 of a transfer a vault, not 0.45',
  ])
})
