import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transaction, Wallet } from 'ethers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Anvil, startAnvil } from '../../devnet/flare/anvil.js'
import { Chain } from '../../devnet/flare/chain.js'
import { FlareChain } from '../../src/attestors/flare/chain.js'
import { RpcClient } from '../../src/attestors/flare/client.js'
import { type FlareConfig, flareConfig } from '../../src/attestors/flare/config.js'
import { type EvmCall, FlareLane } from '../../src/attestors/flare/lane.js'
import { type Hex, keccak, u64 } from '../../src/domain/bytes.js'
import { RetryableError } from '../../src/domain/errors.js'
import { batchId, purpose } from '../../src/domain/ids.js'
import { closeLane, type Delivery, deliver } from '../../src/pipeline/deliver.js'
import type { SavedTx, Store } from '../../src/ports/stores.js'
import { systemClock } from '../../src/runtime/clock.js'
import { StoreFile } from '../support/store-file.js'
import { evmKeyOf } from '../support/test-keys.js'

/*
 * Transactions that do not get through by themselves, on a node that mines only when it is told to.
 */

const GWEI = 1_000_000_000n
/** Longer than a number has to be used up. */
const GONE_AFTER_MS = 11_000
const STUCK_AFTER_MS = flareConfig.shape.stuckAfterMs.parse(undefined)
const end = new AbortController()
const { signal } = end
const file = new StoreFile(systemClock)
let folder: string
let anvil: Anvil
let chain: Chain
let store: Store
let nowMs = 0
let account = 0
let lane: FlareLane
let receiver: Hex

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'flowmeter-rescue-'))
  anvil = await startAnvil(folder)
  chain = new Chain(anvil.rpcUrl, signal)
  await chain.rpc('evm_setAutomine', [false])
  store = await file.open()
})
beforeEach(async () => {
  account += 1
  receiver = `0x${keccak(u64(account)).slice(-40)}`
  lane = laneOf()
  await chain.rpc('anvil_setNextBlockBaseFeePerGas', [quantity(GWEI)])
  await mine()
})
afterEach(async () => {
  await chain.rpc('anvil_dropAllTransactions', [])
})
afterAll(async () => {
  end.abort()
  await anvil?.stop()
  await file.remove()
  rmSync(folder, { recursive: true })
})

function quantity(value: bigint | number): string {
  return `0x${value.toString(16)}`
}

function key(): string {
  return anvil.accounts[account]?.privateKey ?? ''
}

/** Of a process of its own: it shares nothing with another but the store and the chain. */
function laneOf(more: Record<string, unknown> = {}, shown: Partial<FlareChain> = {}): FlareLane {
  const config: FlareConfig = flareConfig.parse({
    rpcUrls: anvil.rpcUrl,
    anchorAddress: `0x${'11'.repeat(20)}`,
    gasKey: key(),
    meterKey: `0x${'07'.repeat(32)}`,
    stuckAfterMs: STUCK_AFTER_MS,
    ...more,
  })
  const flareChain = new FlareChain(new RpcClient(config), config.logWindowBlocks)
  Object.assign(flareChain, shown)
  return new FlareLane({
    chain: flareChain,
    key: evmKeyOf(config.gasKey),
    config,
    explain: () => undefined,
    nowMs: () => nowMs,
  })
}

const name = () => purpose.anchor(batchId(BigInt(account)))

/** Gives one wei, so that doing it twice shows. */
function send(by = lane): Promise<Delivery> {
  const body: EvmCall = { to: receiver, data: '0x', value: 1n }
  const way = { lanes: [by], outbox: store.outbox }
  return deliver(name(), () => ({ what: 'give a wei', body }), way, signal)
}

async function given(): Promise<bigint> {
  return BigInt(String(await chain.rpc('eth_getBalance', [receiver, 'latest'])))
}

async function mine(): Promise<void> {
  await chain.rpc('evm_mine', [])
}

async function open(): Promise<SavedTx> {
  const tx = await store.outbox.openOn(lane.name)
  if (tx === undefined) throw new Error('nothing is open')
  return tx
}

async function variants(): Promise<Transaction[]> {
  return (await store.outbox.variants(await open())).map(({ bytes }) => Transaction.from(bytes))
}

/** A transaction of the same key that the lane knows nothing of. */
async function foreign(nonce: number, gwei: bigint): Promise<string> {
  const price = { maxFeePerGas: gwei * GWEI, maxPriorityFeePerGas: gwei * GWEI }
  const rest = { type: 2, chainId: 114, nonce, to: anvil.accounts[0]?.address ?? '', value: 7n }
  return new Wallet(key()).signTransaction({ ...rest, ...price, gasLimit: 21_000n })
}

