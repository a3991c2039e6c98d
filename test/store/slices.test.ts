import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ALL_ACCOUNTS, accountNumber, batchId, purpose } from '../../src/domain/ids.js'
import { type Ufix64Units, wad } from '../../src/domain/money.js'
import type { SignedTx, TxId } from '../../src/ports/lane.js'
import type { AppliedRecord, Balance, Vault } from '../../src/ports/settler.js'
import type { ChainView, SavedTx, Store } from '../../src/ports/stores.js'
import { defaultPlan } from '../../src/pricing/default-plan.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS, OCTOBER_S, SEPTEMBER_S } from '../support/usage.js'

const U64_MAX = accountNumber(2n ** 64n - 1n)
const clock = new ManualClock(EVENING_MS)
let file: StoreFile
let store: Store

beforeEach(async () => {
  file = new StoreFile(clock)
  store = await file.open()
})
afterEach(() => file.remove())

describe('the outbox', () => {
  const tx = (id: string): SignedTx => ({ id: id as TxId, bytes: `bytes of ${id}` })
  const anchor = purpose.anchor(batchId(1n))
  const request = purpose.request(batchId(1n), 0)
  const openOn = async (lane: string): Promise<SavedTx> => {
    const open = await store.outbox.openOn(lane)
    if (open === undefined) throw new Error(`nothing is open on ${lane}`)
    return open
  }

  test('keeps one open transaction a lane', async () => {
    expect(await store.outbox.openOn('evm')).toBeUndefined()
    expect(await store.outbox.save(anchor, 'evm', tx('a'))).toBe(true)
    expect(await store.outbox.save(request, 'evm', tx('b'))).toBe(false)
    const saved = { ...tx('a'), purpose: anchor, lane: 'evm', fate: 'open' }
    expect(await store.outbox.openOn('evm')).toEqual(saved)
    expect(await store.outbox.openOn('flow')).toBeUndefined()
    expect(await store.outbox.save(request, 'flow', tx('b'))).toBe(true)
  })

  test('keeps one open transaction a purpose, even on another lane', async () => {
    expect(await store.outbox.save(anchor, 'flow/0', tx('a'))).toBe(true)
    expect(await store.outbox.save(anchor, 'flow/1', tx('b'))).toBe(false)
    expect(await store.outbox.openOn('flow/1')).toBeUndefined()
  })

  test.each(['landed', 'refused', 'gone'] as const)(
    'makes room for another when %s',
    async (fate) => {
      await store.outbox.save(anchor, 'evm', tx('a'))
      await store.outbox.close(await openOn('evm'), fate)
      expect(await store.outbox.openOn('evm')).toBeUndefined()
      clock.pass(1)
      expect(await store.outbox.save(anchor, 'evm', tx('b'))).toBe(true)
      expect((await store.outbox.newest(5)).map((one) => [one.id, one.fate])).toEqual([
        ['b', 'open'],
        ['a', fate],
      ])
      expect(await store.outbox.newest(1)).toHaveLength(1)
    },
  )

  test('closes a transaction once: the first fate stands', async () => {
    await store.outbox.save(anchor, 'evm', tx('a'))
    const open = await openOn('evm')
    await store.outbox.close(open, 'refused')
    await store.outbox.close(open, 'landed')
    expect((await store.outbox.newest(1)).map(({ fate }) => fate)).toEqual(['refused'])
  })

  // A chain that reorganises takes a transaction back; the same call, with the same nonce and the
  // same prices, gives the same bytes and so the same id when it is signed again.
  test('takes the very same transaction again once it was closed', async () => {
    await store.outbox.save(anchor, 'evm', tx('a'))
    await store.outbox.close(await openOn('evm'), 'landed')
    expect(await store.outbox.save(anchor, 'evm', tx('a'))).toBe(true)
    expect(await openOn('evm')).toMatchObject({ id: 'a', fate: 'open' })
    expect(await store.outbox.save(anchor, 'evm', tx('a'))).toBe(false)
    expect(await store.outbox.newest(5)).toHaveLength(1)
  })

  test('does not take a closed one again while another is open', async () => {
    await store.outbox.save(anchor, 'evm', tx('a'))
    await store.outbox.close(await openOn('evm'), 'gone')
    await store.outbox.save(request, 'evm', tx('b'))
    expect(await store.outbox.save(anchor, 'evm', tx('a'))).toBe(false)
    expect((await store.outbox.newest(5)).filter(({ fate }) => fate === 'open')).toHaveLength(1)
  })
})

