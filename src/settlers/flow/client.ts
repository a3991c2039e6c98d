import { z } from 'zod'
import { assert, RetryableError } from '../../domain/errors.js'
import type { Ufix64Units } from '../../domain/money.js'
import { type HttpAnswer, HttpClient, type HttpRequest } from '../../runtime/http-client.js'
import type { Script } from './cadence.js'
import { reasonOf } from './cadence-error.js'
import type { CadenceValue } from './json-cadence.js'
import * as rest from './rest.js'

export interface FlowClientParts {
  /** The REST API of an access node, without a slash at the end. */
  readonly accessNode: string
  readonly requestTimeoutMs: number
}

export interface Block {
  /** 64 hex digits. */
  readonly id: string
  readonly height: number
}

export interface AccountKey {
  /** x ‖ y in hex. */
  readonly publicKey: string
  /** ECDSA_P256 or ECDSA_secp256k1. */
  readonly signingAlgorithm: string
  /** SHA3_256 or SHA2_256. */
  readonly hashingAlgorithm: string
  readonly sequenceNumber: bigint
  readonly weight: number
  readonly isRevoked: boolean
}

/** `unknown` says nothing: nodes forget, and others never heard of the transaction. */
export type TransactionResult =
  | { readonly status: 'unknown' | 'pending' }
  | { readonly status: 'sealed'; readonly error: string | undefined }

export interface RawEvent {
  readonly height: number
  readonly txId: string
  /** Text of JSON-Cadence. */
  readonly payload: string
}

/** `expired`: no node will take it any more. Whether it landed before, this does not say. */
export type SubmitAnswer = 'taken' | 'expired'

/** Access nodes answer for at most 250 blocks at once (flow-go DefaultMaxHeightRange). */
export const EVENT_BLOCKS_MAX = 250

/** 250 blocks of full settlements; what is larger is no answer of an access node. */
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024

/**
 * The REST API of a Flow access node.
 *
 * @throws RetryableError `settler_unreachable` on silence, on 429 and on 5xx; `settler_nonsense` on
 * any other refusal or an answer of another shape
 */
export class FlowClient {
  readonly #http: HttpClient

