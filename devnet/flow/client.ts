import { setTimeout as sleep } from 'node:timers/promises'
import {
  address,
  type CadenceValue,
  decode,
  type Plain,
  string,
  ufix64,
  uint,
} from './cadence-json.js'
import { RestError, request, requestAgain } from './rest.js'
import {
  decodeEvent,
  decodePayload,
  type FlowEvent,
  type RawEvent,
  type RawResult,
  resultOf,
  type TransactionResult,
} from './results.js'
import {
  CREATE_ACCOUNT,
  SERVICE_ACCOUNT,
  SET_FEE_PARAMETERS,
  SYSTEM_CONTRACTS,
  TRANSFER_FLOW,
} from './system.js'
import {
  newPrivateKey,
  publicKeyOf,
  type SignedTransaction,
  type Signer,
  signTransaction,
  transactionBody,
} from './transaction.js'

/** The most one transaction may use, here and on the real networks. */
const COMPUTE_LIMIT_MAX = 9999
const SEAL_MS_MAX = 60_000
const SEAL_POLL_MS = 20

export interface ClientParts {
  readonly restUrl: string
  /** Contract name to address, besides the system contracts: resolves `import "Name"`. */
  readonly imports?: Readonly<Record<string, string>>
  /** Makes a block right after each transaction instead of waiting for the next one. Needs the
   * emulator of tools/flow-emulator. */
  readonly minesAtOnce?: boolean
}

export interface SendParts {
  readonly cadence: string
  readonly args?: readonly CadenceValue[]
  /** The authorizers, in the order of `prepare`. */
  readonly signers: readonly Signer[]
  /** Whose sequence number is used; the first signer if not given. */
  readonly proposer?: Signer
  /** Who pays the fee; the proposer if not given. */
  readonly payer?: Signer
  readonly computeLimit?: number
}

/** What became of a transaction, and how large it was. */
export interface SentResult extends TransactionResult {
  readonly bytes: number
}

export interface Block {
  readonly id: string
  readonly height: bigint
  readonly timestampMs: number
}

export interface AccountKey {
  readonly index: number
  /** x‖y in hex, without 0x. */
  readonly publicKey: string
  readonly sequenceNumber: bigint
  readonly weight: number
  readonly revoked: boolean
}

/** An account whose keys, 0 to `keys - 1`, all have the same public key and full weight. */
export interface FlowAccount extends Signer {
  readonly keys: number
  /** The same account, signing with another of its keys. */
  key(index: number): Signer
}

export interface ClockState {
  /** How far block time is ahead of the machine's. */
  readonly offsetMs: number
  readonly nowMs: number
  readonly height: number
  /** The time of the latest block. */
  readonly blockMs: number
}

/** A small client for one emulator. Transactions that share a proposal key wait for each other. */
export class FlowClient {
  readonly restUrl: string
  readonly imports: Readonly<Record<string, string>>
  readonly #minesAtOnce: boolean
  /** The last transaction of each proposal key: the next one starts when it is through. */
  readonly #queues: Map<string, Promise<unknown>>

  constructor(parts: ClientParts, queues = new Map<string, Promise<unknown>>()) {
    this.restUrl = parts.restUrl
    this.imports = { ...SYSTEM_CONTRACTS, ...parts.imports }
    this.#minesAtOnce = parts.minesAtOnce ?? false
    this.#queues = queues
  }

  /** The same client with more contracts known, or another way of waiting. */
  with(parts: Omit<ClientParts, 'restUrl'>): FlowClient {
    const imports = { ...this.imports, ...parts.imports }
    const minesAtOnce = parts.minesAtOnce ?? this.#minesAtOnce
    return new FlowClient({ restUrl: this.restUrl, imports, minesAtOnce }, this.#queues)
  }

  /**
   * Signs and sends a transaction and waits until it is sealed. A body that fails is no throw but
   * an `error` of the result.
   *
   * @throws RestError when the node refuses it; Error when it is not sealed within a minute.
   */
  async send(parts: SendParts): Promise<SentResult> {
    const [first] = parts.signers
    const proposer = parts.proposer ?? first
    if (proposer === undefined) throw new Error('a transaction needs a signer or a proposer')
    const queue = `${proposer.address}/${proposer.keyIndex}`
    const turn = (this.#queues.get(queue) ?? Promise.resolve()).then(() =>
      this.#sendNow(parts, proposer),
    )
    this.#queues.set(
      queue,
      turn.catch(() => {}),
    )
    return turn
  }

