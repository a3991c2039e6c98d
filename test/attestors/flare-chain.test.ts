import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Anvil, startAnvil } from '../../devnet/flare/anvil.js'
import { Chain } from '../../devnet/flare/chain.js'
import { decodeEvent, FlareChain, type LogFilter } from '../../src/attestors/flare/chain.js'
import { RpcClient } from '../../src/attestors/flare/client.js'
import { flareConfig } from '../../src/attestors/flare/config.js'
import { asTopic, interfaces, topicOf } from '../../src/attestors/flare/contracts.js'
import type { Log } from '../../src/attestors/flare/parse.js'
import { type Hash, type Hex, u256 } from '../../src/domain/bytes.js'
import { RetryableError } from '../../src/domain/errors.js'

const WINDOW = 30
const end = new AbortController()
const { signal } = end
let folder: string
let anvil: Anvil
let chain: Chain
let node: Server
let nodeUrl: string

type Misbehaviour = (method: string) => { status: number; body: string } | undefined
let misbehave: Misbehaviour = () => undefined
let queries: { from: number; to: number }[] = []

/** Stands before anvil as a public node does: it refuses log queries of more than 30 blocks. */
function startPublicNode(): Promise<Server> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const { id, method, params } = JSON.parse(text)
    const wrong = misbehave(method)
    if (wrong !== undefined) return void response.writeHead(wrong.status).end(wrong.body)
    if (method === 'eth_getLogs') {
      const [from, to] = [Number(params[0].fromBlock), Number(params[0].toBlock)]
      queries.push({ from, to })
      if (to - from + 1 > WINDOW) {
        const error = { code: -32000, message: 'requested too many blocks, maximum is set to 30' }
        return void response.end(JSON.stringify({ jsonrpc: '2.0', id, error }))
      }
    }
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(anvil.rpcUrl, { method: 'POST', headers, body: text })
    response.end(await answer.text())
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

function chainOf(rpcUrls: string, more: Record<string, unknown> = {}): FlareChain {
  const config = flareConfig.parse({
    ...{ rpcUrls, anchorAddress: `0x${'11'.repeat(20)}` },
    ...{ gasKey: `0x${'01'.repeat(32)}`, meterKey: `0x${'02'.repeat(32)}` },
    requestTimeoutMs: 600_000, // Nothing here is about silence, and some answers are long.
    ...more,
  })
  return new FlareChain(new RpcClient(config), config.logWindowBlocks)
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'flowmeter-chain-'))
  anvil = await startAnvil(folder)
  chain = new Chain(anvil.rpcUrl, signal)
  node = await startPublicNode()
  nodeUrl = `http://127.0.0.1:${(node.address() as AddressInfo).port}`
})
afterEach(() => {
  misbehave = () => undefined
  queries = []
})
afterAll(async () => {
  end.abort()
  node?.close()
  await anvil?.stop()
  rmSync(folder, { recursive: true })
})

describe('looking through blocks', () => {
  const emitter: Hex = `0x${'e0'.repeat(20)}`
  const timestamps: number[] = []
  let emittedIn: number[] = []

  // 400 blocks 1 to 9 seconds apart, some with an event.
  beforeAll(async () => {
    // PUSH1 0, CALLDATALOAD, PUSH1 0, PUSH1 0, LOG1
    await chain.rpc('anvil_setCode', [emitter, '0x60003560006000a1'])
    const [account] = anvil.accounts
    const from = account?.address ?? ''
    for (let block = 1; block <= 400; block += 1) {
      const seconds = 1 + ((block * 7) % 9)
      await chain.rpc('evm_increaseTime', [seconds])
      if (block % 37 === 0 || block === 400) {
        await chain.transact({ from, to: emitter, data: u256(block) })
        emittedIn = [...emittedIn, block]
      } else {
        await chain.rpc('evm_mine', [])
      }
    }
    for (let block = 0; block <= 400; block += 1) {
      timestamps.push((await chain.block(block)).timestamp)
    }
  })

  test('finds where an instant lies, a window too early at most', async () => {
    const flareChain = chainOf(nodeUrl)
    const head = await flareChain.block('latest', signal)
    for (let block = 1; block <= 400; block += 13) {
      for (const shift of [0, 1]) {
        const instant = (timestamps[block] ?? 0) + shift
        const lastBefore = timestamps.findLastIndex((timestamp) => timestamp < instant)
        const found = await flareChain.blockBefore(instant, head, signal)
        expect(found).toBeLessThanOrEqual(lastBefore)
        expect(found).toBeGreaterThan(lastBefore - WINDOW)
        const range = await flareChain.blocksBetween(instant, instant + 60, signal)
        const inside = timestamps.flatMap((timestamp, number) =>
          timestamp >= instant && timestamp < instant + 60 ? number : [],
        )
        expect(range.from).toBeLessThanOrEqual(Math.min(...inside, 400))
        expect(range.until).toBeGreaterThanOrEqual(Math.max(...inside, 0))
      }
    }
    expect(await flareChain.blockBefore(0, head, signal)).toBe(0)
    expect(await flareChain.blockBefore(head.timestamp + 1, head, signal)).toBe(400)
  })

  test('shows every event of a range once, in both directions, by windows', async () => {
    const flareChain = chainOf(nodeUrl)
    const filter = { addresses: [emitter], topics: [] }
    const range = { from: 37, until: 399 }
    const expected = emittedIn.filter((block) => block >= 37 && block <= 399)
    const forward: number[] = []
    for await (const log of flareChain.logsForward(filter, range, signal)) {
      forward.push(log.blockNumber)
      expect(log.topics).toEqual([asTopic(log.blockNumber)])
    }
    expect(forward).toEqual(expected)
    const backward: number[] = []
    for await (const log of flareChain.logsBackward(filter, range, signal)) {
      backward.push(log.blockNumber)
    }
    expect(backward).toEqual([...expected].reverse())
    for (const { from, to } of queries) expect(to - from).toBeLessThan(WINDOW)
    expect(Math.min(...queries.map(({ from }) => from))).toBe(37)
    expect(Math.max(...queries.map(({ to }) => to))).toBe(399)
  })

  test('asks no further than it needs', async () => {
    const filter = { addresses: [emitter], topics: [] }
    for await (const log of chainOf(nodeUrl).logsBackward(
      filter,
      { from: 0, until: 400 },
      signal,
    )) {
      expect(log.blockNumber).toBe(400)
      break
    }
    expect(queries).toHaveLength(1)
  })
})

