import { setTimeout as sleep } from 'node:timers/promises'

/** Of a node on this machine, which may be busy. */
const CALL_MS_MAX = 60_000
const RECEIPT_POLL_MS = 50
/** A node that mines every second needs one; a loaded machine more. */
const RECEIPT_MS_MAX = 120_000
/** Above what any of our transactions needs, below anvil's limit of a block. */
const GAS = 6_000_000

export interface Head {
  readonly number: number
  /** Unix seconds. */
  readonly timestamp: number
}

export interface Log {
  readonly address: string
  readonly topics: readonly string[]
  readonly data: string
  readonly blockNumber: number
  readonly logIndex: number
  readonly removed: boolean
}

export interface Transaction {
  readonly from: string
  readonly to: string | null
  readonly value: bigint
  readonly input: string
}

export interface Receipt {
  readonly transactionHash: string
  readonly blockNumber: number
  readonly isSuccess: boolean
  readonly contractAddress: string | null
  readonly logs: readonly Log[]
}

/** A node answered with an error. `data` is what a reverted call gave back. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly data: string | undefined

  constructor(message: string, data: string | undefined) {
    super(message)
    this.data = data
  }
}

/** The few things that the local network asks of its node, over JSON-RPC. */
export class Chain {
  readonly rpcUrl: string
  readonly #signal: AbortSignal
  #id = 0
  #gate: Promise<void> = Promise.resolve()
  readonly #underWay = new Set<Promise<unknown>>()
  /** The last send, because anvil gives two transactions at once the same nonce. */
  #lastSend: Promise<unknown> = Promise.resolve()

  /** @param signal ends every call and wait. */
  constructor(rpcUrl: string, signal: AbortSignal) {
    this.rpcUrl = rpcUrl
    this.#signal = signal
  }

  /** Nothing is asked while the work is done, and what was under way has its answer before. */
  async pause(work: () => Promise<void>): Promise<void> {
    let open = (): void => {}
    this.#gate = new Promise((resolve) => {
      open = resolve
    })
    try {
      await Promise.allSettled(this.#underWay)
      await work()
    } finally {
      open()
    }
  }

  async rpc(method: string, params: readonly unknown[]): Promise<unknown> {
    await this.#gate
    const asked = this.#ask(method, params)
    this.#underWay.add(asked)
    try {
      return await asked
    } finally {
      this.#underWay.delete(asked)
    }
  }

  async #ask(method: string, params: readonly unknown[]): Promise<unknown> {
    this.#id += 1
    const response = await fetch(this.rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: this.#id, method, params }),
      signal: AbortSignal.any([this.#signal, AbortSignal.timeout(CALL_MS_MAX)]),
    })
    const answer = (await response.json()) as {
      result?: unknown
      error?: { message: string; data?: unknown }
    }
    if (answer.error === undefined) return answer.result
    const { message, data } = answer.error
    throw new RpcError(`${method}: ${message}`, typeof data === 'string' ? data : undefined)
  }

  async head(): Promise<Head> {
    return this.block('latest')
  }

  async block(tag: number | 'latest'): Promise<Head> {
    const name = tag === 'latest' ? tag : quantity(tag)
    const block = (await this.rpc('eth_getBlockByNumber', [name, false])) as RawBlock | null
    if (block === null) throw new Error(`no block ${tag}`)
    return { number: Number(block.number), timestamp: Number(block.timestamp) }
  }

  /** Calls a view, at the latest block. */
  async call(to: string, data: string): Promise<string> {
    return (await this.rpc('eth_call', [{ to, data }, 'latest'])) as string
  }

  async logs(address: string, topic: string, from: number, to: number): Promise<Log[]> {
    const filter = { address, topics: [topic], fromBlock: quantity(from), toBlock: quantity(to) }
    return ((await this.rpc('eth_getLogs', [filter])) as RawLog[]).map(parseLog)
  }

  async transaction(hash: string): Promise<Transaction | undefined> {
    const raw = (await this.rpc('eth_getTransactionByHash', [hash])) as RawTransaction | null
    if (raw === null) return undefined
    return { from: raw.from, to: raw.to, value: BigInt(raw.value), input: raw.input }
  }

  async receipt(hash: string): Promise<Receipt | undefined> {
    const raw = (await this.rpc('eth_getTransactionReceipt', [hash])) as RawReceipt | null
    if (raw === null) return undefined
    return {
      transactionHash: raw.transactionHash,
      blockNumber: Number(raw.blockNumber),
      isSuccess: raw.status === '0x1',
      contractAddress: raw.contractAddress,
      logs: raw.logs.map(parseLog),
    }
  }

  /** Sends without waiting. It is mined before what the same account sends later. */
  async send({ value = 0n, gas = GAS, ...rest }: Call): Promise<string> {
    const fields = { ...rest, value: `0x${value.toString(16)}`, gas: quantity(gas) }
    const sent = this.#lastSend.then(() => this.rpc('eth_sendTransaction', [fields]))
    this.#lastSend = sent.catch(() => {})
    return (await sent) as string
  }

  /**
   * Sends a transaction from one of the node's own accounts and waits until it is in a block. The
   * node gives the nonce, so any number may be under way.
   *
   * @throws Error when it reverted.
   */
  async transact(call: Call): Promise<Receipt> {
    const hash = await this.send(call)
    const deadlineMs = performance.now() + RECEIPT_MS_MAX
    for (;;) {
      const receipt = await this.receipt(hash)
      if (receipt?.isSuccess) return receipt
      if (receipt !== undefined) throw new Error(`reverted: ${hash} to ${call.to}`)
      if (performance.now() > deadlineMs) throw new Error(`not mined: ${hash} to ${call.to}`)
      await sleep(RECEIPT_POLL_MS, undefined, { signal: this.#signal })
    }
  }
}

export interface Call {
  readonly from: string
  /** Left out to deploy. */
  readonly to?: string
  readonly data: string
  readonly value?: bigint
  /** Less than the usual limit, so that several fit into a block. */
  readonly gas?: number
}

interface RawBlock {
  number: string
  timestamp: string
}

interface RawLog {
  address: string
  topics: string[]
  data: string
  blockNumber: string
  logIndex: string
  removed?: boolean
}

interface RawTransaction {
  from: string
  to: string | null
  value: string
  input: string
}

interface RawReceipt {
  transactionHash: string
  blockNumber: string
  status: string
  contractAddress: string | null
  logs: RawLog[]
}

function parseLog(raw: RawLog): Log {
  return {
    address: raw.address,
    topics: raw.topics,
    data: raw.data,
    blockNumber: Number(raw.blockNumber),
    logIndex: Number(raw.logIndex),
    removed: raw.removed ?? false,
  }
}

function quantity(value: number): string {
  return `0x${value.toString(16)}`
}
