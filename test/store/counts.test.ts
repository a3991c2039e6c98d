import Database from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Store } from '../../src/ports/stores.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS } from '../support/usage.js'

// Goal: what /status counts by indexes is what a look at every record finds.
// Method: records in every state that the schema lets be, some of them decided, stopped, or both; and
// the same numbers reckoned here, row by row.

const RECORDS = 600
let file: StoreFile
let store: Store

beforeEach(async () => {
  file = new StoreFile(new ManualClock(EVENING_MS))
  store = await file.open()
})
afterEach(() => file.remove())

interface Row {
  readonly excluded: string | null
  readonly batch: number | null
  readonly version: string | null
  readonly unmapped: string | null
  readonly account: string | null
  readonly isOut: boolean
  readonly seenAtMs: number
}

/** Each combination comes again and again, and seldom in the same company. */
function rowOf(i: number): Row {
  const state = i % 5
  const isAttributed = state === 2 || state === 3
  return {
    excluded: state === 0 ? 'failure' : null,
    batch: state === 3 ? 1 + (i % 7) : null,
    version: state === 1 ? null : 'v',
    unmapped: state === 4 ? 'is not in the directory' : null,
    account: isAttributed ? String(i % 3) : null,
    isOut: state !== 3 && i % 11 === 0,
    seenAtMs: EVENING_MS + ((i * 7_919) % RECORDS),
  }
}

function fill(rows: readonly Row[]): void {
  const database = new Database(file.path)
  const insert = database.prepare(`insert into usage_records (source, request_id, started_at_ms,
    ended_at_ms, user, api_key, team_id, end_user, model, prompt_tokens, cached_prompt_tokens,
    completion_tokens, excluded, spend, seen_at_ms, mapping_version, account, strategy,
    unmapped_reason, period_start, model_id, batch_seq)
    values ('main', ?, ?, 2, 'u', '', '', '', 'm', 1, 0, 1, ?, '0', ?, ?, ?, 'direct', ?, ?, 1, ?)`)
  const decide = database.prepare(`insert into record_decisions (decided_source, decided_request_id,
    rule_version, verdict, decision_reason, decided_at_ms) values ('main', ?, 'r', ?, ?, 1)`)
  rows.forEach((row, i) => {
    const { excluded, seenAtMs, version, account, unmapped, batch } = row
    const period = account === null ? null : 100
    insert.run(`c${i}`, i, excluded, seenAtMs, version, account, unmapped, period, batch)
    if (row.isOut) decide.run(`c${i}`, 'exclude', 'not billed')
    else if (i % 13 === 0) decide.run(`c${i}`, 'count', null)
  })
  // Vault 1 waits for its operator: it is counted, and has no age.
  database.exec(`insert into entry_stops (stop_id, account, period_start, cause, why, stopped_at_ms)
    values (1, '1', 100, 'above_history', 'dear', 1)`)
  database.close()
}

test('the counts are those of a look at every record', async () => {
  const rows = Array.from({ length: RECORDS }, (_, i) => rowOf(i))
  fill(rows)
  const waits = (row: Row) => row.excluded === null && row.batch === null && !row.isOut
  const fresh = rows.filter((row) => waits(row) && row.version === null)
  const unmapped = rows.filter((row) => waits(row) && row.unmapped !== null)
  const attributed = rows.filter((row) => waits(row) && row.account !== null)
  const ageing = attributed.filter(({ account }) => account !== '1')
  const oldest = (some: readonly Row[]) => Math.min(...some.map(({ seenAtMs }) => seenAtMs))
  expect([fresh, unmapped, attributed, ageing].every(({ length }) => length > 20)).toBe(true)
  expect(await store.records.counts()).toEqual({
    records: RECORDS,
    excluded: rows.filter(({ excluded }) => excluded !== null).length,
    rejects: 0,
    unattributed: fresh.length,
    unmapped: unmapped.length,
    attributed: attributed.length,
    claimed: rows.filter(({ batch }) => batch !== null).length,
    waitingSinceMs: {
      unattributed: oldest(fresh),
      unmapped: oldest(unmapped),
      attributed: oldest(ageing),
    },
  })
})

test('of nothing there is nothing', async () => {
  const none = { unattributed: undefined, unmapped: undefined, attributed: undefined }
  const { waitingSinceMs, ...counts } = await store.records.counts()
  expect(Object.values(counts)).toEqual([0, 0, 0, 0, 0, 0, 0])
  expect(waitingSinceMs).toEqual(none)
})
