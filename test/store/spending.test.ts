import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { wad } from '../../src/domain/money.js'
import type { Stores } from '../../src/ports/stores.js'
import { openSqlite } from '../../src/store/sqlite.js'
import { sqlStore } from '../../src/store/store.js'
import { BudgetWorld, SOURCE } from '../support/budget-world.js'
import { ALICE, BOB } from '../support/keys.js'
import { ManualClock } from '../support/manual-clock.js'
import { planOf } from '../support/query-plan.js'
import { EVENING_MS, SEPTEMBER_S } from '../support/usage.js'

const HOUR_MS = 3_600_000
const db = openSqlite(':memory:')
const clock = new ManualClock(EVENING_MS)
const store = sqlStore(db, clock)
const world = new BudgetWorld(store, clock)
beforeAll(async () => {
  await store.migrate()
  await world.openVault(ALICE, 10n ** 8n)
})
afterAll(() => db.destroy())

// Goal: an account with half a million records is not read at every look. Method: of each question,
// look at SQLite's plan: it searches an index by account and what else bounds it.
describe('an index answers', () => {
  const day = { hourMs: 0, dayMs: 0 }
  const span = { sinceMs: 0, newestSinceMs: 0, untilMs: 1 }
  const QUESTIONS: Readonly<
    Record<string, readonly [(stores: Stores) => Promise<unknown>, RegExp]>
  > = {
    'what is not settled': [
      ({ spending }) => spending.unsettled([ALICE, BOB]),
      /usage_records_unsealed_by_account \(account=\?\)/,
    ],
    'what waits of a period': [
      ({ records }) => records.waitingOf({ accountNumber: ALICE, periodStart: 1 }),
      /usage_records_unsealed_by_account \(account=\? AND period_start=\?\)/,
    ],
    'what was used lately': [
      ({ spending }) => spending.used([ALICE, BOB], span),
      /usage_records_by_account_time \(account=\? AND started_at_ms>\? AND started_at_ms<\?\)/,
    ],
    'what counts against a quota': [
      ({ spending }) => spending.quotaUse(ALICE, day, ['byok/*', 'mine']),
      /usage_records_by_account_time \(account=\? AND started_at_ms>\?\)/,
    ],
    'what calls with one’s own provider’s key used': [
      ({ spending }) => spending.byokUse(ALICE, { sinceMs: 0, untilMs: 1 }, ['byok/*', 'mine']),
      /usage_records_by_account_time \(account=\? AND started_at_ms>\? AND started_at_ms<\?\)/,
    ],
    'what was read and not looked at': [
      ({ spending }) => spending.knownUntilMs([SOURCE]),
      /usage_records_fresh/,
    ],
  }

  test.each(Object.entries(QUESTIONS))('%s', async (_name, [ask, index]) => {
    const plan = await planOf(store, ask)
    const read = plan.filter((step) => /^(SCAN|SEARCH) (u|usage_records)\b/.test(step))
    expect(read).toHaveLength(1)
    expect(read[0]).toMatch(index)
    expect(plan.filter((step) => /^SCAN (entries|e|stated_totals|batches)\b/.test(step))).toEqual(
      [],
    )
  })
})

