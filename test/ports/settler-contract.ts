import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Hash, hash } from '../../src/domain/bytes.js'
import { type Entry, entryLeaf } from '../../src/domain/entry.js'
import { RetryableError } from '../../src/domain/errors.js'
import { accountNumber, batchSeq, modelId } from '../../src/domain/ids.js'
import type { BatchProof, EntryRun, PolicyProof, PolicySigners } from '../../src/domain/proof.js'
import type { EntryKey } from '../../src/domain/usage-total.js'
import type { Call, Fate } from '../../src/ports/lane.js'
import type { EntrySettled, Settler } from '../../src/ports/settler.js'
import { billableOf, priceOf } from '../../src/pricing/price.js'

/** A batch that was anchored and attested, with the runs that settle all of it. */
export interface ProvenBatch {
  readonly proof: BatchProof
  readonly runs: readonly EntryRun[]
}

/** A chain with a provider that has a meter, models and two open, funded vaults. */
export interface SettlerWorld {
  readonly settler: Settler
  /** The same provider served by somebody else: another payer of fees. */
  readonly neighbour: Settler
  /** Numbers of the vaults, ascending; number 999 is no vault. */
  readonly accounts: readonly [bigint, bigint]
  /** The current billing period of both, seconds. */
  readonly periodStart: number
  readonly meter: string
  /** The next batch of the meter, stating these entries; chunks as small as the runs. */
  prove(entries: readonly Entry[], chunkMax?: number): Promise<ProvenBatch>
  /** The signing policy after the last one that the chain knows. */
  nextPolicy(): Promise<PolicyProof>
  /** Who signs for that epoch. */
  signersOf(rewardEpoch: number): PolicySigners
  /** Returns when there is a newer block. */
  nextBlock(): Promise<void>
  /** By the provider: wad above which the charge of one entry is held; absent: none is. */
  limitCharges(maxCharge: bigint | undefined): Promise<void>
  /** By the provider: wad that a period may be charged in all, however much at once. */
  approve(key: EntryKey, chargedUpTo: bigint): Promise<void>
  /** Its customer leaves: what is owed is paid, and the vault is closed. */
  close(account: bigint): Promise<void>
  end(): Promise<void>
}

const FATE_BLOCKS_MAX = 200
const PAGES_MAX = 1_000
const NO_RECORDS = hash(`0x${'00'.repeat(32)}`)

