import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Stores } from '../../src/ports/stores.js'
import { openSqlite } from '../../src/store/sqlite.js'
import { sqlStore } from '../../src/store/store.js'
import { planOf } from '../support/query-plan.js'
import { EVENING_MS } from '../support/usage.js'

// Goal: what workers ask all the time takes no longer the more there is that is done. Method: of
// each question, look at SQLite's plan: it reads an index of what is open, in the order asked for.

const db = openSqlite(':memory:')
const store = sqlStore(db, { now: () => EVENING_MS })
beforeAll(() => store.migrate())
afterAll(() => db.destroy())

const QUESTIONS: Readonly<Record<string, (stores: Stores) => Promise<unknown>>> = {
  'records to map': ({ records }) => records.unattributed('a mapping', 10),
  'records to seal': ({ records }) => records.attributed('a mapping', 10),
  'the batch to anchor': ({ batches }) => batches.oldestIn('sealed'),
  'the batch in flight': ({ batches }) => batches.oldestIn('sealed', 'anchored', 'requested'),
  'parked batches': ({ batches }) => batches.parked(1n as never, 10),
}

test.each(Object.entries(QUESTIONS))('%s', async (_name, ask) => {
  const plan = await planOf(store, ask)
  const read = plan.filter((step) => /^(SCAN|SEARCH) (usage_records|batches) /.test(step))
  expect(read).toHaveLength(1)
  expect(read[0]).toMatch(/INDEX (usage_records_waiting|batches_by_state)/)
  const isOfRecords = read[0]?.includes('usage_records') === true
  if (isOfRecords) expect(plan.filter((step) => step.includes('TEMP B-TREE'))).toEqual([])
})
