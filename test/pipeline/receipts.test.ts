import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseReceipts, receiptsJson } from '../../src/cli/receipts-file.js'
import { receiptsTools } from '../../src/cli/receipts-tools.js'
import { hash, keccak, utf8 } from '../../src/domain/bytes.js'
import { entryBytes, readEntry } from '../../src/domain/entry.js'
import { accountNumber } from '../../src/domain/ids.js'
import type { BatchReceipt, Receipts } from '../../src/domain/receipts.js'
import { checkReceipts } from '../../src/pipeline/check-receipts.js'
import { matchReceipts } from '../../src/pipeline/match-receipts.js'
import { makeReceipts, statedPeriods } from '../../src/pipeline/receipts.js'
import type { PublicDesk } from '../../src/ports/desk.js'
import { COMPLETE_ENV } from '../cli/settings.js'
import { OCTOBER_S, SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { type Daemon, RECEIPT_SECRET, World } from '../support/world.js'

// Goal: a customer finds out by themselves, from a file that the provider wrote, whether their bill
// is the sum of their calls. Method: two batches of two vaults; then the file is changed in every
// way that would make a bill larger, or hide that it is.

const KEY = { accountNumber: accountNumber(7n), periodStart: SEPTEMBER_S }

let world: World
let daemon: Daemon
let made: Receipts

beforeAll(async () => {
  world = new World({ intervalMs: 60_000 })
  for (const account of [7n, 9n]) world.flow.openVault(account, SEPTEMBER_S)
  world.tick()
  daemon = await world.boot()
  const now = () => world.clock.now() - 1_000
  world.use(
    usageRecord('mine 1', { user: '7', startedAtMs: now() }),
    usageRecord('mine 2', { user: '7', startedAtMs: now(), model: 'gpt-3.5-turbo' }),
    usageRecord('theirs 1', { user: '9', startedAtMs: now() }),
  )
  await daemon.runRounds(8)
  world.use(
    usageRecord('mine 3', { user: '7', startedAtMs: now() }),
    usageRecord('theirs 2', { user: '9', startedAtMs: now() }),
  )
  await daemon.runRounds(12)
  made = await makeReceipts(KEY, { provider: 1n, receiptSecret: RECEIPT_SECRET }, daemon.store)
})
afterAll(() => world.file.remove())

test('every call of the period stands in them once, under the roots of its batches', () => {
  expect(made.batches.map(({ header }) => header.seq)).toEqual([1n, 2n])
  const ids = made.batches.map(({ records }) => records.map(({ key }) => key.requestId))
  expect(ids).toEqual([['mine 1', 'mine 2'], ['mine 3']])
  const checked = checkReceipts(made)
  expect(checked).toMatchObject({ problems: [], calls: 3 })
  expect(checked.stated?.rows.map(({ requests }) => requests).sort()).toEqual([1n, 2n])
})

test('the file gives the same back, and nothing of another customer but hashes', () => {
  const file = receiptsJson(made)
  expect(parseReceipts(JSON.parse(file))).toEqual(made)
  expect(file).not.toContain('theirs')
  expect(file).not.toContain(RECEIPT_SECRET)
})

test('the periods of an account are those that a batch states', async () => {
  expect(await statedPeriods(daemon.store, 7n)).toEqual([SEPTEMBER_S])
  expect(await statedPeriods(daemon.store, 8n)).toEqual([])
})

/** The receipts with one batch changed. */
function changed(index: number, change: (batch: BatchReceipt) => BatchReceipt): Receipts {
  return { ...made, batches: made.batches.map((one, i) => (i === index ? change(one) : one)) }
}

const withRecords =
  (map: (records: BatchReceipt['records']) => BatchReceipt['records']) =>
  (batch: BatchReceipt): BatchReceipt => ({ ...batch, records: map(batch.records) })

describe('receipts that were tampered with', () => {
  const attacks: Record<string, [() => Receipts, RegExp]> = {
    'a call with more tokens': [
      () =>
        changed(
          0,
          withRecords(([first, ...rest]) =>
            first === undefined ? [] : [{ ...first, promptTokens: 5_000n }, ...rest],
          ),
        ),
      /not those that the entry commits to/,
    ],
    'a call that was never made': [
      () =>
        changed(
          1,
          withRecords((records) =>
            records.flatMap((one) => [one, { ...one, key: { ...one.key, requestId: 'invented' } }]),
          ),
        ),
      /not those that the entry commits to/,
    ],
    'the same call in two batches': [
      () =>
        changed(
          1,
          withRecords((records) => [...records, ...(made.batches[0]?.records ?? [])]),
        ),
      /counted twice/,
    ],
    'a call left out': [
      () =>
        changed(
          0,
          withRecords((records) => records.slice(1)),
        ),
      /not those that the entry commits to/,
    ],
    'another salt': [
      () =>
        changed(
          0,
          withRecords((records) => records.map((one) => ({ ...one, salt: hash(keccak('0x01')) }))),
        ),
      /not those that the entry commits to/,
    ],
    'a batch left out': [
      () => ({ ...made, batches: made.batches.slice(1) }),
      /it states 200 promptTokens, and the calls give 100/,
    ],
    'an entry that states more': [
      () =>
        changed(1, (batch) => {
          const entry = readEntry(batch.entry ?? '0x')
          const rows = entry.rows.map((row) => ({ ...row, completionTokens: 10_000n }))
          return { ...batch, entry: entryBytes({ ...entry, rows }) }
        }),
      /its entry is not under its root/,
    ],
    'the entry of another vault': [
      () =>
        changed(0, (batch) => {
          const entry = readEntry(batch.entry ?? '0x')
          return { ...batch, entry: entryBytes({ ...entry, accountNumber: accountNumber(9n) }) }
        }),
      /its entry is of account 9/,
    ],
    'another root': [
      () =>
        changed(0, (batch) => ({ ...batch, header: { ...batch.header, root: keccak('0x02') } })),
      /not under its root/,
    ],
    'another manifest': [
      () => changed(0, (batch) => ({ ...batch, manifestJson: '{"corrections":[]}' })),
      /its manifest is not the one that was signed/,
    ],
    'batches in another order': [
      () => ({ ...made, batches: [...made.batches].reverse() }),
      /comes after a later one/,
    ],
    'a batch without its entry': [
      () => changed(0, ({ entry: _entry, ...batch }) => batch),
      /calls, and no entry/,
    ],
    'an entry that is no entry': [
      () => changed(0, (batch) => ({ ...batch, entry: '0x0102' })),
      /its entry cannot be read/,
    ],
  }
  test.each(Object.entries(attacks))('%s', (_name, [attack, problem]) => {
    expect(checkReceipts(attack()).problems.join('\n')).toMatch(problem)
  })
})

// A correction is the only thing that lowers a total, and it is as public as the batch that lists it.
test('what a manifest says was taken back is taken off the sum', () => {
  const [first] = made.batches
  if (first === undefined) throw new Error('there is no batch')
  const entry = readEntry(first.entry ?? '0x')
  const corrections = [
    {
      account: '7',
      periodStart: SEPTEMBER_S.toString(),
      taken: entry.rows.map((row) => ({
        modelId: row.modelId.toString(),
        promptTokens: row.promptTokens.toString(),
        cachedPromptTokens: row.cachedPromptTokens.toString(),
        completionTokens: row.completionTokens.toString(),
        requests: row.requests.toString(),
      })),
    },
  ]
  const manifestJson = JSON.stringify({ corrections })
  const header = { ...first.header, seq: 3n as never, manifest: keccak(utf8(manifestJson)) }
  const correcting = { header, manifestJson, leaves: [], path: [], records: [] }
  expect(checkReceipts({ ...made, batches: [first, correcting] }).problems).toEqual([])
  // What is stated after it has to be lower: here it is as if nothing had been taken.
  const { problems } = checkReceipts({
    ...made,
    batches: [first, correcting, ...made.batches.slice(1)],
  })
  expect(problems.join('\n')).toContain('and the calls give')
})

test.each([
  ['nothing', undefined],
  ['another format', { format: 'flowmeter.plan.v1' }],
])('%s is told apart from receipts', (_name, json) => {
  expect(() => parseReceipts(json)).toThrow(/These are no receipts/)
})

test('more cached tokens than prompt tokens, and numbers that are no text, are told', () => {
  const file = JSON.parse(receiptsJson(made))
  file.batches[0].records[0].cachedPromptTokens = '101'
  file.batches[0].records[1].promptTokens = 7
  expect(() => parseReceipts(file)).toThrow(/more is cached than prompted[\s\S]*expected string/)
})

// Goal: what Flow says differently is told. Method: a chain that says what the test wants it to; that
// the real one is read right is shown against the emulator.
describe('receipts held against the chain', () => {
  const signal = new AbortController().signal
  const chain = (
    changes: Partial<Record<'charged' | 'lastSeq', bigint>>,
    roots = rootsOf(made),
  ) => {
    const { charged = 5n, lastSeq = 2n } = changes
    const plans = [{ fromPeriodStart: SEPTEMBER_S, planId: 1n }]
    const vault = { account: 7n, plans, period: 'month' }
    return {
      meter: async () => made.batches[0]?.meter?.address,
      roots: async () => roots,
      applied: async () => ({ ...KEY, meterEpoch: 1, lastSeq, billable: 1n, charged }),
      vaults: async () => [vault],
      quote: async () => ({ billable: 1n, price: 5n }),
    } as unknown as PublicDesk
  }
  const rootsOf = ({ batches }: Receipts) => batches.map(({ header }) => header.root)

  test('all is as it should be', async () => {
    const matched = await matchReceipts(made, chain({}), signal)
    expect(matched).toEqual({ problems: [], notes: [], charged: 5n, price: 5n })
  })

  test('of a meter that was revoked Flow holds no root: said once, and no problem', async () => {
    const desk = { ...chain({}), meter: async () => `0x${'99'.repeat(20)}` as const }
    const { problems, notes } = await matchReceipts(made, desk, signal)
    expect(problems).toEqual([])
    expect(notes).toEqual([expect.stringMatching(/^2 batches are of a meter that is revoked/)])
  })

  test('a charge above the plan’s price', async () => {
    const { problems } = await matchReceipts(made, chain({ charged: 6n }), signal)
    expect(problems).toEqual([expect.stringMatching(/^Flow charged .*, and its plan gives /)])
  })

  test('a charge below it comes from a correction that is not stated yet', async () => {
    const { problems, notes } = await matchReceipts(made, chain({ charged: 4n }), signal)
    expect(problems).toEqual([])
    expect(notes).toEqual([expect.stringContaining('a correction has lowered it')])
  })

  test('a call of the next period', async () => {
    const startedAtMs = OCTOBER_S * 1000
    const late = changed(
      1,
      withRecords((all) => all.map((one) => ({ ...one, startedAtMs }))),
    )
    const { problems } = await matchReceipts(late, chain({}), signal)
    expect(problems).toEqual(['the call main/mine 3 is after the period'])
  })

  test('a root that Flow holds and the receipts do not', async () => {
    const roots = [keccak('0x03'), ...rootsOf(made).slice(1)]
    const { problems } = await matchReceipts(made, chain({}, roots), signal)
    expect(problems).toEqual([`batch 1: Flow holds the root ${keccak('0x03')}`])
  })

  test('a total that came from a batch that was not shown', async () => {
    const more = chain({ lastSeq: 3n, charged: 6n })
    const { problems } = await matchReceipts(made, more, signal)
    expect(problems).toEqual([expect.stringContaining('applied from batch 3, and its plan gives')])
  })

  test('what is not there yet, or no more, is a note', async () => {
    const roots = rootsOf(made).slice(0, 1)
    const { problems, notes } = await matchReceipts(made, chain({ lastSeq: 1n }, roots), signal)
    expect(problems).toEqual([])
    expect(notes).toEqual([
      expect.stringContaining('Flow holds no root of batch 2'),
      'batch 2 is not applied on Flow yet',
    ])
  })
})

test('are made of a store that is there: a wrong address makes no new one', async () => {
  const missing = join(tmpdir(), 'flowmeter-no-such-store.sqlite')
  const env = { ...COMPLETE_ENV, DATABASE_URL: `sqlite:${missing}` }
  await expect(receiptsTools(env, tmpdir()).make(7n, undefined)).rejects.toMatchObject({
    code: 'no_store',
  })
  expect(existsSync(missing)).toBe(false)
})
