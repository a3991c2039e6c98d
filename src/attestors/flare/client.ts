import { ConfigError, RetryableError } from '../../domain/errors.js'
import { Breaker } from '../../runtime/breaker.js'
import { HttpClient } from '../../runtime/http-client.js'
import { learnCredentials, redact } from '../../runtime/redaction.js'
import type { FlareConfig } from './config.js'
import { intQuantity, parseAs, rpcAnswer } from './parse.js'

/** A full receipt with many events is far below this. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024
const MESSAGE_CHARACTERS_MAX = 300
/** JSON-RPC's code of a call that was carried out and reverted. */
const REVERTED = 3
/** Several nodes are compared so often: one that fell behind answers as readily as any. */
const COMPARE_EVERY_MS = 10_000
/** About 20 s of Flare's blocks. */
const BLOCKS_BEHIND_MAX = 12
const FLARE_HOST = /(^|\.)flare\.network$/

/** The node carried the call out, or looked at the transaction, and said no. No other will agree. */
export class NodeRefusal extends Error {
  override readonly name = 'NodeRefusal'
  /** What a reverted call gave back. */
  readonly data: unknown

  constructor(message: string, data: unknown) {
    super(message)
    this.data = data
  }
}

interface Node {
  readonly http: HttpClient
  readonly host: string
  readonly query: Readonly<Record<string, string>>
  readonly breaker: Breaker
  /** It answers, but with a state of long ago. */
  isBehind: boolean
  isRightChain: boolean
}

/**
 * JSON-RPC over several nodes: the first that works is asked, in the order of the settings, the
 * others stand by. One that fails, or falls behind the others, is left out for a while. Every node
 * has to be of the right chain before its first answer counts.
 */
export class RpcClient {
  readonly #nodes: readonly Node[]
  readonly #config: FlareConfig
  #comparedAtMs: number | undefined
  #lastId = 0

  constructor(config: FlareConfig, nodes = config.rpcUrls.map((url) => nodeOf(url, config))) {
    this.#nodes = nodes
    this.#config = config
  }

  /** One client for each node, the best first: what one has pruned another may still show. */
  each(): readonly RpcClient[] {
    return this.#inOrder().map((node) => new RpcClient(this.#config, [node]))
  }

  /**
   * @throws NodeRefusal when the call reverted, or a transaction was not taken
   * @throws RetryableError `attestor_unreachable`, `attestor_nonsense` when no node answers
   * @throws ConfigError `wrong_chain`
   */
  async ask(method: string, params: readonly unknown[], signal: AbortSignal): Promise<unknown> {
    await this.#compareHeads(signal)
    const failures: unknown[] = []
    for (const node of this.#inOrder()) {
      try {
        return await this.#askNode(node, method, params, signal)
      } catch (error) {
        if (!isOfOneNode(error)) throw error
        failures.push(error)
      }
    }
    throw mildest(failures) ?? noNode()
  }

  /**
   * The same question to two nodes that work, for what must not hang on the word of one. With one
   * node there is one answer, and so there is while the others are out of reach.
   *
   * @throws Error as `ask` does
   */
  async askTwo(
    method: string,
    params: readonly unknown[],
    signal: AbortSignal,
  ): Promise<readonly { readonly host: string; readonly result: unknown }[]> {
    const answers: { host: string; result: unknown }[] = []
    const failures: unknown[] = []
    for (const node of this.#inOrder()) {
      if (answers.length === 2) break
      // A node that is known to fail is not waited for when another has answered.
      if (answers.length > 0 && (node.breaker.isOpen || node.isBehind)) continue
      try {
        const result = await this.#askNode(node, method, params, signal)
        answers.push({ host: node.host, result })
      } catch (error) {
        if (!(isOfOneNode(error) || error instanceof NodeRefusal)) throw error
        failures.push(error)
      }
    }
    if (answers.length > 0) return answers
    throw mildest(failures) ?? noNode()
  }

