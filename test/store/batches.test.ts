import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BatchHeader, BatchLife } from '../../src/domain/batch.js'
import { keccak, utf8, ZERO_HASH } from '../../src/domain/bytes.js'
import { entryBytes } from '../../src/domain/entry.js'
import { ALL_ACCOUNTS, accountNumber, batchId, batchSeq, modelId } from '../../src/domain/ids.js'
import type { BatchProof } from '../../src/domain/proof.js'
import type { UsageTotal } from '../../src/domain/usage-total.js'
import type { NewEntry, Store } from '../../src/ports/stores.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS, OCTOBER_S, SEPTEMBER_S } from '../support/usage.js'

const U64_MAX = accountNumber(2n ** 64n - 1n)
const some = (text: string) => keccak(utf8(text))
const signature = `0x${'ab'.repeat(65)}` as const
const clock = new ManualClock(EVENING_MS)

const header = (seq: bigint): BatchHeader => ({
  seq: batchSeq(seq),
  root: some(`root ${seq}`),
  prevRoot: seq === 1n ? ZERO_HASH : some(`root ${seq - 1n}`),
  sealedAt: 1_790_283_600,
  target: some('target'),
  manifest: some('manifest'),
})

const row = (id: number, promptTokens = 10n): UsageTotal => ({
  modelId: modelId(id),
  promptTokens,
  cachedPromptTokens: 1n,
  completionTokens: 2n,
  requests: 3n,
})

function entry(account: bigint, periodStart: number, position: number): NewEntry {
  const key = { accountNumber: accountNumber(account), periodStart, recordsRoot: some('records') }
  const bytes = entryBytes({ ...key, rows: [row(1, 2n ** 64n - 1n)] })
  return { ...key, position, bytes, leaf: keccak(bytes) }
}

const proof: BatchProof = {
  header: header(1n),
  meter: '0x7e5f4552091a69125d5dfcb7b8c2659029395bdf',
  attested: {
    round: 1_465_067,
    txHash: some('tx'),
    logIndex: 3,
    blockNumber: 2n ** 64n - 1n,
    timestamp: 1_790_283_600n,
    sourceAddress: '0x00',
    receivingAddress: '0x01',
    isDeployment: false,
    value: 2n ** 255n,
    input: 'zero_byte',
  },
  path: [some('a'), some('b')],
  rootProof: {
    round: 1_465_067,
    root: some('round'),
    rewardEpoch: 12,
    signatures: [{ index: 0, publicKey: '0x02', signature: '0x03' }],
  },
}

let file: StoreFile
let store: Store

beforeEach(async () => {
  file = new StoreFile(clock)
  store = await file.open()
})
afterEach(() => file.remove())

