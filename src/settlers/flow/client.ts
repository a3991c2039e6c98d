import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { assert, RetryableError } from '../../domain/errors.js'
import type { Ufix64Units } from '../../domain/money.js'
import type { HttpAnswer, HttpRequest } from '../../runtime/http-client.js'
import { type AccessNode, AccessNodes, type AccessNodesParts } from './access-nodes.js'
import type { Script } from './cadence.js'
import { reasonOf } from './cadence-error.js'
import { type CadenceValue, decodeCadence } from './json-cadence.js'
import * as rest from './rest.js'

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
  | {
      readonly status: 'sealed'
      readonly error: string | undefined
      /** In units, as its fee says; undefined where it says none. */
      readonly computation: number | undefined
    }

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

/**
 * How far a node may be behind what another has said, in blocks. Behind a public address stand many
 * nodes, which differ by a few; one that has stopped differs by ever more.
 */
const BEHIND_MAX = 20
/** Whatever was said before: a chain that was set back, or a node that was far ahead of itself. */
const NEWEST_MS_MAX = 60_000
/** A node that has stopped goes on answering: how often the others are asked how far they are. */
const LOOK_AROUND_MS = 5_000
/** A node that has not got a sealed block yet has it a moment later. */
const BEHIND_TRIES = 3
const BEHIND_WAIT_MS = 400

/**
 * The REST API of Flow's access nodes. State is read at a height that a node named as sealed, and
 * that never falls: so an answer is never older than one before, whichever node gave it.
 *
 * @throws RetryableError `settler_unreachable` on silence, on 429 and on 5xx; `settler_behind` where
 * a node lacks a block; `settler_nonsense` on any other refusal or an answer of another shape. With
 * several nodes only when none gives a better answer.
 */
export class FlowClient {
  readonly #nodes: AccessNodes
  #newest = { height: 0, atMs: 0 }
  #lookedAroundMs = Number.NEGATIVE_INFINITY

  constructor(parts: AccessNodesParts) {
    this.#nodes = new AccessNodes(parts)
  }

  /** The newest block that is final, though perhaps not sealed: to refer to. */
  finalBlock(signal: AbortSignal): Promise<Block> {
    return this.#nodes.ask((node) => this.#block(node, 'final', signal))
  }

  /** Of the newest sealed block that any node has told of. */
  async sealedHeight(signal: AbortSignal): Promise<number> {
    void this.#lookAround(signal)
    const { height } = await this.#nodes.ask((node) => this.#block(node, 'sealed', signal))
    return this.#note(height)
  }

  #note(height: number): number {
    if (height >= this.#known()) this.#newest = { height, atMs: performance.now() }
    return this.#newest.height
  }