  /** Each node's host and what stops it from being used, for doctor. */
  async probe(signal: AbortSignal): Promise<readonly { host: string; problem?: string }[]> {
    return Promise.all(
      this.#nodes.map(async (node) => {
        const { host } = node
        try {
          await this.#askNode(node, 'eth_blockNumber', [], signal)
          return { host }
        } catch (error) {
          return { host, problem: error instanceof Error ? error.message : String(error) }
        }
      }),
    )
  }

  /** Those that may be asked first; the others after them, since nobody else is left then. */
  #inOrder(): readonly Node[] {
    const isOut = ({ breaker, isBehind }: Node): boolean => breaker.isOpen || isBehind
    const resting = this.#nodes.filter(isOut)
    resting.sort((a, b) => a.breaker.openUntilMs - b.breaker.openUntilMs)
    return [...this.#nodes.filter((node) => !isOut(node)), ...resting]
  }

  /** Finds the nodes that answer, but with a state of long ago. */
  async #compareHeads(signal: AbortSignal): Promise<void> {
    const nowMs = performance.now()
    const isDue = nowMs - (this.#comparedAtMs ?? Number.NEGATIVE_INFINITY) > COMPARE_EVERY_MS
    if (this.#nodes.length < 2 || !isDue) return
    this.#comparedAtMs = nowMs
    const heads = await Promise.all(this.#nodes.map((node) => this.#headOf(node, signal)))
    const highest = Math.max(...heads.map((head) => head ?? 0))
    this.#nodes.forEach((node, i) => {
      node.isBehind = highest - (heads[i] ?? highest) > BLOCKS_BEHIND_MAX
    })
  }

  async #headOf(node: Node, signal: AbortSignal): Promise<number | undefined> {
    if (node.breaker.isOpen) return undefined
    try {
      const head = await this.#askNode(node, 'eth_blockNumber', [], signal)
      return parseAs(intQuantity, head, `${node.host} eth_blockNumber`)
    } catch (error) {
      if (!(isOfOneNode(error) || error instanceof NodeRefusal)) throw error
      return undefined
    }
  }

  async #askNode(
    node: Node,
    method: string,
    params: readonly unknown[],
    signal: AbortSignal,
  ): Promise<unknown> {
    try {
      const result = await this.#askRightChain(node, method, params, signal)
      node.breaker.noteSuccess()
      return result
    } catch (error) {
      if (isOfOneNode(error)) node.breaker.noteFailure()
      throw error
    }
  }

  async #askRightChain(
    node: Node,
    method: string,
    params: readonly unknown[],
    signal: AbortSignal,
  ): Promise<unknown> {
    if (!node.isRightChain) {
      const what = `${node.host} eth_chainId`
      const chainId = parseAs(intQuantity, await this.#post(node, 'eth_chainId', [], signal), what)
      const expected = this.#config.chainId
      if (chainId !== expected) throw wrongChain(node.host, chainId, expected)
      node.isRightChain = true
    }
    return this.#post(node, method, params, signal)
  }

  async #post(
    { http, host, query }: Node,
    method: string,
    params: readonly unknown[],
    signal: AbortSignal,
  ): Promise<unknown> {
    this.#lastId += 1
    const body = { jsonrpc: '2.0', id: this.#lastId, method, params }
    const answer = await http.request({ method: 'POST', path: '', query, body }, signal)
    if (answer.status >= 400 && !isJson(answer.text)) {
      throw new RetryableError('attestor_unreachable', `${host} answered ${answer.status}`)
    }
    const { result, error } = parseAs(rpcAnswer, answer.json(), `${host} ${method}`)
    if (error === undefined || error === null) return result
    // Some providers repeat the key that they refuse.
    const said = redact(error.message).slice(0, MESSAGE_CHARACTERS_MAX)
    if (isRefusal(method, error)) throw new NodeRefusal(`${method}: ${said}`, error.data)
    throw new RetryableError('attestor_unreachable', `${host} ${method}: ${said}`)
  }
}

function nodeOf(url: string, { apiKey, requestTimeoutMs }: FlareConfig): Node {
  const { origin, pathname, searchParams, host, hostname } = new URL(url)
  const query = Object.fromEntries(searchParams)
  learnCredentials(url)
  if (apiKey !== undefined && FLARE_HOST.test(hostname)) query['x-apikey'] = apiKey
  const http = new HttpClient({
    baseUrl: pathname === '/' ? origin : origin + pathname,
    codePrefix: 'attestor',
    timeoutMs: requestTimeoutMs,
    responseBytesMax: ANSWER_BYTES_MAX,
  })
  return { http, host, query, breaker: new Breaker(), isBehind: false, isRightChain: false }
}

function isRefusal(method: string, error: { code?: number | undefined; message: string }): boolean {
  if (method === 'eth_sendRawTransaction') return true
  return error.code === REVERTED || /revert|insufficient funds/i.test(error.message)
}

function isJson(text: string): boolean {
  return /^\s*[{[]/.test(text)
}

/** What another node may do better: one that is on another chain, or says so, ends nothing alone. */
export function isOfOneNode(error: unknown): error is RetryableError | ConfigError {
  return error instanceof RetryableError || error instanceof ConfigError
}

/** Of what the nodes failed with the first that may pass; else the first. */
export function mildest(failures: readonly unknown[]): unknown {
  return failures.find((failure) => failure instanceof RetryableError) ?? failures[0]
}

function noNode(): RetryableError {
  return new RetryableError('attestor_unreachable', 'no RPC URL is set')
}

function wrongChain(host: string, actual: number, expected: number): ConfigError {
  const fix = 'Change FLARE_ENDPOINT, or FLARE_CHAIN_ID if this is a new store.'
  return new ConfigError('wrong_chain', `${host} is on chain ${actual}, not ${expected}. ${fix}`)
}
