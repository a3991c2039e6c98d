import { Interface } from 'ethers'
import { type JsonServer, serveJson } from './flare/json-server.js'

/** How a node in front of the chain misbehaves until it is told otherwise. */
export type RpcFault =
  /** Every request is answered with this status and no JSON-RPC. */
  | { readonly kind: 'status'; readonly status: number }
  /** Old state: as of a block, whatever came after it. Transactions are taken and passed on. */
  | { readonly kind: 'frozen'; readonly atBlock: number }
  /** Says that every round is final, and names a root of its own. */
  | { readonly kind: 'falseFinality' }
  /**
   * Has neither logs nor transactions of blocks before that one, of none unless told: they are
   * pruned, and it does not say so.
   */
  | { readonly kind: 'pruned'; readonly beforeBlock?: number }
  /** Names another root for the last batch of every meter: as the contract's state, or in its events. */
  | { readonly kind: 'otherAnchors'; readonly where: 'state' | 'events' }
  /** Says that it is on another chain. */
  | { readonly kind: 'otherChain' }
  /** Takes no transaction: its pool is full. */
  | { readonly kind: 'noSending' }

export interface RpcProxy {
  readonly url: string
  /** Undefined: it tells the truth again. */
  misbehave(fault: RpcFault | undefined): void
  /** How often each method was asked for since the start. */
  readonly asked: ReadonlyMap<string, number>
  stop(): Promise<void>
}

interface Call {
  readonly id: unknown
  readonly method: string
  readonly params: readonly unknown[]
}

const CALL_MS_MAX = 60_000
const relay = new Interface([
  'function isFinalized(uint256, uint256) view returns (bool)',
  'function merkleRoots(uint256, uint256) view returns (bytes32)',
])
const anchor = new Interface([
  'function lastRoot(address) view returns (bytes32)',
  'event UsageBatchAnchored(address indexed, uint64 indexed, bytes32 indexed, bytes32, uint64, bytes32, bytes32)',
])
const FALSE_ROOT = `0x${'fa15e'.repeat(13).slice(0, 64)}`
const LAST_ROOT = anchor.getFunction('lastRoot')?.selector ?? ''
const ANCHORED = anchor.getEvent('UsageBatchAnchored')?.topicHash
/** Which parameter names the block that is meant. */
const BLOCK_AT: Readonly<Record<string, number>> = {
  eth_call: 1,
  eth_estimateGas: 1,
  eth_getBalance: 1,
  eth_getCode: 1,
  eth_getTransactionCount: 1,
  eth_getBlockByNumber: 0,
}

/** A node that passes on what another says, and can be made to fail and to lie. */
export async function startRpcProxy(targetUrl: string): Promise<RpcProxy> {
  let fault: RpcFault | undefined
  const asked = new Map<string, number>()
  const server: JsonServer = await serveJson(async ({ body }) => {
    const call = body as Call
    asked.set(call.method, (asked.get(call.method) ?? 0) + 1)
    if (fault?.kind === 'status') return { status: fault.status, body: 'no node here' }
    return { status: 200, body: await answer(call, fault, targetUrl) }
  })
  return {
    url: server.url,
    asked,
    misbehave: (next) => {
      fault = next
    },
    stop: () => server.stop(),
  }
}

async function answer(call: Call, fault: RpcFault | undefined, url: string): Promise<unknown> {
  switch (fault?.kind) {
    case 'frozen':
      return frozen(call, fault.atBlock, url)
    case 'falseFinality':
      return falselyFinal(call, url)
    case 'pruned':
      return pruned(call, fault.beforeBlock ?? Number.POSITIVE_INFINITY, url)
    case 'otherAnchors':
      return otherwiseAnchored(call, fault.where, url)
    case 'otherChain':
      if (call.method !== 'eth_chainId') return forward(call, url)
      return { jsonrpc: '2.0', id: call.id, result: '0x1' }
    case 'noSending':
      if (call.method !== 'eth_sendRawTransaction') return forward(call, url)
      return { jsonrpc: '2.0', id: call.id, error: { code: -32000, message: 'txpool is full' } }
    default:
      return forward(call, url)
  }
}

async function frozen(call: Call, atBlock: number, url: string): Promise<unknown> {
  const { id, method, params } = call
  const at = `0x${atBlock.toString(16)}`
  if (method === 'eth_blockNumber') return { jsonrpc: '2.0', id, result: at }
  const place = BLOCK_AT[method]
  if (place !== undefined && params[place] === 'latest') {
    return forward({ ...call, params: params.with(place, at) }, url)
  }
  if (method === 'eth_getLogs') {
    const [filter] = params as [{ fromBlock: string; toBlock: string }]
    if (Number(filter.fromBlock) > atBlock) return { jsonrpc: '2.0', id, result: [] }
    const toBlock = Number(filter.toBlock) > atBlock ? at : filter.toBlock
    return forward({ ...call, params: [{ ...filter, toBlock }] }, url)
  }
  const answered = (await forward(call, url)) as { result?: { blockNumber?: string } | null }
  const isLater = Number(answered.result?.blockNumber ?? 0) > atBlock
  return isLater ? { jsonrpc: '2.0', id, result: null } : answered
}

async function pruned(call: Call, beforeBlock: number, url: string): Promise<unknown> {
  const answered = (await forward(call, url)) as { result?: unknown }
  const isKept = (item: { blockNumber?: string | null } | null): boolean =>
    Number(item?.blockNumber ?? Number.POSITIVE_INFINITY) >= beforeBlock
  if (call.method === 'eth_getLogs' && Array.isArray(answered.result)) {
    return { ...answered, result: answered.result.filter(isKept) }
  }
  if (call.method !== 'eth_getTransactionByHash') return answered
  return isKept(answered.result as { blockNumber?: string } | null)
    ? answered
    : { ...answered, result: null }
}

async function falselyFinal(call: Call, url: string): Promise<unknown> {
  const answered = (await forward(call, url)) as { result?: unknown }
  if (call.method !== 'eth_call') return answered
  const [{ data }] = call.params as [{ data: string }]
  const parsed = relay.parseTransaction({ data })
  if (parsed?.name === 'isFinalized') {
    return { ...answered, result: relay.encodeFunctionResult('isFinalized', [true]) }
  }
  if (parsed?.name !== 'merkleRoots') return answered
  return { ...answered, result: FALSE_ROOT }
}

async function otherwiseAnchored(
  call: Call,
  where: 'state' | 'events',
  url: string,
): Promise<unknown> {
  const answered = (await forward(call, url)) as { result?: unknown }
  const [asked] = call.params as [{ data?: string } | undefined]
  const isState = call.method === 'eth_call' && asked?.data?.startsWith(LAST_ROOT)
  if (where === 'state') return isState ? { ...answered, result: FALSE_ROOT } : answered
  if (call.method !== 'eth_getLogs' || !Array.isArray(answered.result)) return answered
  const result = answered.result.map((log: { topics: readonly string[] }) =>
    log.topics[0] === ANCHORED ? { ...log, topics: log.topics.with(3, FALSE_ROOT) } : log,
  )
  return { ...answered, result }
}

async function forward(call: Call, url: string): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...call, jsonrpc: '2.0' }),
    signal: AbortSignal.timeout(CALL_MS_MAX),
  })
  return response.json()
}