  /** Nobody waits for it: a node that hangs must not make the others slow. */
  async #lookAround(signal: AbortSignal): Promise<void> {
    const nowMs = performance.now()
    if (this.#nodes.count < 2 || nowMs - this.#lookedAroundMs < LOOK_AROUND_MS) return
    this.#lookedAroundMs = nowMs
    await this.#nodes.askAll(async (node) => {
      this.#note((await this.#block(node, 'sealed', signal)).height)
    })
  }

  /** As it is after a sealed block; the newest one if no height is given. */
  async accountKey(
    address: string,
    index: number,
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<AccountKey> {
    const path = `/v1/accounts/${bare(address)}/keys/${index}`
    const request = await this.#at(atHeight, { path }, signal)
    return keyOf(await this.#get(request, rest.accountKeyAnswer, signal))
  }

  /** All keys of the account by their indexes, after the newest sealed block. */
  async accountKeys(
    address: string,
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<ReadonlyMap<number, AccountKey>> {
    const asked = { path: `/v1/accounts/${bare(address)}`, query: { expand: 'keys' } }
    const request = await this.#at(atHeight, asked, signal)
    const { keys } = await this.#get(request, rest.accountKeysAnswer, signal)
    return new Map(keys.map((key) => [key.index, keyOf(key)]))
  }

  async balance(address: string, signal: AbortSignal): Promise<Ufix64Units> {
    const query = { block_height: 'sealed' }
    const request = { path: `/v1/accounts/${bare(address)}`, query }
    const { balance } = await this.#get(request, rest.accountAnswer, signal)
    return balance as Ufix64Units
  }

  /** Names of the contracts on an account. The node sends their sources too: not for every step. */
  async contractNames(address: string, signal: AbortSignal): Promise<readonly string[]> {
    return [...(await this.contracts(address, signal)).keys()]
  }

  /** The sources of an account's contracts, by their names. */
  async contracts(address: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const query = { block_height: 'sealed', expand: 'contracts' }
    const request = { path: `/v1/accounts/${bare(address)}`, query }
    const { contracts } = await this.#get(request, rest.accountAnswer, signal)
    const entries = Object.entries(contracts ?? {})
    return new Map(entries.map(([name, code]) => [name, Buffer.from(code, 'base64').toString()]))
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
    const body = {
      script: base64(source),
      arguments: args.map((argument) => base64(JSON.stringify(argument))),
    }
    const asked = { method: 'POST', path: '/v1/scripts', body } as const
    const request = await this.#at(atHeight, asked, signal)
    const what = `the script ${name}`
    const answer = await this.#whenThere(async ({ http, scripts }) => {
      await scripts?.turn(signal)
      return read(what, await http.request(request, signal), rest.scriptAnswer)
    }, signal)
    return json(answer, what)
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
    const request = { path: '/v1/events', query }
    const blocks = await this.#whenThere(async (node) => {
      // A node that lacks the last blocks answers for those it has, and does not say so.
      const { height } = await this.#block(node, 'sealed', signal)
      if (height < to) throw behind(`a node is at block ${height}, not yet at ${to}`)
      return read(request.path, await node.http.request(request, signal), rest.eventsAnswer)
    }, signal)
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

  /** A node may never have heard of it, so all are asked until one has it sealed. */
  transactionResult(txId: string, signal: AbortSignal): Promise<TransactionResult> {
    const request = { path: `/v1/transaction_results/${txId}` }
    return this.#nodes.ask(
      async ({ http }) => resultOf(request, await http.request(request, signal)),
      ({ status }) => status === 'sealed',
    )
  }

  /**
   * Hands in a transaction, at all nodes: one may take it and lose it. A second time is a success too.
   *
   * @param body of POST /v1/transactions
   * @throws RetryableError `settler_rejected` where the node will not take it
   */
  async submit(body: object, txId: string, signal: AbortSignal): Promise<SubmitAnswer> {
    const request: HttpRequest = { method: 'POST', path: '/v1/transactions', body }
    const handIn = async ({ http }: AccessNode): Promise<SubmitAnswer> => {
      const answer = await http.request(request, signal)
      if (!isSuccess(answer)) {
        const message = messageOf(answer)
        // Real nodes take a duplicate in silence, the emulator answers 500.
        if (message.includes('already been submitted')) return 'taken'
        // 400; the emulator's is 500.
        if (message.includes('transaction is expired')) return 'expired'
        if (answer.status === 400) throw new RetryableError('settler_rejected', message)
      }
      const { id } = read(request.path, answer, rest.submitAnswer)
      assert(id === txId, `the node calls transaction ${txId} ${id}: its id is computed wrongly`)
      return 'taken'
    }
    return this.#nodes.ask(handIn, () => false)
  }

  async #block({ http }: AccessNode, which: 'sealed' | 'final', signal: AbortSignal) {
    const request = { path: '/v1/blocks', query: { height: which } }
    const answer = await http.request(request, signal)
    const [{ header }] = read(request.path, answer, rest.blocksAnswer)
    const known = this.#known()
    if (header.height + BEHIND_MAX >= known) return header
    throw behind(`a node is at block ${header.height}, others at ${known}`)
  }

  /** A sealed height that was told lately. */
  #known(): number {
    const { height, atMs } = this.#newest
    if (performance.now() - atMs > NEWEST_MS_MAX) this.#newest = { height: 0, atMs }
    return this.#newest.height === 0 ? 0 : height
  }

  async #at(
    height: number | undefined,
    request: HttpRequest,
    signal: AbortSignal,
  ): Promise<HttpRequest> {
    const at = height ?? (await this.sealedHeight(signal))
    return { ...request, query: { ...request.query, block_height: at.toString() } }
  }

  #get<T>(request: HttpRequest, shape: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const question = async ({ http }: AccessNode) =>
      read(request.path, await http.request(request, signal), shape)
    return this.#whenThere(question, signal)
  }

  /** Asks again where all that is wrong is that a sealed block has not come to the node yet. */
  async #whenThere<T>(question: (node: AccessNode) => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#nodes.ask(question)
      } catch (error) {
        const isBehind = error instanceof RetryableError && error.code === 'settler_behind'
        if (!isBehind || tries === BEHIND_TRIES) throw error
        await sleep(BEHIND_WAIT_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
      }
    }
  }
}

function behind(message: string): RetryableError {
  return new RetryableError('settler_behind', message)
}

function keyOf(key: z.infer<typeof rest.accountKeyAnswer>): AccountKey {
  return {
    publicKey: key.public_key,
    signingAlgorithm: key.signing_algorithm,
    hashingAlgorithm: key.hashing_algorithm,
    sequenceNumber: key.sequence_number,
    weight: key.weight,
    isRevoked: key.revoked,
  }
}

function resultOf(request: HttpRequest, answer: HttpAnswer): TransactionResult {
  if (answer.status === 404) return { status: 'unknown' }
  const result = read(request.path, answer, rest.resultAnswer)
  switch (result.status) {
    case 'Sealed': {
      const failed = result.status_code !== 0 || result.error_message !== ''
      const error = failed ? result.error_message : undefined
      return { status: 'sealed', error, computation: computationOf(result.events ?? []) }
    }
    case 'Pending':
    case 'Finalized':
    case 'Executed':
      return { status: 'pending' }
    default: // Empty, or Expired, which only the node says that once took it.
      return { status: 'unknown' }
  }
}

/** The result's own figure is 0 on some nodes; the fee is paid for what was really used. */
function computationOf(
  events: readonly { readonly type: string; readonly payload: string }[],
): number | undefined {
  const fees = events.find(({ type }) => type.endsWith('.FlowFees.FeesDeducted'))
  if (fees === undefined) return undefined
  const fields = decodeCadence(json(fees.payload, fees.type)) as {
    readonly [name: string]: unknown
  }
  // An effort of 1e-8 is one unit.
  const units = Math.round(Number(fields.executionEffort) * 1e8)
  return Number.isSafeInteger(units) ? units : undefined
}

function read<T>(what: string, answer: HttpAnswer, shape: z.ZodType<T>): T {
  if (!isSuccess(answer)) {
    const message = `Flow answered ${answer.status} to ${what}: ${messageOf(answer)}`
    throw new RetryableError(codeOf(answer.status), message)
  }
  const parsed = shape.safeParse(answer.json())
  if (parsed.success) return parsed.data
  const message = `Flow's answer to ${what}: ${z.prettifyError(parsed.error)}`
  throw new RetryableError('settler_nonsense', message)
}

function codeOf(status: number): string {
  if (status === 429 || status >= 500) return 'settler_unreachable'
  return status === 404 ? 'settler_behind' : 'settler_nonsense'
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