async function nextNonce(): Promise<number> {
  const [address, tag] = [lane.address, 'latest']
  return Number(await chain.rpc('eth_getTransactionCount', [address, tag]))
}

describe('a price that does not suffice', () => {
  test('is raised by a tenth when the transaction has waited too long, in its place', async () => {
    await send()
    nowMs += STUCK_AFTER_MS - 1
    await send()
    expect(await variants()).toHaveLength(1)
    nowMs += 2
    await send()
    const [first, second, ...others] = await variants()
    expect(others).toEqual([])
    if (!first || !second) throw new Error('no variant was saved')
    expect([second.nonce, second.data, second.to]).toEqual([first.nonce, first.data, first.to])
    expect((second.maxFeePerGas ?? 0n) * 100n).toBeGreaterThanOrEqual(
      (first.maxFeePerGas ?? 0n) * 110n,
    )
    // The node has let the first one go for it.
    const pool = (await chain.rpc('txpool_status', [])) as { pending: string }
    expect(Number(pool.pending)).toBe(1)
    await mine()
    expect(await send()).toBe('landed')
    expect(await given()).toBe(1n)
    const [saved] = await store.outbox.newest(1)
    expect(saved).toMatchObject({ id: first.hash, landedId: second.hash, fate: 'landed' })
  })

  test('follows blocks that ask for more, at once', async () => {
    await send()
    await chain.rpc('anvil_setNextBlockBaseFeePerGas', [quantity(90n * GWEI)])
    await mine()
    expect(await given()).toBe(0n)
    await send()
    await mine()
    expect(await send()).toBe('landed')
    expect(await given()).toBe(1n)
  })

  test('stops at the cap: it is said, and what was signed goes on waiting', async () => {
    const careful = laneOf({ gasPriceMaxGwei: 50 })
    await send(careful)
    await chain.rpc('anvil_setNextBlockBaseFeePerGas', [quantity(90n * GWEI)])
    await mine()
    await expect(send(careful)).rejects.toMatchObject({ code: 'gas_price_too_high' })
    expect(await variants()).toHaveLength(1)
    await chain.rpc('anvil_setNextBlockBaseFeePerGas', [quantity(GWEI)])
    await mine()
    await send(careful)
    await mine()
    expect(await send(careful)).toBe('landed')
    expect(await given()).toBe(1n)
  })

  // Goal: a crash between saving and sending a variant, and the landing of an older one, do nothing
  // twice. Method: save without sending, mine the first, ask a lane that knows nothing.
  test('whichever variant lands, a restarted daemon finds it', async () => {
    await send()
    nowMs += STUCK_AFTER_MS + 1
    const all = await store.outbox.variants(await open())
    // A process that has only just seen it begins to wait anew.
    expect(await laneOf().rescue(all, signal)).toBeUndefined()
    const late = await lane.rescue(all, signal)
    if (late === undefined) throw new Error('nothing to rescue it with')
    expect(await store.outbox.addVariant(await open(), late)).toBe(true)
    expect(await store.outbox.addVariant(await open(), late)).toBe(true)
    expect(await variants()).toHaveLength(2)
    const saved = await open()
    await mine()
    const restarted = laneOf()
    expect(await send(restarted)).toBe('landed')
    expect(await given()).toBe(1n)
    expect(await store.outbox.addVariant(saved, late)).toBe(false)
  })
})