describe('usage', () => {
  test('is told by when it began, whether it is sealed or not; what failed does not count', async () => {
    await world.use(ALICE, { tokens: 100, startedAtMs: EVENING_MS - 2 * HOUR_MS })
    await world.use(ALICE, { tokens: 20, startedAtMs: EVENING_MS - HOUR_MS, model: 'byok/gpt-4' })
    await world.seal()
    await world.use(ALICE, { tokens: 3, startedAtMs: EVENING_MS - 60_000 })
    const failed = { ...world.record(ALICE, { tokens: 4_000 }), excluded: 'failure' }
    await world.collect([[ALICE, failed]])
    const span = { sinceMs: EVENING_MS - HOUR_MS, untilMs: EVENING_MS }
    const used = await store.spending.used([ALICE, BOB], {
      ...span,
      newestSinceMs: EVENING_MS - 60_000,
    })
    expect(used.map(({ promptTokens, isNewest }) => [promptTokens, isNewest])).toEqual([
      [20n, false],
      [3n, true],
    ])
    const windows = { hourMs: EVENING_MS - HOUR_MS, dayMs: EVENING_MS - 20 * HOUR_MS }
    expect(await store.spending.quotaUse(ALICE, windows, ['byok/*'])).toEqual({
      own: { requestsThisHour: 1n, requestsToday: 2n, tokensToday: 103n },
      byok: { requestsThisHour: 1n, requestsToday: 1n, tokensToday: 20n },
    })
    const byok = await store.spending.byokUse(ALICE, { sinceMs: 0, untilMs: EVENING_MS }, [
      'byok/*',
    ])
    expect(byok).toMatchObject([{ accountNumber: ALICE, promptTokens: 20n, requests: 1n }])
    const later = { sinceMs: EVENING_MS - HOUR_MS + 1, untilMs: EVENING_MS }
    expect(await store.spending.byokUse(ALICE, later, ['byok/*'])).toEqual([])
    // `*` alone is at the end of a name, and `_` and `%` are letters like others.
    const none = await store.spending.quotaUse(ALICE, windows, ['byok_*', '%', '*/gpt-4'])
    expect(none.byok.requestsToday).toBe(0n)
  })

  test('is not settled while it waits, while its batch is on its way, and while Flow holds it', async () => {
    const key = { accountNumber: ALICE, periodStart: SEPTEMBER_S }
    expect(await store.spending.unsettled([ALICE, BOB])).toEqual([key])
    await world.seal()
    expect(await store.spending.unsettled([ALICE])).toEqual([key])
    await world.settle()
    expect(await store.spending.unsettled([ALICE])).toEqual([])
    await world.use(ALICE, { tokens: 1 })
    await world.seal()
    const last = await store.batches.last()
    if (last === undefined) throw new Error('a batch was sealed')
    await store.batches.saveResult(last.id, key, 'held', 'tx')
    await store.batches.saveLife(last.id, { state: 'settled' })
    expect(await store.spending.unsettled([ALICE])).toEqual([key])
    expect(await store.spending.unsettled([BOB])).toEqual([])
  })

  test('is known until the source that is furthest behind, and until what was not looked at', async () => {
    expect(await store.spending.knownUntilMs([SOURCE])).toBe(EVENING_MS)
    await store.records.addSource('another', EVENING_MS - 5)
    expect(await store.spending.knownUntilMs([SOURCE, 'another'])).toBe(EVENING_MS - 5)
    expect(await store.spending.knownUntilMs([])).toBeUndefined()
    const range = { fromMs: 0, untilMs: EVENING_MS }
    const records = [world.record(ALICE, { tokens: 1, startedAtMs: EVENING_MS - 900 })]
    await store.records.saveSlice(SOURCE, { records, rejects: [], range }, EVENING_MS)
    expect(await store.spending.knownUntilMs([SOURCE])).toBe(EVENING_MS - 900)
  })
})

describe('a mark', () => {
  test('is made once a day, and stays', async () => {
    const mark = { account: ALICE, day: 20_000, spentBefore: wad(2n ** 100n) }
    await store.spending.saveMark(mark)
    await store.spending.saveMark({ ...mark, spentBefore: wad(1n) })
    await store.spending.saveMark({ ...mark, day: 20_002 })
    expect(await store.spending.marks([ALICE, BOB], [20_000, 20_001])).toEqual([mark])
    expect(await store.spending.marksSince(ALICE, 20_001)).toMatchObject([{ day: 20_002 }])
    await store.spending.pruneMarks(20_001)
    expect(await store.spending.marks([ALICE], [20_000])).toEqual([])
  })
})
