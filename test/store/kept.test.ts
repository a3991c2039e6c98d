import { afterAll, expect, test } from 'vitest'
import { kept } from '../../src/store/kept.js'
import { openSqlite } from '../../src/store/sqlite.js'
import { sqlStore } from '../../src/store/store.js'
import { EVENING_MS } from '../support/usage.js'

const db = openSqlite(':memory:')
await sqlStore(db, { now: () => EVENING_MS }).migrate()
await db
  .insertInto('directory')
  .values(['7', '8', '9'].map((account) => ({ payer: `payer ${account}`, account })))
  .execute()
afterAll(() => db.destroy())

test('a kept query is built once, and answers what it is asked with each time', async () => {
  let built = 0
  const payersOf = kept((of, from: string, limit: number) => {
    built += 1
    return of
      .selectFrom('directory')
      .select('payer')
      .where('account', '>=', from)
      .orderBy('account')
      .limit(limit)
  })
  expect(await payersOf(db, '8', 5)).toEqual([{ payer: 'payer 8' }, { payer: 'payer 9' }])
  expect(await payersOf(db, '7', 1)).toEqual([{ payer: 'payer 7' }])
  expect(built).toBe(1)
})

test('a list of another length is another query', async () => {
  const namesOf = kept((of, ...accounts: string[]) =>
    of.selectFrom('directory').select('account').where('account', 'in', accounts),
  )
  expect(await namesOf(db, '7', '9')).toHaveLength(2)
  expect(await namesOf(db, '9')).toEqual([{ account: '9' }])
  expect(await namesOf(db, '8', '7')).toHaveLength(2)
})

test('it is part of the transaction that it is asked in', async () => {
  const add = kept((of, payer: string) =>
    of.insertInto('directory').values({ payer, account: '1' }),
  )
  const all = kept((of) => of.selectFrom('directory').select('payer'))
  await db
    .transaction()
    .execute(async (tx) => {
      await add(tx, 'nobody')
      expect(await all(tx)).toHaveLength(4)
      throw new Error('undone')
    })
    .catch(() => {})
  expect(await all(db)).toHaveLength(3)
})

test('what looks at a value while it is built is refused, since it would be kept', async () => {
  const wrong = kept((of, payer: string) =>
    of.selectFrom('directory').select('payer').where('payer', '=', `payer ${payer}`),
  )
  await expect(wrong(db, '7')).rejects.toThrow('hands on each value')
})