describe('the directory', () => {
  test('changes its version with its content, and only then', async () => {
    const { directory } = store
    const empty = await directory.version()
    await directory.set('alice', U64_MAX)
    const one = await directory.version()
    await directory.set('alice', U64_MAX)
    expect(await directory.version()).toBe(one)
    await directory.set('alice', accountNumber(1n))
    expect(new Set([empty, one, await directory.version()]).size).toBe(3)
    await directory.set('alice', U64_MAX)
    expect(await directory.version()).toBe(one)
    expect(await directory.remove('alice')).toBe(true)
    expect(await directory.remove('alice')).toBe(false)
    expect(await directory.version()).toBe(empty)
  })

  test('has another version for everybody at once, whoever changed it', async () => {
    const command = await file.open()
    const before = await store.directory.version()
    expect(await command.directory.version()).toBe(before)
    await command.directory.setAll(new Map([['alice', accountNumber(1n)]]), false)
    const after = await store.directory.version()
    expect(after).not.toBe(before)
    const undone = store.transaction(async ({ directory }) => {
      await directory.set('bob', accountNumber(2n))
      expect(await directory.version()).not.toBe(after)
      throw new Error('undone')
    })
    await expect(undone).rejects.toThrow('undone')
    expect(await command.directory.version()).toBe(after)
    await command.directory.setAll(new Map(), true)
    expect(await store.directory.version()).toBe(before)
  })

  test('finds one payer or many, letter by letter', async () => {
    const payers = Array.from({ length: 1_100 }, (_, i) => `user ${i}`)
    await store.transaction(async ({ directory }) => {
      for (const payer of payers) await directory.set(payer, accountNumber(BigInt(payer.slice(5))))
    })
    const found = await store.directory.findAll([...payers, 'nobody'])
    expect(found.size).toBe(1_100)
    expect(found.get('user 1099')).toBe(1_099n)
    expect(await store.directory.findAll([])).toEqual(new Map())
    expect(await store.directory.find('user 7')).toBe(7n)
    expect(await store.directory.find('User 7')).toBeUndefined()
    expect(await store.directory.list(2)).toEqual([
      { payer: 'user 0', account: 0n },
      { payer: 'user 1', account: 1n },
    ])
  })
})

