import { ConfigError, RetryableError } from '../../domain/errors.js'
import { HttpClient } from '../../runtime/http-client.js'
import type { FlareConfig } from './config.js'
import { intQuantity, parseAs, rpcAnswer } from './parse.js'

/** A full receipt with many events is far below this. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024
const MESSAGE_CHARACTERS_MAX = 300
/** JSON-RPC's code of a call that was carried out and reverted. */
const REVERTED = 3
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
  isRightChain: boolean
}

/**
 * JSON-RPC over several nodes: the one that answered last is asked first, the others stand by.
 * Every node has to be of the right chain before its first answer counts.
 */
export class RpcClient {
  readonly #nodes: readonly Node[]
  readonly #chainId: number
  #preferred = 0
  #lastId = 0

  constructor(config: FlareConfig) {
    this.#nodes = config.rpcUrls.map((url) => nodeOf(url, config))
    this.#chainId = config.chainId
  }

  /**
   * @throws NodeRefusal when the call reverted, or a transaction was not taken
   * @throws RetryableError `attestor_unreachable`, `attestor_nonsense` when no node answers
   * @throws ConfigError `wrong_chain`
   */
  async ask(method: string, params: readonly unknown[], signal: AbortSignal): Promise<unknown> {
    const first = this.#preferred
    let failure: RetryableError | undefined
    for (let tries = 0; tries < this.#nodes.length; tries += 1) {
      const at = (first + tries) % this.#nodes.length
      try {
        const result = await this.#askNode(at, method, params, signal)
        this.#preferred = at
        return result
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error
        failure ??= error
      }
    }
    throw failure ?? new RetryableError('attestor_unreachable', 'no RPC URL is set')
  }

  /** Each node's host and what stops it from being used, for doctor. */
  async probe(signal: AbortSignal): Promise<readonly { host: string; problem?: string }[]> {
    return Promise.all(
      this.#nodes.map(async ({ host }, at) => {
        try {
          await this.#askNode(at, 'eth_blockNumber', [], signal)
          return { host }
        } catch (error) {
          return { host, problem: error instanceof Error ? error.message : String(error) }
        }
      }),
    )
  }

  async #askNode(
    at: number,
    method: string,
    params: readonly unknown[],
    signal: AbortSignal,
  ): Promise<unknown> {
    const node = this.#nodes[at]
    if (node === undefined) throw new Error(`no node ${at}`)
    if (!node.isRightChain) {
      const what = `${node.host} eth_chainId`
      const chainId = parseAs(intQuantity, await this.#post(node, 'eth_chainId', [], signal), what)
      if (chainId !== this.#chainId) throw wrongChain(node.host, chainId, this.#chainId)
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
    const said = hideValues(error.message, query).slice(0, MESSAGE_CHARACTERS_MAX)
    if (isRefusal(method, error)) throw new NodeRefusal(`${method}: ${said}`, error.data)
    throw new RetryableError('attestor_unreachable', `${host} ${method}: ${said}`)
  }
}

function nodeOf(url: string, { apiKey, requestTimeoutMs }: FlareConfig): Node {
  const { origin, pathname, searchParams, host, hostname } = new URL(url)
  const query = Object.fromEntries(searchParams)
  if (apiKey !== undefined && FLARE_HOST.test(hostname)) query['x-apikey'] = apiKey
  const http = new HttpClient({
    baseUrl: pathname === '/' ? origin : origin + pathname,
    codePrefix: 'attestor',
    timeoutMs: requestTimeoutMs,
    responseBytesMax: ANSWER_BYTES_MAX,
  })
  return { http, host, query, isRightChain: false }
}

function isRefusal(method: string, error: { code?: number | undefined; message: string }): boolean {
  if (method === 'eth_sendRawTransaction') return true
  return error.code === REVERTED || /revert|insufficient funds/i.test(error.message)
}

function isJson(text: string): boolean {
  return /^\s*[{[]/.test(text)
}

/** Some providers repeat the key that they refuse. */
function hideValues(text: string, query: Readonly<Record<string, string>>): string {
  const values = Object.values(query).filter((value) => value !== '')
  return values.reduce((hidden, value) => hidden.replaceAll(value, '…'), text)
}

function wrongChain(host: string, actual: number, expected: number): ConfigError {
  const fix = 'Change FLARE_ENDPOINT, or FLARE_CHAIN_ID if this is a new store.'
  return new ConfigError('wrong_chain', `${host} is on chain ${actual}, not ${expected}. ${fix}`)
}
