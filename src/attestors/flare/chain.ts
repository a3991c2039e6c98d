import type { Interface, Result } from 'ethers'
import type { z } from 'zod'
import type { Hash, Hex } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'
import { isOfOneNode, mildest, NodeRefusal, type RpcClient } from './client.js'
import * as parse from './parse.js'

export interface LogFilter {
  readonly addresses: readonly Hex[]
  /** By position; null for any, several for one of them. */
  readonly topics: readonly (Hex | readonly Hex[] | null)[]
}

/** Both are part of it. */
export interface BlockRange {
  readonly from: number
  readonly until: number
}

export interface Block {
  readonly number: number
  /** Unix seconds. */
  readonly timestamp: number
  readonly baseFeePerGas?: bigint | undefined
}

/** What the attestor reads of a chain, typed. Errors are those of `RpcClient.ask`. */
export class FlareChain {
  readonly #client: RpcClient
  readonly #logWindowBlocks: number

  constructor(client: RpcClient, logWindowBlocks: number) {
    this.#client = client
    this.#logWindowBlocks = logWindowBlocks
  }

  /**
   * What the first node shows that shows it, each asked by itself. For what has to be there: a node
   * that has pruned it does not say so. Undefined where every node answers and none shows it.
   *
   * @throws RetryableError where none shows it and one could not be asked
   */
  async ofAny<Found>(
    look: (chain: FlareChain) => Promise<Found | undefined>,
  ): Promise<Found | undefined> {
    const failures: unknown[] = []
    let answered = 0
    for (const client of this.#client.each()) {
      try {
        const found = await look(new FlareChain(client, this.#logWindowBlocks))
        if (found !== undefined) return found
        answered += 1
      } catch (error) {
        if (!isOfOneNode(error)) throw error
        failures.push(error)
      }
    }
    const failure = mildest(failures)
    // One that is on another chain is none of ours.
    if (failure instanceof RetryableError || (answered === 0 && failure !== undefined))
      throw failure
    return undefined
  }

  async ask<Schema extends z.ZodType>(
    schema: Schema,
    method: string,
    params: readonly unknown[],
    signal: AbortSignal,
  ): Promise<z.infer<Schema>> {
    return parse.parseAs(schema, await this.#client.ask(method, params, signal), method)
  }

  block(tag: number | 'latest', signal: AbortSignal): Promise<Block> {
    const name = tag === 'latest' ? tag : toQuantity(tag)
    return this.ask(parse.block, 'eth_getBlockByNumber', [name, false], signal)
  }

  /** @throws RetryableError `attestor_nonsense` where the node shows none, or another */
  async fullBlock(number: number, signal: AbortSignal): Promise<z.infer<typeof parse.fullBlock>> {
    const params = [toQuantity(number), true]
    const block = await this.ask(parse.fullBlock, 'eth_getBlockByNumber', params, signal)
    if (block.number === number) return block
    throw new RetryableError('attestor_nonsense', `block ${block.number} in place of ${number}`)
  }

  /** Of any node; undefined while none shows it. Errors are those of `ofAny`. */
  transaction(hash: Hash, signal: AbortSignal): Promise<parse.Transaction | undefined> {
    const method = 'eth_getTransactionByHash'
    return this.ofAny(
      async (chain) => (await chain.ask(parse.transaction, method, [hash], signal)) ?? undefined,
    )
  }

  receipt(hash: Hash | string, signal: AbortSignal): Promise<z.infer<typeof parse.receipt>> {
    return this.ask(parse.receipt, 'eth_getTransactionReceipt', [hash], signal)
  }

  code(address: Hex, signal: AbortSignal): Promise<Hex> {
    return this.ask(parse.bytes, 'eth_getCode', [address, 'latest'], signal)
  }

  balance(address: Hex, signal: AbortSignal): Promise<bigint> {
    return this.ask(parse.bigQuantity, 'eth_getBalance', [address, 'latest'], signal)
  }

  /**
   * Reads a contract.
   *
   * @throws RetryableError `attestor_nonsense` where the contract reverts or is not there
   */
  async view(
    contract: Interface,
    to: Hex,
    method: string,
    args: readonly unknown[],
    signal: AbortSignal,
    at: number | 'latest' = 'latest',
  ): Promise<Result> {
    const tag = at === 'latest' ? at : toQuantity(at)
    try {
      // Among the arguments may be what a node said, such as a round reckoned from a block's time.
      const data = contract.encodeFunctionData(method, args)
      const returned = await this.ask(parse.bytes, 'eth_call', [{ to, data }, tag], signal)
      return contract.decodeFunctionResult(method, returned)
    } catch (error) {
      throw unreadable(error, to, method)
    }
  }

  /** Reads a contract through two nodes where there are two. Errors are those of `view`. */
  async viewTwice(
    contract: Interface,
    to: Hex,
    method: string,
    args: readonly unknown[],
    signal: AbortSignal,
  ): Promise<readonly { readonly host: string; readonly result: Result }[]> {
    try {
      const data = contract.encodeFunctionData(method, args)
      const answers = await this.#client.askTwo('eth_call', [{ to, data }, 'latest'], signal)
      return answers.map(({ host, result }) => {
        const returned = parse.parseAs(parse.bytes, result, `${host} eth_call`)
        return { host, result: contract.decodeFunctionResult(method, returned) }
      })
    } catch (error) {
      throw unreadable(error, to, method)
    }
  }

  /**
   * The first value that a contract returns, from two nodes where there are two. For what must not
   * hang on the word of one and does not change from block to block.
   *
   * @throws RetryableError `nodes_disagree` when they differ; else as `view`
   */
  async agreed(
    contract: Interface,
    to: Hex,
    method: string,
    args: readonly unknown[],
    signal: AbortSignal,
  ): Promise<string> {
    const answers = await this.viewTwice(contract, to, method, args, signal)
    const [value = '', other = value] = answers.map(({ result }) => String(result[0]))
    if (value === other) return value
    const hosts = answers.map(({ host }) => host).join(' and ')
    const fix = 'One of them lies, or is behind: take it out of FLARE_ENDPOINT.'
    const what = `${hosts} give different answers to ${method}() of ${to}`
    throw new RetryableError('nodes_disagree', `${what}. ${fix}`)
  }

  /** What one unit of gas costs, in wei: of two nodes the lower, since the price is paid. */
  async gasPrice(signal: AbortSignal): Promise<bigint> {
    const answers = await this.#client.askTwo('eth_gasPrice', [], signal)
    const prices = answers.map(({ host, result }) =>
      parse.parseAs(parse.bigQuantity, result, `${host} eth_gasPrice`),
    )
    const [lowest] = prices.toSorted((a, b) => Number(a - b))
    if (lowest === undefined) throw new Error('askTwo gives an answer or throws')
    return lowest
  }

  /** However long the range, a node is asked for one window at a time. Newest first. */
  async *logsBackward(
    filter: LogFilter,
    range: BlockRange,
    signal: AbortSignal,
  ): AsyncGenerator<parse.Log> {
    for (let end = range.until; end >= range.from; end -= this.#logWindowBlocks) {
      const start = Math.max(range.from, end - this.#logWindowBlocks + 1)
      yield* (await this.#logs(filter, start, end, signal)).reverse()
    }
  }

  /** The newest one in the range, or with `first` the oldest; undefined where there is none. */
  async oneLog(
    filter: LogFilter,
    range: BlockRange,
    end: 'first' | 'last',
    signal: AbortSignal,
  ): Promise<parse.Log | undefined> {
    const logs = end === 'first' ? this.logsForward : this.logsBackward
    for await (const log of logs.call(this, filter, range, signal)) return log
    return undefined
  }

  /** Oldest first. */
  async *logsForward(
    filter: LogFilter,
    range: BlockRange,
    signal: AbortSignal,
  ): AsyncGenerator<parse.Log> {
    for (let start = range.from; start <= range.until; start += this.#logWindowBlocks) {
      const end = Math.min(range.until, start + this.#logWindowBlocks - 1)
      yield* await this.#logs(filter, start, end, signal)
    }
  }

  /**
   * A block from before an instant, and at most so many (a window unless told) before the first that
   * is not: where to begin looking for what happened at that instant or later. The first block where
   * none is.
   */
  async blockBefore(
    timestamp: number,
    head: Block,
    signal: AbortSignal,
    within = this.#logWindowBlocks,
  ): Promise<number> {
    if (head.timestamp < timestamp) return head.number
    let after = head.number
    let before = head.number
    for (let step = this.#logWindowBlocks; ; step *= 4) {
      before = Math.max(0, head.number - step)
      if (before === 0 || (await this.block(before, signal)).timestamp < timestamp) break
      after = before
    }
    while (after - before > within) {
      const middle = Math.floor((before + after) / 2)
      const isBefore = (await this.block(middle, signal)).timestamp < timestamp
      if (isBefore) before = middle
      else after = middle
    }
    return before
  }

  /** Holds every block of `[from, until)`, Unix seconds, and up to a window more on both sides. */
  async blocksBetween(from: number, until: number, signal: AbortSignal): Promise<BlockRange> {
    const head = await this.block('latest', signal)
    const first = await this.blockBefore(from, head, signal)
    const last = (await this.blockBefore(until, head, signal)) + this.#logWindowBlocks
    return { from: first, until: Math.min(last, head.number) }
  }

  async #logs(
    filter: LogFilter,
    from: number,
    to: number,
    signal: AbortSignal,
  ): Promise<parse.Log[]> {
    const { addresses, topics } = filter
    const range = { fromBlock: toQuantity(from), toBlock: toQuantity(to) }
    const params = [{ address: addresses, topics, ...range }]
    const logs = await this.ask(parse.logs, 'eth_getLogs', params, signal)
    const isAskedFor = (log: parse.Log): boolean =>
      log.blockNumber >= from && log.blockNumber <= to && isMatch(log, filter)
    if (logs.every(isAskedFor)) return logs
    throw new RetryableError('attestor_nonsense', 'eth_getLogs: a log that was not asked for')
  }
}

function isMatch(log: parse.Log, { addresses, topics }: LogFilter): boolean {
  const isRight = (wanted: Hex | readonly Hex[] | null, i: number): boolean => {
    const topic: Hex | undefined = log.topics[i]
    if (wanted === null) return topic !== undefined
    return topic !== undefined && [wanted].flat().some((one) => one.toLowerCase() === topic)
  }
  const isFromThere = addresses.some((address) => address.toLowerCase() === log.address)
  return log.removed !== true && isFromThere && topics.every(isRight)
}

export function toQuantity(value: number | bigint): string {
  return `0x${value.toString(16)}`
}

/** A revert and what cannot be decoded mean the same: not the contract that was expected. */
function unreadable(error: unknown, to: Hex, method: string): unknown {
  const isOurs = error instanceof NodeRefusal || isCodingError(error)
  if (!isOurs) return error
  const message = `${to} does not answer ${method}()`
  return new RetryableError('attestor_nonsense', message, { cause: error })
}

/**
 * An event's values.
 *
 * @throws RetryableError `attestor_nonsense` where the bytes are not those of the event
 */
export function decodeEvent(
  contract: Interface,
  name: string,
  { data, topics }: parse.Log,
): Result {
  try {
    const values = contract.decodeEventLog(name, data, [...topics])
    values.toArray(true) // Else what cannot be read throws when it is looked at.
    return values
  } catch (error) {
    if (!isCodingError(error)) throw error
    throw new RetryableError('attestor_nonsense', `this is no ${name}`, { cause: error })
  }
}

/** ethers marks its own errors with a code in capitals, such as BAD_DATA. */
function isCodingError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^[A-Z_]+$/.test(String(error.code))
}
