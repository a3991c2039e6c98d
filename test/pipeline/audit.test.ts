import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AUDITED, audit } from '../../src/pipeline/audit.js'
import { CORRECTED, settleCorrectedBatches } from '../support/corrected-batches.js'
import { type Daemon, RECEIPT_SECRET, World } from '../support/world.js'

const { signal } = new AbortController()

let world: World
let daemon: Daemon

beforeEach(async () => {
  world = new World()
  daemon = await world.boot()
  await settleCorrectedBatches(world, daemon)
})
afterEach(() => world.file.remove())

function auditNow() {
  const { flare: history, flow: settler } = world
  const parts = { store: daemon.store, history, settler }
  return audit({ ...parts, receiptSecret: RECEIPT_SECRET }, signal)
}

const differing = async () =>
  Object.entries(await auditNow()).flatMap(([name, value]) => (value === 0n ? [] : [name]))

test('everything is 0, and everything is explained', async () => {
  const checks = await auditNow()
  expect(await differing()).toEqual([])
  expect(Object.keys(checks).sort()).toEqual(Object.keys(AUDITED).sort())
})

// Goal: an audit that finds nothing is worth nothing. Method: break what each check is about, in the
// store of a daemon whose own checks look at the newest batches alone.
describe('finds', () => {
  test.each([
    [
      'a record with other tokens',
      'update usage_records set completion_tokens = 51',
      'records_vs_entries',
    ],
    [
      'a record taken out',
      "delete from usage_records where request_id = 'first 1'",
      'records_vs_totals',
    ],
    ['a record that moved', 'update usage_records set model_id = 2', 'records_vs_entries'],
    ['another total', 'update usage_totals set requests = requests + 1', 'totals_vs_entries'],
    [
      'an entry that says more',
      "update entries set bytes = substr(bytes, 1, length(bytes) - 1) || '9'",
      'roots',
    ],
    ['another leaf', `update entries set leaf = '0x${'11'.repeat(32)}'`, 'roots'],
    ['another manifest', "update batches set manifest_json = '{}' where seq = 1", 'manifests'],
    ['another signature', `update batches set signature = '0x${'22'.repeat(65)}'`, 'signatures'],
    [
      'another root before',
      `update batches set prev_root = '0x${'33'.repeat(32)}' where seq = 2`,
      'prev_roots',
    ],
    [
      'another header than anchored',
      'update batches set sealed_at = sealed_at + 1 where seq = 1',
      'anchors',
    ],
    ['a log that was rewritten', "update operator_log set reason = 'none'", 'operator_log'],
  ])('%s', async (_, change, name) => {
    const database = new Database(world.file.path)
    database.exec(change)
    database.close()
    expect(await differing()).toContain(name)
  })

  test('a root that Flow has otherwise', async () => {
    world.flow.accepted.set(1n, world.flow.identity.target)
    expect(await differing()).toEqual(['accepted_roots'])
  })

  test('a batch that was anchored elsewhere', async () => {
    const [first] = world.flare.anchors
    if (first === undefined) throw new Error('nothing is anchored')
    const header = { ...first.header, seq: 3n as never }
    world.flare.anchors.push({ ...first, header })
    expect(await differing()).toEqual(['anchors'])
  })

  test('a correction that nobody recorded', async () => {
    world.flow.correctNow(CORRECTED, 0n, 2n)
    await daemon.run('reconcile')
    expect(await differing()).toEqual(['totals_vs_applied', 'corrections_unrecorded'])
  })
})