describe('the books', () => {
  const vault = (account: bigint): Vault => ({
    account: accountNumber(account),
    isOpen: true,
    periodKind: 'month',
    openedPeriodStart: SEPTEMBER_S,
    floor: 0,
    plans: [{ fromPeriodStart: SEPTEMBER_S, planId: '1' }],
  })
  const view: ChainView = {
    vaults: [vault(7n), vault(U64_MAX)],
    models: ['gpt-4', '__proto__'],
    plans: new Map([['1', defaultPlan]]),
  }

  test('are empty until Flow was read, and then hold what it held', async () => {
    const { books } = store
    expect(await books.version()).toBe('')
    expect([await books.vaults(), await books.models(), await books.plans()]).toEqual([
      [],
      [],
      new Map(),
    ])
    await books.saveChainView(view)
    expect(await books.vaults()).toEqual(view.vaults)
    expect(await books.vaults([U64_MAX, accountNumber(99n)])).toEqual([vault(U64_MAX)])
    expect(await books.vaults([])).toEqual([])
    expect(await books.models()).toEqual(view.models)
    expect(await books.plans()).toEqual(view.plans)
  })

  test('have another version when anything in the view changed', async () => {
    const changes: ChainView[] = [
      view,
      { ...view, vaults: [vault(7n)] },
      { ...view, vaults: [{ ...vault(7n), isOpen: false }] },
      { ...view, models: ['gpt-4'] },
      { ...view, plans: new Map([['1', { ...defaultPlan, fee: wad(1n) }]]) },
    ]
    const versions = new Set<string>()
    for (const change of changes) {
      await store.books.saveChainView(change)
      versions.add(await store.books.version())
      expect(await store.books.vaults()).toEqual(change.vaults)
    }
    expect(versions.size).toBe(changes.length)
    await store.books.saveChainView(view)
    expect(versions).toContain(await store.books.version())
  })

  test('ask for more vaults than one query takes', async () => {
    const vaults = Array.from({ length: 1_001 }, (_, i) => vault(BigInt(i)))
    await store.transaction(({ books }) => books.saveChainView({ ...view, vaults }))
    expect(await store.books.vaults(vaults.map(({ account }) => account))).toHaveLength(1_001)
  })

  test('keep records, balances, checks and the height that was read', async () => {
    const { books } = store
    const record: AppliedRecord = {
      accountNumber: U64_MAX,
      periodStart: SEPTEMBER_S,
      meterEpoch: 1,
      lastSeq: 2n ** 64n - 1n,
      billable: 2n ** 200n,
      charged: wad(10n ** 30n),
    }
    await books.saveApplied([record, { ...record, periodStart: OCTOBER_S }])
    await books.saveApplied([{ ...record, charged: wad(5n) }])
    expect(await books.applied(ALL_ACCOUNTS)).toEqual([
      { ...record, charged: 5n },
      { ...record, periodStart: OCTOBER_S },
    ])
    const units = (value: bigint) => value as Ufix64Units
    const balance: Balance = {
      account: U64_MAX,
      balance: units(2n ** 64n - 1n),
      charged: wad(3n),
      paid: wad(2n),
      owed: wad(1n),
      writtenOff: wad(0n),
    }
    await books.saveBalances([balance])
    await books.saveBalances([balance])
    expect(await books.balances(ALL_ACCOUNTS)).toEqual([balance])
    expect(await books.readHeight()).toBeUndefined()
    await books.saveReadHeight(5)
    await books.saveReadHeight(9)
    expect(await books.readHeight()).toBe(9)
    const conservation = { pool: units(3n), vaultBalances: units(2n), earnings: units(1n) }
    expect(await books.checks()).toBeUndefined()
    await books.saveChecks({ pool: 0n, seq_gaps: 2n ** 70n }, conservation, EVENING_MS)
    expect(await books.checks()).toEqual({
      checks: { pool: 0n, seq_gaps: 2n ** 70n },
      conservation,
      atMs: EVENING_MS,
      compared: {},
    })
  })

  test('shows what laps over everything have found, the worse of two figures of one check', async () => {
    const { books } = store
    const none = 0n as Ufix64Units
    const conservation = { pool: none, vaultBalances: none, earnings: none }
    await books.saveChecks({ pool: 0n, roots: 2n }, conservation, EVENING_MS)
    const found = { roots: 0n, signatures: 0n }
    const unknown = { roots: 0n, signatures: 0n }
    const first = { part: 'batches', from: 21n, startedAtMs: 5, found, unknown }
    await books.saveLap('batches', first)
    expect(await books.lap('batches')).toEqual(first)
    expect(await books.lap('anchors')).toBeUndefined()
    // Before the first has ended, 0 would be a guess.
    expect((await books.checks())?.checks).toEqual({ pool: 0n, roots: 2n })
    await books.saveLap('batches', { ...first, found: { ...found, signatures: 1n } })
    expect((await books.checks())?.checks).toEqual({ pool: 0n, roots: 2n, signatures: 1n })
    const last = { found: { roots: 3n, signatures: 0n }, unknown: { roots: 4n }, endedAtMs: 7 }
    await books.saveLap('batches', { ...first, last })
    const checks = { pool: 0n, roots: 3n, signatures: 0n }
    const times = { endedAtMs: 7, startedAtMs: 5 }
    expect(await books.checks()).toMatchObject({
      checks,
      compared: { roots: { ...times, unknown: 4n }, signatures: { ...times, unknown: 0n } },
    })
    await books.forgetLaps()
    expect(await books.checks()).toMatchObject({ checks: { pool: 0n, roots: 2n }, compared: {} })
  })
})

test('the identity is bound once, and the same for ever', async () => {
  expect(await store.identity.bind('anchor', '0x01')).toBe('0x01')
  expect(await store.identity.bind('anchor', '0x02')).toBe('0x01')
  const again = await file.open()
  expect(await again.identity.bind('anchor', '0x03')).toBe('0x01')
  expect(await again.identity.bind('chain', '114')).toBe('114')
})

// Goal: whoever maps payers learns that two of them share an account, without all of them being read.
test('the version of rivals changes when an account gets or loses a second payer, and else never', async () => {
  const claim = (payer: string, account: bigint) =>
    store.payers.saveClaims(new Map([[payer, accountNumber(account)]]))
  const version = () => store.payers.rivalsVersion()
  const first = await version()
  await claim('ann', 1n)
  await claim('bob', 2n)
  await claim('ann', 1n)
  await claim('bob', 3n)
  expect(await version()).toBe(first)
  await claim('cat', 3n)
  const shared = await version()
  expect(shared).not.toBe(first)
  await claim('cat', 3n)
  await claim('dan', 4n)
  expect(await version()).toBe(shared)
  await claim('cat', 5n)
  const apart = await version()
  expect([first, shared]).not.toContain(apart)
  await store.payers.saveClaims(new Map(['x', 'y'].map((payer) => [payer, accountNumber(6n)])))
  expect(await version()).not.toBe(apart)
})