describe('a node that misbehaves', () => {
  const secret = 'key-that-nobody-may-see'

  const answers = [
    [429, 'Too Many Requests'],
    [503, '<html>maintenance</html>'],
    [200, 'not json'],
    [200, '{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit exceeded"}}'],
    [200, `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"bad key ${secret}"}}`],
  ] as const

  test.each(answers)('%i %s: the next node is asked', async (status, body) => {
    misbehave = () => ({ status, body })
    const both = chainOf(`${nodeUrl}/?apikey=${secret}, ${anvil.rpcUrl}`)
    expect((await both.block('latest', signal)).number).toBeGreaterThan(0)
  })

  test.each(answers)(
    '%i %s: alone, it is tried again later, and no key is told',
    async (...wrong) => {
      const [status, body] = wrong
      misbehave = () => ({ status, body })
      const alone = chainOf(`${nodeUrl}/?apikey=${secret}`).block('latest', signal)
      const error = await alone.catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(RetryableError)
      expect(String(error)).not.toContain(secret)
    },
  )

  test('after it failed, the one that answered is asked first', async () => {
    let asked = 0
    misbehave = () => {
      asked += 1
      return { status: 503, body: '' }
    }
    const both = chainOf(`${nodeUrl}, ${anvil.rpcUrl}`)
    await both.block('latest', signal)
    await both.block('latest', signal)
    expect(asked).toBe(1)
  })

  test('what is not a block, receipt or number is nonsense', async () => {
    const body = '{"jsonrpc":"2.0","id":1,"result":{"number":"seven"}}'
    misbehave = (method) => (method === 'eth_chainId' ? undefined : { status: 200, body })
    const flareChain = chainOf(nodeUrl)
    const hash = u256(7)
    // One after the other: the rejection of one that nobody awaits yet would be an error of its own.
    for (const call of [
      () => flareChain.block('latest', signal),
      () => flareChain.receipt(hash, signal),
      () => flareChain.balance(`0x${'11'.repeat(20)}`, signal),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'attestor_nonsense' })
    }
  })

  const log = {
    ...{ address: `0x${'e0'.repeat(20)}`, topics: [u256(7)], data: '0x', blockNumber: '0x5' },
    ...{ transactionHash: u256(9), logIndex: '0x0' },
  }
  const filter: LogFilter = { addresses: [log.address as Hex], topics: [u256(7)] }
  const range = { from: 1, until: 9 }
  const showing = (...logs: readonly unknown[]): FlareChain => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, result: logs })
    misbehave = (method) => (method === 'eth_getLogs' ? { status: 200, body } : undefined)
    return chainOf(nodeUrl)
  }

  test('a log that was not asked for is nonsense, and one that was is none', async () => {
    const shown = await showing(log).oneLog(filter, range, 'first', signal)
    expect(shown?.blockNumber).toBe(5)
    for (const wrong of [
      { address: `0x${'e1'.repeat(20)}` },
      { topics: [u256(8)] },
      { topics: [] },
      { blockNumber: '0xa' },
      { removed: true },
      { logIndex: '0x100000000' },
    ]) {
      const look = showing({ ...log, ...wrong }).oneLog(filter, range, 'first', signal)
      await expect(look).rejects.toMatchObject({ code: 'attestor_nonsense' })
    }
  })

  // Goal: an answer as long as is let through does not use up memory or log. Method: millions of
  // items, each of which is wrong.
  test('a list of millions of wrong items is refused in few words', async () => {
    const body = `{"jsonrpc":"2.0","id":1,"result":[${'1,'.repeat(7_000_000)}1]}`
    misbehave = (method) => (method === 'eth_getLogs' ? { status: 200, body } : undefined)
    const look = chainOf(nodeUrl).oneLog(filter, range, 'first', signal)
    const error = await look.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'attestor_nonsense' })
    expect(String(error).length).toBeLessThan(1_000)
  })

  test('an event that its contract cannot have emitted is nonsense', () => {
    const { anchor } = interfaces
    const topics = [topicOf(anchor, 'UsageBatchAnchored'), u256(1), u256(2), u256(3)] as Hash[]
    const cut = { ...log, topics, data: u256(1), blockNumber: 5, logIndex: 0 } as unknown as Log
    const wrong = [cut, { ...cut, topics: topics.slice(0, 2) }, { ...cut, topics: [] }]
    for (const one of wrong) {
      expect(() => decodeEvent(anchor, 'UsageBatchAnchored', one)).toThrow(RetryableError)
    }
  })
})
