import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import { microdollars } from '../../src/domain/key-limits.js'
import type { SyncOutcome } from '../../src/ports/keys.js'
import type { Store } from '../../src/ports/stores.js'
import { ALICE, BOB, DEFAULT_LIMITS, idOf, newKey } from '../support/keys.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS } from '../support/usage.js'

const MINUTE_MS = 60_000
let clock: ManualClock
let file: StoreFile
let store: Store
beforeEach(async () => {
  clock = new ManualClock(EVENING_MS)
  file = new StoreFile(clock)
  store = await file.open()
})
afterEach(() => file.remove())

const synced = (nextTryAtMs?: number): SyncOutcome => ({
  status: 'synced',
  seen: { atMs: clock.now(), isBlocked: false, isForeignBlock: false, spend: '0.25' },
  nextTryAtMs,
})
const dueIds = async () => (await store.keys.due(clock.now(), 10)).map(({ id }) => id)

/** A key that is as it is wanted, and looked at again in an hour. */
async function syncedKey(name: string, account = ALICE) {
  const key = newKey(name, { account })
  await store.keys.add(key)
  await store.keys.saveSync(key.id, 1, synced(clock.now() + 60 * MINUTE_MS))
  return key.id
}

describe('keys', () => {
  test('are kept as they are wanted, whatever their limits', async () => {
    const none = {
      maxBudget: null,
      budgetDuration: null,
      rpmLimit: null,
      tpmLimit: null,
      models: ['gpt-4o', 'a"b'],
    }
    await store.keys.add(newKey('a'))
    await store.keys.add(newKey('b', { limits: none, isCustomers: true, replaces: idOf('x') }))
    expect(await store.keys.get(idOf('7/a'))).toMatchObject({
      ...newKey('a'),
      createdAtMs: EVENING_MS,
      revision: 1,
      syncStatus: 'pending',
      failures: 0,
      seen: undefined,
    })
    expect(await store.keys.findByAlias('fm-7-b')).toMatchObject({
      limits: none,
      isCustomers: true,
      replaces: idOf('x'),
    })
    expect(await store.keys.get(idOf('nobody'))).toBeUndefined()
    const huge = { ...DEFAULT_LIMITS, maxBudget: microdollars(10n ** 15n) }
    await store.keys.change(idOf('7/a'), { limits: huge })
    expect((await store.keys.get(idOf('7/a')))?.limits).toEqual(huge)
  })

  test('no two have the same id or alias; those without an alias do not collide', async () => {
    await store.keys.add(newKey('a'))
    await expect(store.keys.add(newKey('a'))).rejects.toThrow()
    await expect(store.keys.add(newKey('a', { id: idOf('other') }))).rejects.toThrow()
    await store.keys.add(newKey('b', { alias: '' }))
    await store.keys.add(newKey('c', { alias: '' }))
    expect((await store.keys.get(idOf('7/c')))?.alias).toBe('')
  })

  test('are listed by account, page by page, the deleted ones on demand', async () => {
    for (const name of ['a', 'b', 'c']) await store.keys.add(newKey(name))
    await store.keys.add(newKey('a', { account: BOB }))
    await store.keys.change(idOf('7/c'), { state: 'deleted' })
    const all = await store.keys.list({ accounts: 'all', limit: 10 })
    expect(all.map(({ alias }) => alias).sort()).toEqual(['fm-7-a', 'fm-7-b', 'fm-8-a'])
    const own = await store.keys.list({ accounts: [BOB], limit: 10 })
    expect(own.map(({ alias }) => alias)).toEqual(['fm-8-a'])
    expect(await store.keys.list({ accounts: [], limit: 10 })).toEqual([])
    const withDeleted = await store.keys.list({ accounts: 'all', withDeleted: true, limit: 10 })
    expect(withDeleted).toHaveLength(4)
    const [first] = await store.keys.list({ accounts: 'all', limit: 1 })
    const rest = await store.keys.list({ accounts: 'all', after: first?.id, limit: 10 })
    expect(rest).toEqual(all.slice(1))
  })

  test('what is wanted anew is due before what has long been refused', async () => {
    const [refused, fresh] = [await syncedKey('refused'), await syncedKey('fresh')]
    await store.keys.touch(refused)
    const failed = { status: 'failed', problem: 'x', seen: undefined, nextTryAtMs: 0 } as const
    await store.keys.saveSync(refused, 2, failed)
    clock.pass(MINUTE_MS)
    await store.keys.touch(fresh)
    expect(await dueIds()).toEqual([fresh, refused])
  })

  test('a name is never given twice', async () => {
    expect(await store.keys.generations(ALICE, 'a')).toBe(0)
    await store.keys.add(newKey('a'))
    await store.keys.change(idOf('7/a'), { state: 'deleted' })
    await store.keys.add(newKey('a', { account: BOB }))
    expect(await store.keys.generations(ALICE, 'a')).toBe(1)
  })

  test('a customer’s deleted keys count for as long as their budget would have lasted', async () => {
    await store.keys.add(newKey('a', { isCustomers: true }))
    await store.keys.add(newKey('b', { isCustomers: true }))
    await store.keys.add(newKey('operators'))
    await store.keys.add(newKey('a', { isCustomers: true, account: BOB }))
    const making = { isCustomers: true, state: 'making' } as const
    await store.keys.add(newKey('never', making))
    expect(await store.keys.customersSince(ALICE, EVENING_MS)).toBe(3)
    await store.keys.change(idOf('7/never'), { state: 'deleted' })
    await store.keys.add(newKey('b2', { ...making, replaces: idOf('7/b') }))
    expect(await store.keys.customersSince(ALICE, EVENING_MS)).toBe(3)
    await store.keys.change(idOf('7/b2'), { state: 'wanted' })
    await store.keys.change(idOf('7/b'), { state: 'deleted' })
    expect(await store.keys.customersSince(ALICE, EVENING_MS)).toBe(2)
    clock.pass(MINUTE_MS)
    await store.keys.change(idOf('7/a'), { state: 'deleted' })
    expect(await store.keys.customersSince(ALICE, clock.now())).toBe(2)
    expect(await store.keys.customersSince(ALICE, clock.now() + 1)).toBe(1)
  })

  test('a change is due at once, before what is only compared again', async () => {
    const [first, second] = [await syncedKey('a'), await syncedKey('b')]
    expect(await dueIds()).toEqual([])
    clock.pass(61 * MINUTE_MS)
    await store.keys.change(second, { limits: { ...DEFAULT_LIMITS, rpmLimit: 5 } })
    expect(await dueIds()).toEqual([second, first])
    const changed = await store.keys.get(second)
    expect(changed).toMatchObject({ revision: 2, syncStatus: 'pending', changedAtMs: clock.now() })
    expect((await store.keys.due(clock.now(), 1)).map(({ id }) => id)).toEqual([second])
  })

  test('what came of a look is kept, and fails count up until it works', async () => {
    const id = await syncedKey('a')
    const failed = (problem: string): SyncOutcome => ({
      ...{ status: 'failed', problem, seen: undefined },
      nextTryAtMs: clock.now() + MINUTE_MS,
    })
    expect(await store.keys.saveSync(id, 1, failed('rpm'))).toBe(true)
    expect(await store.keys.saveSync(id, 1, failed('tpm'))).toBe(true)
    expect(await store.keys.get(id)).toMatchObject({
      syncStatus: 'failed',
      problem: 'tpm',
      failures: 2,
      nextTryAtMs: clock.now() + MINUTE_MS,
      seen: { spend: '0.25', isBlocked: false },
    })
    expect(await dueIds()).toEqual([])
    clock.pass(MINUTE_MS)
    expect(await dueIds()).toEqual([id])
    await store.keys.saveSync(id, 1, synced())
    expect(await store.keys.get(id)).toMatchObject({
      ...{ syncStatus: 'synced', problem: undefined, failures: 0 },
      ...{ nextTryAtMs: undefined, lastSyncedAtMs: clock.now() },
    })
  })

  test('a look at an old wish is not taken for the new one, and has it looked at again', async () => {
    const id = await syncedKey('a')
    await store.keys.change(id, { limits: { ...DEFAULT_LIMITS, rpmLimit: 5 } })
    await store.keys.saveSync(id, 2, synced(clock.now() + MINUTE_MS))
    expect(await store.keys.saveSync(id, 1, synced(clock.now() + MINUTE_MS))).toBe(false)
    expect(await store.keys.get(id)).toMatchObject({ syncStatus: 'pending', revision: 3 })
    expect(await dueIds()).toEqual([id])
  })

  test('are counted by how far the gateway follows', async () => {
    await syncedKey('a')
    await store.keys.add(newKey('b'))
    const gone = await syncedKey('gone')
    await store.keys.change(gone, { state: 'deleted' })
    await store.keys.saveSync(gone, 2, synced())
    const blocked = await syncedKey('c')
    const seen = { atMs: clock.now(), isBlocked: true, isForeignBlock: true, spend: '1' }
    clock.pass(MINUTE_MS)
    await store.keys.change(blocked, {})
    const failed = { status: 'failed', problem: 'x', seen, nextTryAtMs: 0 } as const
    await store.keys.saveSync(blocked, 2, failed)
    const bobs = { states: { pending: 0, synced: 0, failed: 0 }, blocked: 0, foreignBlocked: 0 }
    expect(await store.keys.counts([BOB])).toEqual({ ...bobs, waitingSinceMs: undefined })
    expect((await store.keys.failing('all', 10)).map(({ id }) => id)).toEqual([blocked])
    expect(await store.keys.failing([BOB], 10)).toEqual([])
    expect(await store.keys.counts('all')).toEqual({
      states: { pending: 1, synced: 1, failed: 1 },
      blocked: 1,
      foreignBlocked: 1,
      waitingSinceMs: EVENING_MS,
    })
  })
})