/** What every settler promises. `begin` is called once; the tests build on one another. */
export function settlerContract(name: string, begin: () => Promise<SettlerWorld>): void {
  describe(`${name} is a settler`, () => {
    let world: SettlerWorld
    const { signal } = new AbortController()

    beforeAll(async () => {
      world = await begin()
    })
    afterAll(async () => {
      await world?.end()
    })

    async function carryOut(call: Call, settler = world.settler): Promise<Fate> {
      const tx = await settler.lanes[0].sign(call, signal)
      await settler.lanes[0].send(tx, signal)
      for (let blocks = 0; blocks < FATE_BLOCKS_MAX; blocks += 1) {
        const fate = await settler.lanes[0].fate(tx, signal)
        if (fate !== 'open') return fate
        await world.nextBlock()
      }
      throw new Error(`${call.what} is still open`)
    }

    async function accept(proof: BatchProof): Promise<void> {
      const fate = await carryOut(world.settler.acceptCall(proof))
      expect(fate, world.settler.lanes[0].lastRefusal).toBe('landed')
    }

    function entryOf(account: bigint, promptTokens: bigint): Entry {
      const usage = { cachedPromptTokens: 0n, completionTokens: 7n, requests: 1n }
      return {
        accountNumber: accountNumber(account),
        periodStart: world.periodStart,
        recordsRoot: NO_RECORDS,
        rows: [{ modelId: modelId(1), promptTokens, ...usage }],
      }
    }

    /** Everything settled since a block, read window by window. */
    async function settledFrom(height: number): Promise<readonly EntrySettled[]> {
      const events: EntrySettled[] = []
      let from = height
      for (let pages = 0; pages < PAGES_MAX; pages += 1) {
        const sealed = await world.settler.sealedHeight(signal)
        const page = await world.settler.settledSince(from, signal)
        events.push(...page.events)
        if (page.untilHeight > sealed) return events
        expect(page.untilHeight).toBeGreaterThan(from)
        from = page.untilHeight
      }
      throw new Error('the windows never end')
    }

    async function appliedOf(entry: Entry) {
      const [record] = await world.settler.applied([entry], signal)
      if (record === undefined) throw new Error('nothing was returned')
      return record
    }

    /** What the plan in force makes of an entry, computed here. */
    async function expectedOf(entry: Entry): Promise<{ billable: bigint; charged: bigint }> {
      const vaults = await world.settler.vaults(signal)
      const vault = vaults.find(({ account }) => account === entry.accountNumber)
      const planId = vault?.plans.findLast(
        ({ fromPeriodStart }) => fromPeriodStart <= entry.periodStart,
      )?.planId
      const plan = (await world.settler.plans([planId ?? ''], signal)).get(planId ?? '')
      if (plan === undefined) throw new Error('the vault has no plan in that period')
      const billable = billableOf(plan, entry.rows)
      return { billable, charged: priceOf(plan, billable) }
    }

    test('shows the stream, the vaults and the models', async () => {
      const { settler, accounts, periodStart, meter } = world
      expect(await settler.stream(signal)).toMatchObject({ meter, meterEpoch: 1, isActive: true })
      const vaults = await settler.vaults(signal)
      expect(vaults.map(({ account }) => account)).toEqual(accounts)
      for (const vault of vaults) {
        expect(vault.isOpen).toBe(true)
        expect(vault.openedPeriodStart).toBe(periodStart)
        expect(vault.floor).toBeLessThanOrEqual(periodStart)
        expect(vault.plans).toHaveLength(1)
      }
      expect((await settler.models(signal)).length).toBeGreaterThan(0)
    })

    test('a (vault, period) without usage is all zero, and the answers keep the order', async () => {
      const [first, second] = world.accounts
      const keys = [second, 999n, first].map((account) => ({
        accountNumber: accountNumber(account),
        periodStart: world.periodStart,
      }))
      const nothing = { meterEpoch: 0, lastSeq: 0n, billable: 0n, charged: 0n }
      const expected = keys.map((key) => ({ ...key, ...nothing }))
      expect(await world.settler.applied(keys, signal)).toEqual(expected)
      expect(await world.settler.applied([], signal)).toEqual([])
    })

    test('a policy is installed, and its epoch shows', async () => {
      const { lastEpoch: before } = await world.settler.lightClient(signal)
      const proof = await world.nextPolicy()
      expect(proof.rewardEpoch).toBe(before + 1)
      expect(await carryOut(world.settler.policyCall(proof))).toBe('landed')
      expect(await world.settler.lightClient(signal)).toEqual({
        ...{ lastEpoch: before + 1, proposal: undefined, poisonedRounds: [] },
      })
      for (const epoch of [before, before + 1]) {
        expect(await world.settler.policySigners(epoch, signal)).toEqual(world.signersOf(epoch))
      }
    })

    test('a policy without enough signatures is refused', async () => {
      const { lastEpoch: before } = await world.settler.lightClient(signal)
      const proof = await world.nextPolicy()
      const short = { ...proof, signatures: proof.signatures.slice(0, 1) }
      expect(await carryOut(world.settler.policyCall(short))).toBe('refused')
      expect((await world.settler.lightClient(signal)).lastEpoch).toBe(before)
    })

    test('a batch is settled at the price of its plan, whole or in runs', async () => {
      const entries = world.accounts.map((account) => entryOf(account, 150_000n))
      const { proof, runs } = await world.prove(entries, 1)
      expect(runs).toHaveLength(2)
      const { header } = proof
      expect(await world.settler.acceptedRoot(header.seq, signal)).toBeUndefined()
      await accept(proof)
      expect(await world.settler.acceptedRoot(header.seq, signal)).toBe(header.root)
      const both = [batchSeq(200n), header.seq]
      expect(await world.settler.acceptedRoots(both, signal)).toEqual([undefined, header.root])

      const from = await world.settler.sealedHeight(signal)
      for (const run of runs) {
        expect(await carryOut(world.settler.settleCall(header, [run]))).toBe('landed')
      }
      for (const entry of entries) {
        const applied = await appliedOf(entry)
        expect(applied).toMatchObject({ meterEpoch: 1, lastSeq: header.seq })
        expect(applied).toMatchObject(await expectedOf(entry))
      }
      const settled = await settledFrom(from)
      expect(settled.map(({ accountNumber: account }) => account)).toEqual(world.accounts)
      for (const { seq, result, periodStart, txId } of settled) {
        const { periodStart: expected } = world
        expect({ seq, result, periodStart }).toEqual({
          seq: header.seq,
          result: 'applied',
          periodStart: expected,
        })
        expect(txId).not.toBe('')
      }
    })

    test('a height is shown as it was, and one that is not there yet is asked for again', async () => {
      const [account] = world.accounts
      const entry = entryOf(account, 170_000n)
      const { proof, runs } = await world.prove([entry])
      await accept(proof)
      const height = await world.settler.sealedHeight(signal)
      const before = await appliedOf(entry)
      const balances = await world.settler.balances([entry.accountNumber], signal)
      const call = world.settler.settleCall(proof.header, runs)
      expect(await carryOut(call)).toBe('landed')
      expect(await appliedOf(entry)).not.toEqual(before)
      expect(await world.settler.applied([entry], signal, height)).toEqual([before])
      const then = await world.settler.balances([entry.accountNumber], signal, height)
      expect(then).toEqual(balances)
      const ahead = (await world.settler.sealedHeight(signal)) + 1_000
      await expect(world.settler.applied([entry], signal, ahead)).rejects.toThrow(RetryableError)
    })

    test('what is settled twice is settled once', async () => {
      const [account] = world.accounts
      const entry = entryOf(account, 200_000n)
      const { proof, runs } = await world.prove([entry])
      await accept(proof)
      const from = await world.settler.sealedHeight(signal)
      const call = world.settler.settleCall(proof.header, runs)
      expect(await carryOut(call)).toBe('landed')
      const once = await appliedOf(entry)
      const balanceOnce = await world.settler.balances([entry.accountNumber], signal)
      expect(await carryOut(call)).toBe('landed')
      expect(await appliedOf(entry)).toEqual(once)
      expect(await world.settler.balances([entry.accountNumber], signal)).toEqual(balanceOnce)
      const results = (await settledFrom(from)).map(({ result }) => result)
      expect(results).toEqual(['applied', 'stale'])
      // Accepting again cannot do anything either, and says so.
      expect(await carryOut(world.settler.acceptCall(proof))).toBe('refused')
      expect(world.settler.lanes[0].lastRefusal).not.toBe('')
    })

    test('what somebody else brought counts as if we had', async () => {
      const [, account] = world.accounts
      const entry = entryOf(account, 300_000n)
      const { proof, runs } = await world.prove([entry])
      const { neighbour, settler } = world
      const from = await settler.sealedHeight(signal)
      expect(await carryOut(neighbour.acceptCall(proof), neighbour)).toBe('landed')
      expect(await settler.acceptedRoot(proof.header.seq, signal)).toBe(proof.header.root)
      const theirs = neighbour.settleCall(proof.header, runs)
      expect(await carryOut(theirs, neighbour)).toBe('landed')

      const applied = await appliedOf(entry)
      expect(applied).toMatchObject({ lastSeq: proof.header.seq, ...(await expectedOf(entry)) })
      expect(await carryOut(settler.settleCall(proof.header, runs))).toBe('landed')
      expect(await appliedOf(entry)).toEqual(applied)
      const results = (await settledFrom(from)).map(({ result }) => result)
      expect(results).toEqual(['applied', 'stale'])
    })

    test('a wrong proof is refused, and nothing is applied', async () => {
      const [account] = world.accounts
      const entry = entryOf(account, 400_000n)
      const { proof, runs } = await world.prove([entry])
      await accept(proof)
      const before = await appliedOf(entry)
      const [run] = runs
      if (run === undefined) throw new Error('no run')
      const stranger: Hash = entryLeaf(entryOf(account, 1n))
      const wrong = { ...run, path: [...run.path, stranger] }
      const from = await world.settler.sealedHeight(signal)
      expect(await carryOut(world.settler.settleCall(proof.header, [wrong]))).toBe('refused')
      expect(world.settler.lanes[0].lastRefusal).toMatch(/root/)
      expect(await appliedOf(entry)).toEqual(before)
      expect(await settledFrom(from)).toEqual([])
      expect(await carryOut(world.settler.settleCall(proof.header, [run]))).toBe('landed')
      expect(await appliedOf(entry)).toMatchObject(await expectedOf(entry))
    })

    test('a proven entry that cannot be applied stops no other', async () => {
      const [account] = world.accounts
      const entries = [
        entryOf(account, 1n), // Less than was applied: regressed.
        entryOf(999n, 5n), // No such vault.
      ]
      const { proof, runs } = await world.prove(entries)
      await accept(proof)
      const from = await world.settler.sealedHeight(signal)
      expect(await carryOut(world.settler.settleCall(proof.header, runs))).toBe('landed')
      const settled = await settledFrom(from)
      expect(settled.map(({ result }) => result)).toEqual(['regressed', 'unknownAccount'])
    })

    test('all the windows from the first block on show every entry once, in order', async () => {
      const settled = await settledFrom(0)
      expect(settled).toHaveLength(10)
      const heights = settled.map(({ height }) => height)
      expect(heights).toEqual(heights.toSorted((a, b) => a - b))
      expect(settled.filter(({ result }) => result === 'applied')).toHaveLength(6)
      const ahead = (await world.settler.sealedHeight(signal)) + 1_000
      const beyond = await world.settler.settledSince(ahead, signal)
      expect(beyond).toEqual({ events: [], corrections: [], untilHeight: ahead })
    })

    test('money is conserved', async () => {
      const accounts = world.accounts.map(accountNumber)
      const balances = await world.settler.balances(accounts, signal)
      expect(balances.map(({ account }) => account)).toEqual(accounts)
      for (const { charged, paid, owed, writtenOff } of balances) {
        expect(charged).toBeGreaterThan(0n)
        expect(paid + owed + writtenOff).toBe(charged)
      }
      const { pool, vaultBalances, earnings } = await world.settler.conservation(signal)
      expect(pool - vaultBalances - earnings).toBe(0n)
      expect(balances.reduce((sum, { balance }) => sum + balance, 0n)).toBe(vaultBalances)
      expect(earnings).toBeGreaterThan(0n)
    })

    test('a charge above the provider’s limit is held, and applied once it is approved', async () => {
      const [account] = world.accounts
      const entry = entryOf(account, 700_000n)
      const { proof, runs } = await world.prove([entry])
      await accept(proof)
      const before = await appliedOf(entry)
      const balance = await world.settler.balances([entry.accountNumber], signal)
      const { charged } = await expectedOf(entry)
      const charge = charged - before.charged
      const from = await world.settler.sealedHeight(signal)
      const call = world.settler.settleCall(proof.header, runs)
      await world.limitCharges(charge - 1n)
      expect(await carryOut(call)).toBe('landed')
      expect(await appliedOf(entry)).toEqual(before)
      expect(await world.settler.balances([entry.accountNumber], signal)).toEqual(balance)
      await world.approve(entry, charged - 1n) // Not enough for all of it.
      expect(await carryOut(call)).toBe('landed')
      await world.approve(entry, charged)
      expect(await carryOut(call)).toBe('landed')
      expect(await appliedOf(entry)).toMatchObject({ lastSeq: proof.header.seq, charged })
      await world.limitCharges(undefined)
      const results = (await settledFrom(from)).map(({ result }) => result)
      expect(results).toEqual(['held', 'held', 'applied'])
    })

    test('what a closed vault used is charged, written off and never paid', async () => {
      const [, account] = world.accounts
      const entry = entryOf(account, 600_000n)
      const balanceOf = async () => {
        const [balance] = await world.settler.balances([entry.accountNumber], signal)
        if (balance === undefined) throw new Error('nothing was returned')
        return balance
      }
      await world.close(account)
      const vaults = await world.settler.vaults(signal)
      expect(vaults.map(({ isOpen }) => isOpen)).toEqual([true, false])
      const before = await balanceOf()
      const { charged: chargedBefore } = await appliedOf(entry)
      expect(before).toMatchObject({ owed: 0n })

      const { proof, runs } = await world.prove([entry])
      await accept(proof)
      const from = await world.settler.sealedHeight(signal)
      const call = world.settler.settleCall(proof.header, runs)
      for (let times = 0; times < 2; times += 1) expect(await carryOut(call)).toBe('landed')
      const results = (await settledFrom(from)).map(({ result }) => result)
      expect(results).toEqual(['writtenOff', 'stale'])
      const { charged } = await expectedOf(entry)
      expect(await appliedOf(entry)).toMatchObject({ lastSeq: proof.header.seq, charged })
      const charge = charged - chargedBefore
      expect(charge).toBeGreaterThan(0n)
      expect(await balanceOf()).toEqual({
        ...before,
        charged: before.charged + charge,
        writtenOff: before.writtenOff + charge,
      })
    })

    test('a root that was never accepted is none', async () => {
      expect(await world.settler.acceptedRoot(batchSeq(200n), signal)).toBeUndefined()
    })

    test('stops when it is told to', async () => {
      const stopped = AbortSignal.abort()
      await expect(world.settler.vaults(stopped)).rejects.toThrow(/abort/i)
      await expect(world.settler.settledSince(0, stopped)).rejects.toThrow(/abort/i)
    })

    test('the wallet has what fees are paid from', async () => {
      const { address, balance } = await world.settler.wallet(signal)
      expect(address).not.toBe('')
      expect(balance).toBeGreaterThan(0n)
    })
  })
}