  /** As `send`, but a body that fails is an Error too. */
  async sendOrThrow(parts: SendParts): Promise<SentResult> {
    const result = await this.send(parts)
    if (result.error !== null) throw new Error(`transaction ${result.id} failed: ${result.error}`)
    return result
  }

  /** Runs a script on the latest sealed block. @throws RestError with Cadence's message. */
  async script(cadence: string, args: readonly CadenceValue[] = []): Promise<Plain> {
    const body = {
      script: base64(this.resolveImports(cadence)),
      arguments: args.map((arg) => base64(JSON.stringify(arg))),
    }
    return decodePayload(await this.#request('/v1/scripts?block_height=sealed', body))
  }

  /** Writes an address into every `import "Name"`. @throws Error for a name that is not known. */
  resolveImports(cadence: string): string {
    return cadence.replace(/^([ \t]*)import[ \t]+"(\w+)"/gm, (_, indent: string, name: string) => {
      const where = this.imports[name]
      if (where === undefined) throw new Error(`no address is known for import "${name}"`)
      return `${indent}import ${name} from ${where}`
    })
  }

  /** Makes an account with FLOW in it (1.0 if not said), paid for by the service account. */
  async createAccount(
    parts: { keys?: number; fundFlow?: string; privateKey?: Uint8Array } = {},
  ): Promise<FlowAccount> {
    const { keys = 1, fundFlow = '1.0', privateKey = newPrivateKey() } = parts
    const at = await this.createAccountFor(publicKeyOf(privateKey), { keys, fundFlow })
    return flowAccount(at, privateKey, keys)
  }

  /** The same for somebody else's key, x ‖ y in hex, of which no private part is known. */
  async createAccountFor(
    publicKey: string,
    { keys, fundFlow }: { readonly keys: number; readonly fundFlow: string },
  ): Promise<string> {
    const result = await this.sendOrThrow({
      cadence: CREATE_ACCOUNT,
      args: [string(publicKey), uint('Int', keys), ufix64(fundFlow)],
      signers: [SERVICE_ACCOUNT],
    })
    const created = result.events.find(({ type }) => type === 'flow.AccountCreated')
    const at = created?.fields.address
    if (typeof at !== 'string') throw new Error(`transaction ${result.id} made no account`)
    return at
  }

  /** Gives FLOW of the service account. */
  async fund(to: string, amount: string | bigint): Promise<TransactionResult> {
    const args = [address(to), ufix64(amount)]
    return this.sendOrThrow({ cadence: TRANSFER_FLOW, args, signers: [SERVICE_ACCOUNT] })
  }

  /** FLOW of an account, in 1e-8. */
  async balance(of: string): Promise<bigint> {
    const { balance } = (await this.#request(`/v1/accounts/${bare(of)}`)) as { balance: string }
    return BigInt(balance)
  }

  async accountKey(of: string, index: number): Promise<AccountKey> {
    const key = (await this.#request(`/v1/accounts/${bare(of)}/keys/${index}`)) as {
      public_key: string
      sequence_number: string
      weight: string
      revoked: boolean
    }
    return {
      index,
      publicKey: bare(key.public_key),
      sequenceNumber: BigInt(key.sequence_number),
      weight: Number(key.weight),
      revoked: key.revoked,
    }
  }

  /** The latest sealed block, or the one of that id or height. */
  async block(which: string | bigint = 'sealed'): Promise<Block> {
    const isId = typeof which === 'string' && which !== 'sealed'
    const blocks = await this.#request(`/v1/blocks${isId ? '/' : '?height='}${which}`)
    const [block] = blocks as { header: { id: string; height: string; timestamp: string } }[]
    if (block === undefined) throw new Error(`no block ${which}`)
    const { id, height, timestamp } = block.header
    return { id, height: BigInt(height), timestampMs: Date.parse(timestamp) }
  }

  /** Events of one type ("A.<address>.<Contract>.<Event>") in a range of blocks, oldest first. */
  async events(type: string, from: bigint, to: bigint): Promise<FlowEvent[]> {
    const query = `type=${type}&start_height=${from}&end_height=${to}`
    const blocks = (await this.#request(`/v1/events?${query}`)) as { events: RawEvent[] | null }[]
    return blocks.flatMap(({ events }) => (events ?? []).map(decodeEvent))
  }

  async clock(): Promise<ClockState> {
    return this.#ownRoute('/clock')
  }

  /** Moves block time forward. A block with the new time is there when this returns. (Cadence
   * sees the whole seconds of it.) */
  async moveClock(advanceMs: number): Promise<ClockState> {
    return this.#ownRoute('/clock', { advanceMs })
  }

  /** Makes a block now. */
  async makeBlock(): Promise<ClockState> {
    return this.#ownRoute('/block', {})
  }

  /** Sets the fee factors of Flow mainnet, if they are others: 0.0001 FLOW for being included and
   * 0.00004 FLOW per computation unit (FLIP 351/352). The emulator's own charge 0.00001 in all. */
  async setFeeParameters(): Promise<void> {
    const current = await this.script(`
      import "FlowFees"
      access(all) fun main(): [UFix64] {
        let now = FlowFees.getFeeParameters()
        return [now.surgeFactor, now.inclusionEffortCost, now.executionEffortCost]
      }`)
    const wanted = ['1.0', '0.0001', '4000.0'].map((factor) => ufix64(factor))
    if (String(current) === String(wanted.map(decode))) return
    const signers = [SERVICE_ACCOUNT]
    await this.sendOrThrow({ cadence: SET_FEE_PARAMETERS, args: wanted, signers })
  }

  async #sendNow(parts: SendParts, proposer: Signer): Promise<SentResult> {
    const [block, key] = await Promise.all([
      this.block(),
      this.accountKey(proposer.address, proposer.keyIndex),
    ])
    const tx = signTransaction({
      script: this.resolveImports(parts.cadence),
      args: (parts.args ?? []).map((arg) => JSON.stringify(arg)),
      computeLimit: parts.computeLimit ?? COMPUTE_LIMIT_MAX,
      referenceBlockId: block.id,
      proposer,
      sequenceNumber: key.sequenceNumber,
      payer: parts.payer ?? proposer,
      authorizers: parts.signers,
    })
    await this.#submit(tx)
    if (this.#minesAtOnce) await this.makeBlock()
    return { ...(await this.sealed(tx.id)), bytes: tx.bytes }
  }

  /** The same bytes again are the same transaction, so a lost answer does no harm. */
  async #submit(tx: SignedTransaction): Promise<void> {
    const url = `${this.restUrl}/v1/transactions`
    const isKnown = ({ message }: RestError): boolean => message.includes('already been submitted')
    const answer = (await requestAgain(url, transactionBody(tx), isKnown)) as
      | { id: string }
      | undefined
    if (answer !== undefined && answer.id !== tx.id) {
      throw new Error(`the node calls ${tx.id} ${answer.id}`)
    }
  }

  /** Waits until a transaction is sealed. @throws Error when it is not within a minute. */
  async sealed(id: string): Promise<TransactionResult> {
    const deadlineMs = performance.now() + SEAL_MS_MAX
    for (;;) {
      const raw = (await this.#request(`/v1/transaction_results/${id}`)) as RawResult
      if (raw.status === 'Sealed') {
        const { height } = await this.block(raw.block_id)
        return resultOf(id, height, raw)
      }
      if (performance.now() > deadlineMs) {
        throw new Error(`transaction ${id} is "${raw.status}" after ${SEAL_MS_MAX} ms`)
      }
      await sleep(SEAL_POLL_MS)
    }
  }

  async #ownRoute(path: string, body?: unknown): Promise<ClockState> {
    try {
      // Moving the clock twice would move it twice as far.
      return (await request(`${this.restUrl}${path}`, body)) as ClockState
    } catch (error) {
      if (!(error instanceof RestError) || error.status !== 404) throw error
      throw new Error(`this emulator has no ${path}: only the one of tools/flow-emulator does`)
    }
  }

  async #request(path: string, body?: unknown): Promise<unknown> {
    return requestAgain(`${this.restUrl}${path}`, body)
  }
}

/** An account from what is known of it. */
export function flowAccount(at: string, privateKey: Uint8Array, keys = 1): FlowAccount {
  const key = (keyIndex: number): Signer => ({ address: at, keyIndex, privateKey })
  return { ...key(0), keys, key }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function bare(text: string): string {
  return text.replace(/^0x/, '')
}