describe('a number that another use of the key disturbs', () => {
  test('waits in the pool under another transaction: ours outbids it', async () => {
    const nonce = await nextNonce()
    await chain.rpc('eth_sendRawTransaction', [await foreign(nonce, 10n)])
    for (let tries = 0; tries < 40; tries += 1) {
      const sent = await send().catch((error: unknown) => error)
      if (!(sent instanceof RetryableError)) break
      expect(sent.code).toBe('transaction_not_taken')
    }
    await mine()
    expect(await send()).toBe('landed')
    expect(await given()).toBe(1n)
    expect(await nextNonce()).toBe(nonce + 1)
  })

  test('is used up by another: ours is signed anew, and done once', async () => {
    const nonce = await nextNonce()
    await send()
    await chain.rpc('anvil_dropAllTransactions', [])
    await chain.rpc('eth_sendRawTransaction', [await foreign(nonce, 100n)])
    await mine()
    expect(await nextNonce()).toBe(nonce + 1)
    expect(await send()).toBe('on-its-way')
    nowMs += GONE_AFTER_MS
    await send()
    await mine()
    expect(await send()).toBe('landed')
    expect(await given()).toBe(1n)
    expect(await nextNonce()).toBe(nonce + 2)
  })

  // Goal: nothing is paid twice because of one URL with many nodes behind it. Method: it landed, the
  // account's number says so, and the node that is asked for the receipt has not come to the block.
  test('is used up by ours, which not every node shows yet: it is not signed anew', async () => {
    await send()
    await mine()
    const behind = laneOf({}, { receipt: async () => null })
    expect(await send(behind)).toBe('on-its-way')
    await mine()
    expect(await given()).toBe(1n)
    expect(await send()).toBe('landed')
  })

  // Goal: a chain that takes a transaction back leaves a gap before ours, which nothing would fill.
  // Method: let one land, take its block back and its transaction away; the next is signed already.
  test('is missing before ours: the gap is filled, and nothing is done for it', async () => {
    const before = await nextNonce()
    const snapshot = await chain.rpc('evm_snapshot', [])
    await chain.rpc('eth_sendRawTransaction', [await foreign(before, 100n)])
    await mine()
    await send()
    expect((await variants())[0]?.nonce).toBe(before + 1)
    await chain.rpc('evm_revert', [snapshot])
    await chain.rpc('anvil_dropAllTransactions', [])
    expect(await nextNonce()).toBe(before)
    await send()
    await mine()
    expect(await nextNonce()).toBe(before) // Alone it does not go.
    nowMs += STUCK_AFTER_MS + 1
    await send()
    await mine()
    await send()
    await mine()
    expect(await nextNonce()).toBe(before + 2)
    await closeLane(lane, store.outbox, signal)
    expect(await store.outbox.openOn(lane.name)).toBeUndefined()
    expect(await given()).toBe(1n)
  })

  // Goal: whatever numbers others burnt or a reorganisation took back, less than a minute later all
  // goes on, with the store as it is. Method: three numbers are missing, then five are used up.
  test('heals in under a minute, however many numbers are missing or burnt', async () => {
    const before = await nextNonce()
    const snapshot = await chain.rpc('evm_snapshot', [])
    for (const nonce of [0, 1, 2]) {
      await chain.rpc('eth_sendRawTransaction', [await foreign(before + nonce, 100n)])
    }
    await mine()
    await send()
    await chain.rpc('evm_revert', [snapshot])
    await chain.rpc('anvil_dropAllTransactions', [])
    const [startMs, endMs] = [nowMs, nowMs + 60_000]
    while ((await given()) === 0n && nowMs < endMs) {
      nowMs += 2_000 // A block of Flare.
      await send()
      await mine()
    }
    expect(await given()).toBe(1n)
    expect(nowMs - startMs).toBeLessThan(60_000)
    expect(await send()).toBe('landed')
    const next = await nextNonce()
    await send()
    await chain.rpc('anvil_dropAllTransactions', [])
    for (const nonce of [0, 1, 2, 3, 4]) {
      await chain.rpc('eth_sendRawTransaction', [await foreign(next + nonce, 100n)])
    }
    await mine()
    await send()
    nowMs += GONE_AFTER_MS
    await send()
    await mine()
    expect(await send()).toBe('landed')
    expect(await given()).toBe(2n)
  })

  test('lies behind a node that is behind: what it says changes nothing', async () => {
    const nonce = await nextNonce()
    await send()
    await mine()
    // A look at the state of before: the next transaction would carry a number that is used.
    const stale = await foreign(nonce, 100n)
    const { hash } = Transaction.from(stale)
    const tx = { id: hash as never, bytes: stale }
    await lane.send(tx, signal)
    expect(await lane.fate(tx, signal)).toBe('open')
    nowMs += GONE_AFTER_MS
    expect(await lane.fate(tx, signal)).toBe('gone')
    expect(await send()).toBe('landed')
    expect(await given()).toBe(1n)
  })
})

describe('what fees cost', () => {
  // That a transaction is gone is a node's word, so it stays in the sum: a node that lies could
  // otherwise have the budget spent again and again.
  test('is added up from what was signed, and only what was refused is not in it', async () => {
    const since = systemClock.now() - 1_000
    await send()
    expect(await store.outbox.spentSince(lane.name, since)).toBe(1n)
    expect(await store.outbox.spentSince(lane.name, systemClock.now() + 1_000)).toBe(0n)
    expect(await store.outbox.spentSince('another lane', since)).toBe(0n)
    await store.outbox.close(await open(), 'gone')
    expect(await store.outbox.spentSince(lane.name, since)).toBe(1n)
    await send()
    await store.outbox.close(await open(), 'refused')
    expect(await store.outbox.spentSince(lane.name, since)).toBe(0n)
  })
})
