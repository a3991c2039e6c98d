import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountNumber, batchId, modelId } from '../../src/domain/ids.js'
import type { UsageRecord } from '../../src/domain/usage-record.js'
import type { SetAsideChoice } from '../../src/ports/set-asides.js'
import type { Store } from '../../src/ports/stores.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS, SEPTEMBER_S, usageRecord } from '../support/usage.js'

// Goal: what was set aside counts exactly as often as an operator says: never twice, never by
// itself, and whoever asks later sees who it was.

const clock = new ManualClock(EVENING_MS)
let file: StoreFile
let store: Store

beforeEach(async () => {
  file = new StoreFile(clock)
  store = await file.open()
  for (const name of ['main', 'again']) await store.records.addSource(name, EVENING_MS)
})
afterEach(() => file.remove())

function save(...records: readonly UsageRecord[]): Promise<number> {
  const range = { fromMs: EVENING_MS, untilMs: EVENING_MS + 1 }
  const source = records[0]?.key.source ?? 'main'
  return store.records.saveSlice(source, { records, rejects: [], range, areIdsGlobal: true }, 1)
}

/** Prompt tokens of all that counts. */
async function counted(): Promise<bigint[]> {
  const rows = await store.records.unattributed('v', 100)
  return rows.map(({ promptTokens }) => promptTokens).sort()
}

async function one(choice: SetAsideChoice) {
  const [row, ...others] = await store.setAsides.waiting(choice, 10)
  expect(others).toEqual([])
  if (row === undefined) throw new Error('nothing waits')
  return row
}

const first = usageRecord('a', { promptTokens: 100n })
const other = usageRecord('a', { promptTokens: 900n })

describe('a known id with other fields', () => {
  test('counts beside the first one when somebody says so, however often it is said and seen', async () => {
    await save(first)
    await save(other)
    expect(await counted()).toEqual([100n])
    const row = await one({ source: 'main', requestId: 'a', reason: 'changed' })
    expect(row).toMatchObject({ differs: ['promptTokens'], record: { promptTokens: 900n } })
    expect(await store.setAsides.letCount(row, false)).toEqual({ outcome: 'counts' })
    expect(await store.setAsides.letCount(row, false)).toEqual({ outcome: 'decided' })
    expect(await store.setAsides.dismiss(row)).toBe(false)
    for (const again of [first, other]) await save(again)
    expect(await counted()).toEqual([100n, 900n])
    expect(await store.setAsides.counts()).toEqual([])
  })

  test('with a cost that was corrected meanwhile it is the same bill, and counts once', async () => {
    await save(first)
    await save(other)
    await save({ ...other, spend: '0.5' })
    const rows = await store.setAsides.waiting({ requestId: 'a' }, 10)
    expect(rows).toHaveLength(2)
    const said = []
    for (const row of rows) said.push((await store.setAsides.letCount(row, false)).outcome)
    expect(said).toEqual(['counts', 'decided'])
    expect(await counted()).toEqual([100n, 900n])
  })

  test('counts in place of the first one, as long as that is in no batch', async () => {
    await save(first)
    await save(other)
    const verdict = await store.setAsides.letCount(await one({ requestId: 'a' }), true)
    expect(verdict).toEqual({ outcome: 'counts' })
    for (const again of [first, other]) await save(again)
    expect(await counted()).toEqual([900n])
    expect(await store.controls.ours('main', '2026-09-24')).toMatchObject([{ promptTokens: 900n }])
  })

  test('takes a place that no other row has taken: one call is billed once', async () => {
    await save(first)
    await save(other)
    await save({ ...other, promptTokens: 300n })
    const rows = await store.setAsides.waiting({ requestId: 'a' }, 10)
    const [one, two] = rows
    if (one === undefined || two === undefined) throw new Error('two rows wait')
    expect(await store.setAsides.letCount(one, true)).toEqual({ outcome: 'counts' })
    const verdict = { outcome: 'decided', replacedBy: one.rowHash }
    expect(await store.setAsides.letCount(two, true)).toEqual(verdict)
    expect(await counted()).toEqual([one.record.promptTokens])
    // No word was kept on it, so it can still be left alone.
    expect(await store.setAsides.dismiss(two)).toBe(true)
  })

  test('cannot take the place of one that is sealed, and says which batch has it', async () => {
    await save(first)
    const sealed = { account: accountNumber(1n), periodStart: SEPTEMBER_S, modelId: modelId(0) }
    await store.records.claim(batchId(3n), [{ ...first, ...sealed }])
    await save(other)
    const row = await one({ requestId: 'a' })
    expect(await store.setAsides.letCount(row, true)).toEqual({ outcome: 'sealed', batch: 3n })
    expect(await counted()).toEqual([])
    expect(await store.setAsides.letCount(row, false)).toEqual({ outcome: 'counts' })
    expect(await counted()).toEqual([900n])
    expect(await store.records.claimedBy(batchId(3n))).toMatchObject([{ promptTokens: 100n }])
  })

  test('that is a failure now takes the place of a success without counting', async () => {
    await save(first)
    await save({ ...first, excluded: 'failure' })
    const row = await one({ requestId: 'a' })
    expect(await store.setAsides.letCount(row, true)).toEqual({ outcome: 'counts' })
    expect(await counted()).toEqual([])
  })

  test('is left alone for good when dismissed', async () => {
    await save(first)
    await save(other)
    expect(await store.setAsides.dismiss(await one({ requestId: 'a' }))).toBe(true)
    await save(other)
    expect(await store.setAsides.waiting({}, 10)).toEqual([])
    expect(await counted()).toEqual([100n])
  })
})