  constructor({ accessNode, requestTimeoutMs }: FlowClientParts) {
    this.#http = new HttpClient({
      baseUrl: accessNode,
      codePrefix: 'settler',
      timeoutMs: requestTimeoutMs,
      responseBytesMax: RESPONSE_BYTES_MAX,
    })
  }

  /** The newest block that is sealed, or only finalized. */
  async block(which: 'sealed' | 'final', signal: AbortSignal): Promise<Block> {
    const request = { path: '/v1/blocks', query: { height: which } }
    const [{ header }] = await this.#get(request, rest.blocksAnswer, signal)
    return header
  }

  /** As it is after a sealed block; the newest one if no height is given. */
  async accountKey(
    address: string,
    index: number,
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<AccountKey> {
    const path = `/v1/accounts/${bare(address)}/keys/${index}`
    const query = { block_height: atHeight === undefined ? 'sealed' : atHeight.toString() }
    const key = await this.#get({ path, query }, rest.accountKeyAnswer, signal)
    return {
      publicKey: key.public_key,
      signingAlgorithm: key.signing_algorithm,
      hashingAlgorithm: key.hashing_algorithm,
      sequenceNumber: key.sequence_number,
      weight: key.weight,
      isRevoked: key.revoked,
    }
  }

  async balance(address: string, signal: AbortSignal): Promise<Ufix64Units> {
    const query = { block_height: 'sealed' }
    const request = { path: `/v1/accounts/${bare(address)}`, query }
    const { balance } = await this.#get(request, rest.accountAnswer, signal)
    return balance as Ufix64Units
  }

  /** Names of the contracts on an account. The node sends their sources too: not for every step. */
  async contractNames(address: string, signal: AbortSignal): Promise<readonly string[]> {
    const query = { block_height: 'sealed', expand: 'contracts' }
    const request = { path: `/v1/accounts/${bare(address)}`, query }
    const { contracts } = await this.#get(request, rest.accountAnswer, signal)
    return Object.keys(contracts ?? {})
  }

  /** `flow-mainnet`, `flow-testnet`, `flow-emulator` */
  async chainId(signal: AbortSignal): Promise<string> {
    const path = '/v1/network/parameters'
    return (await this.#get({ path }, rest.networkAnswer, signal)).chain_id
  }

  /**
   * Runs a script on sealed state: the newest, or that after the block of a height.
   *
   * @returns JSON-Cadence
   */
  async script(
    { name, source }: Script,
    args: readonly CadenceValue[],
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<unknown> {
    const request: HttpRequest = {
      method: 'POST',
      path: '/v1/scripts',
      query: { block_height: atHeight === undefined ? 'sealed' : atHeight.toString() },
      body: {
        script: base64(source),
        arguments: args.map((argument) => base64(JSON.stringify(argument))),
      },
    }
    const what = `the script ${name}`
    const answer = await this.#http.request(request, signal)
    return json(read(what, answer, rest.scriptAnswer), what)
  }

  /** Events of a type in blocks `from` to `to`, both inclusive, in the order they happened. */
  async events(
    type: string,
    range: { readonly from: number; readonly to: number },
    signal: AbortSignal,
  ): Promise<readonly RawEvent[]> {
    const { from, to } = range
    assert(from <= to && to - from < EVENT_BLOCKS_MAX, `events of blocks ${from} to ${to}`)
    const query = { type, start_height: from.toString(), end_height: to.toString() }
    const blocks = await this.#get({ path: '/v1/events', query }, rest.eventsAnswer, signal)
    return blocks
      .toSorted((a, b) => a.block_height - b.block_height)
      .flatMap(({ block_height: height, events }) =>
        (events ?? [])
          .toSorted(
            (a, b) => a.transaction_index - b.transaction_index || a.event_index - b.event_index,
          )
          .map((event) => ({ height, txId: event.transaction_id, payload: event.payload })),
      )
  }

  async transactionResult(txId: string, signal: AbortSignal): Promise<TransactionResult> {
    const request = { path: `/v1/transaction_results/${txId}` }
    const answer = await this.#http.request(request, signal)
    if (answer.status === 404) return { status: 'unknown' }
    const result = read(request.path, answer, rest.resultAnswer)
    switch (result.status) {
      case 'Sealed': {
        const failed = result.status_code !== 0 || result.error_message !== ''
        return { status: 'sealed', error: failed ? result.error_message : undefined }
      }
      case 'Pending':
      case 'Finalized':
      case 'Executed':
        return { status: 'pending' }
      default: // Empty, or Expired, which only the node says that once took it.
        return { status: 'unknown' }
    }
  }

  /**
   * Hands in a transaction. A second time is a success too.
   *
   * @param body of POST /v1/transactions
   * @throws RetryableError `settler_rejected` where the node will not take it
   */
  async submit(body: object, txId: string, signal: AbortSignal): Promise<SubmitAnswer> {
    const request: HttpRequest = { method: 'POST', path: '/v1/transactions', body }
    const answer = await this.#http.request(request, signal)
    if (!isSuccess(answer)) {
      const message = messageOf(answer)
      // Real nodes take a duplicate in silence, the emulator answers 500.
      if (message.includes('already been submitted')) return 'taken'
      if (message.includes('transaction is expired')) return 'expired' // 400; the emulator's is 500.
      if (answer.status === 400) throw new RetryableError('settler_rejected', message)
    }
    const { id } = read(request.path, answer, rest.submitAnswer)
    assert(id === txId, `the node calls transaction ${txId} ${id}: its id is computed wrongly`)
    return 'taken'
  }

  async #get<T>(request: HttpRequest, shape: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    return read(request.path, await this.#http.request(request, signal), shape)
  }
}

function read<T>(what: string, answer: HttpAnswer, shape: z.ZodType<T>): T {
  if (!isSuccess(answer)) {
    const isPassing = answer.status === 429 || answer.status >= 500
    const code = isPassing ? 'settler_unreachable' : 'settler_nonsense'
    const message = `Flow answered ${answer.status} to ${what}: ${messageOf(answer)}`
    throw new RetryableError(code, message)
  }
  const parsed = shape.safeParse(answer.json())
  if (parsed.success) return parsed.data
  const message = `Flow's answer to ${what}: ${z.prettifyError(parsed.error)}`
  throw new RetryableError('settler_nonsense', message)
}

function isSuccess({ status }: HttpAnswer): boolean {
  return status >= 200 && status < 300
}

/** The node's own words. */
function messageOf({ text, json }: HttpAnswer): string {
  const parsed = rest.errorAnswer.safeParse(orUndefined(json))
  return reasonOf(parsed.success ? parsed.data.message : text)
}

function orUndefined(read: () => unknown): unknown {
  try {
    return read()
  } catch {
    return undefined
  }
}

export function json(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new RetryableError('settler_nonsense', `${what} is not JSON`)
  }
}

function bare(address: string): string {
  return address.replace(/^0x/, '')
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
