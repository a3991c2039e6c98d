import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BatchHeader } from '../../src/domain/batch.js'
import { keccak, utf8, ZERO_HASH } from '../../src/domain/bytes.js'
import { ALL_ACCOUNTS, accountNumber, batchId, batchSeq, modelId } from '../../src/domain/ids.js'
import { wad } from '../../src/domain/money.js'
import { accountRanges, allBatches, parkedBatches } from '../../src/pipeline/in-parts.js'
import { entriesToRestate, nameOf } from '../../src/pipeline/restate.js'
import type { Store, Stores } from '../../src/ports/stores.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS, OCTOBER_S, SEPTEMBER_S } from '../support/usage.js'

const ENTRIES_A_RANGE = 1_000
const VAULTS = 1_300
const PERIODS = [SEPTEMBER_S, OCTOBER_S]

let file: StoreFile
let store: Store

beforeEach(async () => {
  file = new StoreFile(new ManualClock(EVENING_MS))
  store = await file.open()
})
afterEach(() => file.remove())

const header = (seq: bigint): BatchHeader => ({
  seq: batchSeq(seq),
  root: keccak(utf8(`root ${seq}`)),
  prevRoot: ZERO_HASH,
  sealedAt: 1_790_283_600,
  target: ZERO_HASH,
  manifest: ZERO_HASH,
})

const usage = {
  modelId: modelId(1),
  promptTokens: 10n,
  cachedPromptTokens: 0n,
  completionTokens: 2n,
  requests: 1n,
}

/** Accounts far apart, up to the last there is; what Flow has seen goes beyond what is stated here. */
const accountAt = (i: number) => accountNumber(((2n ** 64n - 1n) / BigInt(VAULTS)) * BigInt(i + 1))

async function fill({ totals, batches, books }: Stores): Promise<void> {
  await batches.add(header(1n), '{}', [])
  for (let i = 0; i < VAULTS; i += 1) {
    const accountNumber = accountAt(i)
    for (const periodStart of PERIODS) {
      if (i % 2 === 0) await totals.save({ accountNumber, periodStart }, [usage], batchId(1n))
    }
    const record = { accountNumber, meterEpoch: 1, lastSeq: 0n, billable: 0n, charged: wad(0n) }
    await books.saveApplied(PERIODS.map((periodStart) => ({ ...record, periodStart })))
  }
}

// Goal: what walks over everything holds a bounded part of it, and leaves nothing out. Method: more than
// a range holds, on the chain and in the store, in every part of the number line.
test('all accounts come once, a bounded number of (vault, period)s at a time', async () => {
  await store.transaction(fill)
  const [stated, applied]: [string[], string[]] = [[], []]
  let before = -1n
  for await (const range of accountRanges(store)) {
    expect(range.from).toBe(before + 1n)
    before = range.to
    const [rows, seen] = [await store.totals.all(range), await store.books.applied(range)]
    expect(Math.max(rows.length, seen.length)).toBeLessThanOrEqual(
      ENTRIES_A_RANGE + PERIODS.length - 1,
    )
    expect((await store.totals.rows(range)).length).toBe(rows.length)
    stated.push(...rows.map(nameOf))
    applied.push(...seen.map(nameOf))
  }
  expect(before).toBe(ALL_ACCOUNTS.to)
  expect(stated).toEqual((await store.totals.all(ALL_ACCOUNTS)).map(nameOf))
  expect(applied).toEqual((await store.books.applied(ALL_ACCOUNTS)).map(nameOf))
  expect([stated.length, applied.length]).toEqual([VAULTS, VAULTS * 2])
})

test('no more is restated at once than a batch takes in, and the rest afterwards', async () => {
  await store.transaction(fill)
  const parked = { state: 'parked', reason: 'refused', from: { state: 'accepted' } } as const
  await store.batches.saveLife(batchId(1n), parked)
  const some = await entriesToRestate(store, EVENING_MS, 10)
  expect(some).toHaveLength(10)
  const all = await entriesToRestate(store, EVENING_MS)
  expect(all.slice(0, 10)).toEqual(some)
  expect(all).toHaveLength(VAULTS)
  await store.stops.add(accountKey(some[0]), 'above_day_limit', 'a test')
  expect((await entriesToRestate(store, EVENING_MS, 10)).map(nameOf)).not.toContain(
    nameOf(accountKey(some[0])),
  )
})

function accountKey(key: { accountNumber: bigint; periodStart: number } | undefined) {
  if (key === undefined) throw new Error('there is none')
  return { accountNumber: accountNumber(key.accountNumber), periodStart: key.periodStart }
}

test('batches come page by page, each once, in order', async () => {
  const seqs = Array.from({ length: 205 }, (_, i) => BigInt(i + 1))
  await store.transaction(async ({ batches }) => {
    for (const seq of seqs) {
      await batches.add(header(seq), '{}', [])
      const parked = { state: 'parked', reason: `${seq}`, from: { state: 'accepted' } } as const
      if (seq % 2n === 0n) await batches.saveLife(batchId(seq), parked)
    }
  })
  const seen: bigint[] = []
  for await (const batch of allBatches(store)) seen.push(batch.header.seq)
  expect(seen).toEqual(seqs)
  const parked: string[] = []
  for await (const { life } of parkedBatches(store)) parked.push(life.reason)
  expect(parked).toEqual(seqs.filter((seq) => seq % 2n === 0n).map(String))
  expect(await store.batches.parked(5n, 2)).toMatchObject([{ id: 6n }, { id: 8n }])
})