describe('holds', () => {
  const dry = { account: ALICE, key: undefined, reason: 'balance', untilMs: undefined } as const

  test('stand once for each reason, with the newest text and the first instant', async () => {
    expect(await store.holds.place({ ...dry, text: 'dry' })).toBe(true)
    clock.pass(MINUTE_MS)
    expect(await store.holds.place({ ...dry, text: 'still dry' })).toBe(false)
    expect(await store.holds.place({ ...dry, reason: 'quota', text: 'used up' })).toBe(true)
    expect(await store.holds.of(ALICE)).toEqual([
      { ...dry, text: 'still dry', sinceMs: EVENING_MS },
      { ...dry, reason: 'quota', text: 'used up', sinceMs: EVENING_MS + MINUTE_MS },
    ])
    expect(await store.holds.of(BOB)).toEqual([])
    expect(await store.holds.lift(ALICE, 'balance')).toBe(true)
    expect(await store.holds.lift(ALICE, 'balance')).toBe(false)
    expect((await store.holds.of(ALICE)).map(({ reason }) => reason)).toEqual(['quota'])
  })

  test('have the keys of their account looked at, and those of no other', async () => {
    const [a, b] = [await syncedKey('a'), await syncedKey('b')]
    await syncedKey('a', BOB)
    await store.holds.place({ ...dry, text: 'dry' })
    expect(new Set(await dueIds())).toEqual(new Set([a, b]))
    for (const id of [a, b]) await store.keys.saveSync(id, 2, synced(clock.now() + MINUTE_MS))
    await store.holds.place({ ...dry, text: 'still dry' })
    expect(await dueIds()).toEqual([])
    await store.holds.lift(ALICE, 'balance')
    expect(new Set(await dueIds())).toEqual(new Set([a, b]))
  })

  test('of one key have that one looked at, and leave the account’s hold alone', async () => {
    const [a] = [await syncedKey('a'), await syncedKey('b')]
    const one = { ...dry, reason: 'operator', key: a, text: 'leaked' } as const
    await store.holds.place({ ...one, key: undefined })
    for (const id of await dueIds()) await store.keys.saveSync(id, 2, synced(clock.now() + 1))
    expect(await store.holds.place(one)).toBe(true)
    expect(await dueIds()).toEqual([a])
    expect(await store.holds.lift(ALICE, 'operator')).toBe(true)
    expect((await store.holds.of(ALICE)).map(({ key }) => key)).toEqual([a])
    expect(await store.holds.lift(ALICE, 'operator', a)).toBe(true)
  })

  test('end when they were said to, and then their keys are looked at', async () => {
    const id = await syncedKey('a')
    await store.holds.place({ ...dry, text: 'x', untilMs: clock.now() + MINUTE_MS })
    await store.keys.saveSync(id, 2, synced(clock.now() + 60 * MINUTE_MS))
    expect(await store.holds.expire(10)).toBe(0)
    clock.pass(MINUTE_MS)
    expect(await store.holds.of(ALICE)).toEqual([])
    expect(await store.holds.lift(ALICE, 'balance')).toBe(false)
    expect(await store.holds.expire(10)).toBe(1)
    expect(await store.holds.expire(10)).toBe(0)
    expect(await dueIds()).toEqual([id])
  })

  test('that have ended and are placed again are new', async () => {
    await store.holds.place({ ...dry, text: 'x', untilMs: clock.now() + MINUTE_MS })
    clock.pass(MINUTE_MS)
    expect(await store.holds.place({ ...dry, text: 'again' })).toBe(true)
    expect(await store.holds.of(ALICE)).toMatchObject([{ sinceMs: clock.now() }])
    expect(await store.holds.expire(10)).toBe(0)
  })

  // Goal: whoever tells of blocks hears of each once, and of no block that was undone with its transaction.
  test('leave a change when they begin and when they end, and nothing else', async () => {
    const key = await syncedKey('a')
    const seen = async () =>
      (await store.holds.changes(20)).map(
        ({ change, reason, key: id, atMs, others }) =>
          `${change} ${reason}${id === undefined ? '' : ' of a key'} at ${atMs - EVENING_MS}; ${others}`,
      )
    await store.holds.place({ ...dry, text: 'dry' })
    await store.holds.place({ ...dry, text: 'still dry' })
    const untilMs = clock.now() + MINUTE_MS
    await store.holds.place({ ...dry, reason: 'quota', key, text: 'used up', untilMs })
    clock.pass(2 * MINUTE_MS)
    // It ended and nobody took it away yet: what comes now is another.
    await store.holds.place({
      ...dry,
      reason: 'quota',
      key,
      text: 'again',
      untilMs: clock.now() + 1,
    })
    clock.pass(MINUTE_MS)
    await store.holds.expire(10)
    await store.holds.lift(ALICE, 'balance')
    await store.holds.lift(ALICE, 'balance')
    const undone = store.transaction(async ({ holds }) => {
      await holds.place({ ...dry, text: 'dry' })
      throw new Error('undone')
    })
    await expect(undone).rejects.toThrow('undone')
    expect(await seen()).toEqual([
      'blocked balance at 0; ',
      'blocked quota of a key at 0; balance',
      'unblocked quota of a key at 60000; balance',
      'blocked quota of a key at 120000; balance',
      'unblocked quota of a key at 120001; balance',
      'unblocked balance at 180000; ',
    ])
    const [, second] = await store.holds.changes(2)
    await store.holds.forgetChanges({ upTo: second?.number ?? 0 })
    expect(await seen()).toHaveLength(4)
    await store.holds.forgetChanges({ beforeMs: EVENING_MS + 180_000 })
    expect(await seen()).toEqual(['unblocked balance at 180000; '])
    const [last] = await store.holds.changes(1)
    await store.holds.forgetChanges({ upTo: last?.number ?? 0 })
    await store.holds.place({ ...dry, text: 'dry' })
    expect((await store.holds.changes(1))[0]?.number).toBe((last?.number ?? 0) + 1)
  })

  test('do not disturb a key that is being made, nor one that is gone', async () => {
    await store.keys.add(newKey('a', { state: 'making', nextTryAtMs: clock.now() + MINUTE_MS }))
    const gone = await syncedKey('gone')
    await store.keys.change(gone, { state: 'deleted' })
    await store.keys.saveSync(gone, 2, synced())
    await store.holds.place({ ...dry, text: 'dry' })
    expect(await dueIds()).toEqual([])
  })

  test('name the accounts that have any', async () => {
    const many = [3n, 10n, 2n ** 64n - 1n].map(accountNumber)
    for (const account of many) await store.holds.place({ ...dry, account, text: 'dry' })
    await store.holds.place({ ...dry, reason: 'quota', account: many[1] ?? ALICE, text: 'x' })
    const ended = { ...dry, account: BOB, text: 'x', untilMs: clock.now() }
    await store.holds.place(ended)
    expect(await store.holds.accounts(undefined, 2)).toEqual(many.slice(0, 2))
    expect(await store.holds.accounts(many[1], 2)).toEqual(many.slice(2))
  })
})