describe('a record that is held', () => {
  const twin = { ...first, key: { source: 'again', requestId: 'a' } }

  test('as the twin of another source counts when somebody says so, and stays so when seen again', async () => {
    await save(first)
    await save(twin)
    expect(await counted()).toEqual([100n])
    expect(await store.setAsides.counts()).toEqual([
      { source: 'again', reason: 'twin_source', rows: 1 },
    ])
    const row = await one({ reason: 'twin_source' })
    expect(await store.setAsides.letCount(row, false)).toEqual({ outcome: 'counts' })
    expect(await store.setAsides.letCount(row, false)).toEqual({ outcome: 'decided' })
    await save(twin)
    expect(await counted()).toEqual([100n, 100n])
    expect(await store.setAsides.waiting({}, 10)).toEqual([])
  })

  test.each(['held_failure', 'held_client_disconnected'] as const)('as %s', async (excluded) => {
    await save({ ...first, excluded })
    expect(await counted()).toEqual([])
    expect(await store.setAsides.letCount(await one({ reason: excluded }), false)).toEqual({
      outcome: 'counts',
    })
    // The row is the same as it was, whatever the settings call it by now.
    await save({ ...first, excluded })
    await save(first)
    expect(await counted()).toEqual([100n])
    expect(await store.setAsides.waiting({}, 10)).toEqual([])
  })

  test('under two sources is held once, and is the twin of the other', async () => {
    await save({ ...first, excluded: 'held_failure' })
    await save({ ...twin, excluded: 'held_failure' })
    const counts = await store.setAsides.counts()
    expect(counts.map(({ source, reason }) => [source, reason])).toEqual([
      ['again', 'twin_source'],
      ['main', 'held_failure'],
    ])
  })
})

test('the newest come first, by source, by reason, and no more than asked for', async () => {
  for (let i = 0; i < 5; i += 1) {
    await save(usageRecord(`r${i}`, { excluded: 'held_failure' }))
    clock.pass(1_000)
  }
  const newest = await store.setAsides.waiting({ source: 'main', reason: 'held_failure' }, 2)
  expect(newest.map(({ record }) => record.key.requestId)).toEqual(['r4', 'r3'])
  expect(await store.setAsides.waiting({ source: 'again' }, 2)).toEqual([])
  expect(await store.setAsides.waiting({ rowHash: '0x' }, 2)).toEqual([])
})
