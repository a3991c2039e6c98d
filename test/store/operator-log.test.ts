import Database from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ZERO_HASH } from '../../src/domain/bytes.js'
import { canonicalJson } from '../../src/domain/canonical-json.js'
import { batchSeq } from '../../src/domain/ids.js'
import { logEntryHash } from '../../src/domain/operator-log.js'
import { verifyLog } from '../../src/pipeline/operator-log.js'
import type { Store } from '../../src/ports/stores.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS } from '../support/usage.js'

const clock = new ManualClock(EVENING_MS)
const did = { who: 'ann', verb: 'parked retry', arguments: { batch: '3' }, reason: 'looked at it' }
let file: StoreFile
let store: Store

beforeEach(async () => {
  file = new StoreFile(clock)
  store = await file.open()
})
afterEach(() => file.remove())

test('each entry has the hash of the one before, and the newest is the head', async () => {
  expect(await store.operatorLog.head()).toBe(ZERO_HASH)
  const first = await store.operatorLog.append(did)
  clock.pass(1_000)
  const second = await store.operatorLog.append({ ...did, reason: 'once more' })
  expect([first.prevHash, second.prevHash]).toEqual([ZERO_HASH, first.hash])
  expect(await store.operatorLog.head()).toBe(second.hash)
  expect(second.hash).toBe(logEntryHash(second))
  expect(await store.operatorLog.entries(2, 10)).toEqual([second])
  expect(await verifyLog(store)).toEqual([])
})

// Goal: nobody can change what was written, not even all of it at once, without being found out.
test.each([
  [
    'a reason',
    "update operator_log set reason = 'none' where log_id = 1",
    'is not what was written',
  ],
  ['who it was', "update operator_log set who = 'bob' where log_id = 2", 'is not what was written'],
  ['one taken out', 'delete from operator_log where log_id = 2', 'does not follow'],
  ['the newest taken out', 'delete from operator_log where log_id = 3', 'not in the log'],
  ['all of them', 'delete from operator_log', 'not in the log'],
])('verify finds %s', async (_, change, what) => {
  for (let i = 0; i < 3; i += 1) await store.operatorLog.append(did)
  const manifest = canonicalJson({ operatorLog: await store.operatorLog.head() })
  const header = {
    seq: batchSeq(1n),
    ...{ root: ZERO_HASH, prevRoot: ZERO_HASH, target: ZERO_HASH, manifest: ZERO_HASH },
    sealedAt: 1,
  }
  await store.batches.add(header, manifest, [])
  expect(await verifyLog(store)).toEqual([])
  const database = new Database(file.path)
  database.exec(change)
  database.close()
  const faults = await verifyLog(store)
  expect(faults.map((fault) => fault.what).join(' ')).toContain(what)
})