describe('batches', () => {
  const entries = [
    entry(7n, SEPTEMBER_S, 0),
    entry(7n, OCTOBER_S, 1),
    entry(U64_MAX, SEPTEMBER_S, 2),
  ]

  test('come back as they were sealed, with the largest accounts', async () => {
    await store.batches.add(header(1n), '{"a":"1"}', entries)
    const batch = {
      id: 1n,
      header: header(1n),
      life: { state: 'sealed' },
      manifestJson: '{"a":"1"}',
      signature: undefined,
      proof: undefined,
      changedAtMs: clock.now(),
    }
    expect(await store.batches.last()).toEqual(batch)
    expect(await store.batches.get(batchId(1n))).toEqual(batch)
    expect(await store.batches.get(batchId(2n))).toBeUndefined()
    const stored = await store.batches.entries(batchId(1n))
    expect(stored).toEqual(
      entries.map(({ recordsRoot, ...rest }) => ({
        batch: 1n,
        ...rest,
        result: undefined,
        txId: undefined,
      })),
    )
    expect(stored.map((one) => keccak(one.bytes))).toEqual(stored.map(({ leaf }) => leaf))
  })

  test('are never added twice, and never with the same entry twice', async () => {
    await store.batches.add(header(1n), '{}', entries)
    await expect(store.batches.add(header(1n), '{}', entries)).rejects.toThrow('UNIQUE')
    const twice = [entry(7n, SEPTEMBER_S, 0), entry(7n, SEPTEMBER_S, 1)]
    await expect(store.batches.add(header(2n), '{}', twice)).rejects.toThrow('UNIQUE')
  })

  test('keep signature, life and proof, with every integer exact', async () => {
    await store.batches.add(header(1n), '{}', entries)
    const seq = batchId(1n)
    const anchor = { txHash: some('tx'), blockNumber: 5, logIndex: 1 }
    const life: BatchLife = {
      state: 'parked',
      reason: 'why: "so"',
      from: { state: 'attested', round: 7, anchor, missedRounds: [1, 3] },
    }
    clock.pass(5_000)
    await store.batches.saveSignature(seq, signature)
    await store.batches.saveProof(seq, proof)
    await store.batches.saveLife(seq, life)
    expect(await store.batches.get(seq)).toMatchObject({
      signature,
      life,
      proof,
      changedAtMs: clock.now(),
    })
  })

  test('are found by state, oldest first, and counted', async () => {
    for (const seq of [1n, 2n, 3n]) await store.batches.add(header(seq), '{}', entries)
    await store.batches.saveLife(batchId(1n), { state: 'settled' })
    const oldest = async (...states: BatchLife['state'][]) =>
      (await store.batches.oldestIn(...states))?.header.seq
    expect(await oldest('sealed')).toBe(2n)
    expect(await oldest('settled', 'sealed')).toBe(1n)
    expect(await oldest('parked')).toBeUndefined()
    expect((await store.batches.newest(2)).map((batch) => batch.header.seq)).toEqual([3n, 2n])
    expect((await store.batches.last())?.header.seq).toBe(3n)
    const counts = await store.batches.counts()
    expect(counts.states).toEqual({ sealed: 2, settled: 1 })
    expect(counts.oldestChangeAtMs.sealed).toBe(clock.now())
  })

  test('know no other states', async () => {
    await store.batches.add(header(1n), '{}', entries)
    const unknown = { state: 'lost' } as unknown as BatchLife
    await expect(store.batches.saveLife(batchId(1n), unknown)).rejects.toThrow('CHECK')
  })

  test('have results for each entry; what was applied stays applied', async () => {
    for (const seq of [1n, 2n]) await store.batches.add(header(seq), '{}', entries)
    const key = { accountNumber: U64_MAX, periodStart: SEPTEMBER_S }
    const result = async () =>
      (await store.batches.entries(batchId(1n))).map((one) => [one.result, one.txId])
    await store.totals.save(key, [], batchId(1n))
    await store.batches.saveResult(batchId(1n), key, 'held', 'tx1')
    expect(await result()).toEqual([
      [undefined, undefined],
      [undefined, undefined],
      ['held', 'tx1'],
    ])
    expect((await store.batches.counts()).refusedEntries).toBe(1)
    await store.batches.saveResult(batchId(1n), key, 'applied', 'tx2')
    await store.batches.saveResult(batchId(1n), key, 'stale', 'tx3')
    expect((await result())[2]).toEqual(['applied', 'tx2'])
    expect((await store.batches.counts()).refusedEntries).toBe(0)
    // Results of batches and entries that are not ours change nothing.
    await store.batches.saveResult(batchId(9n), key, 'applied', 'tx4')
    await store.batches.saveResult(batchId(1n), { ...key, periodStart: 1 }, 'applied', 'tx4')
    expect((await result()).filter(([one]) => one === 'applied')).toHaveLength(1)
  })
})

describe('totals', () => {
  const key = { accountNumber: U64_MAX, periodStart: SEPTEMBER_S }

  test('are replaced row by row, and name the batch that states them', async () => {
    for (const seq of [1n, 2n]) await store.batches.add(header(seq), '{}', [])
    await store.totals.save(key, [row(0), row(2)], batchId(1n))
    await store.totals.save(key, [row(0, 11n), row(1), row(2)], batchId(2n))
    expect(await store.totals.of(key)).toEqual([row(0, 11n), row(1), row(2)])
    expect(await store.totals.of({ ...key, periodStart: OCTOBER_S })).toEqual([])
    expect(await store.totals.all(ALL_ACCOUNTS)).toEqual([{ ...key, statedBy: 2n }])
    const other = { accountNumber: accountNumber(7n), periodStart: OCTOBER_S }
    await store.totals.save(other, [row(5)], batchId(2n))
    expect(await store.totals.all(ALL_ACCOUNTS)).toEqual([
      { ...other, statedBy: 2n },
      { ...key, statedBy: 2n },
    ])
    const rows = await store.totals.rows(ALL_ACCOUNTS)
    expect(rows).toHaveLength(4)
    expect(rows).toContainEqual({ ...other, ...row(5) })
  })

  test('are stated by a batch that is there', async () => {
    await expect(store.totals.save(key, [row(0)], batchId(4n))).rejects.toThrow('FOREIGN KEY')
  })
})
