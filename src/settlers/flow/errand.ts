import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError, RetryableError, TerminalError } from '../../domain/errors.js'
import type { Done } from '../../ports/desk.js'
import type { KeySigner } from '../../ports/key-signer.js'
import type { SignedTx } from '../../ports/lane.js'
import { openSigner } from '../../signers/index.js'
import type { CadenceFiles } from './cadence.js'
import { EVENT_BLOCKS_MAX, type FlowClient, json } from './client.js'
import type { DeployerConfig } from './desk-config.js'
import { type CadenceValue, decodeCadence, type Plain } from './json-cadence.js'
import { FlowLane } from './lane.js'
import { type SignHex, signerFor } from './signing.js'
import { keptOf, signTransaction } from './transaction.js'

export interface Errand {
  /** For the person who waits: "publish the plan". */
  readonly what: string
  /** A file below cadence/transactions, without its ending. */
  readonly transaction: string
  readonly args: readonly CadenceValue[]
  /** Whether it is so already after a sealed block. Left out: doing it twice does it twice. */
  readonly isDone?: (height: number, signal: AbortSignal) => Promise<boolean>
}

export interface ErrandsParts {
  readonly client: FlowClient
  readonly files: CadenceFiles
  readonly config: DeployerConfig
  /** The variables that the key comes from, for messages. */
  readonly variables: { readonly address: string; readonly key: string; readonly keyIndex: string }
  /** Told the transaction's id before it is sent, and what then becomes of it. */
  readonly tell: (line: string) => void
  /**
   * The number that the transaction is to have, from a run that was broken off: at most one with
   * it can ever land, so that nothing is done twice. Left out: the account's next one.
   */
  readonly sequenceNumber?: bigint
}

interface Turn {
  readonly height: number
  readonly sequenceNumber: bigint
  readonly sign: SignHex
}

const POLL_MS = 500

/** Sends one person's transactions, one after the other, and waits for each. */
export class Errands {
  readonly #parts: ErrandsParts
  readonly #lane: FlowLane
  readonly #signer: KeySigner

  constructor(parts: ErrandsParts) {
    this.#parts = parts
    const { client, files, config, variables } = parts
    const { keyIndex } = config
    this.#signer = openSigner(config.privateKey, variables.key)
    this.#lane = new FlowLane({ client, files, keyIndex, signer: this.#signer, config })
  }

  /**
   * The key's number and what the contract says are read after the same block. So when an earlier
   * run's transaction is still under way, this one has its number, and only one of them can land.
   */
  async run(errand: Errand, signal: AbortSignal): Promise<Done> {
    const turn = await this.#turn(signal)
    if ((await errand.isDone?.(turn.height, signal)) === true) return {}
    const tx = await this.#sign(errand, turn, signal)
    const { config, tell } = this.#parts
    const key = `key ${config.keyIndex} of ${config.accountAddress}`
    tell(`${errand.what}: transaction ${tx.id}, number ${turn.sequenceNumber} of ${key}`)
    try {
      await this.#lane.send(tx, signal)
      await this.#landed(errand, tx, signal)
    } catch (error) {
      if (!signal.aborted) throw error
      const again =
        errand.isDone === undefined
          ? `With --sequence-number ${turn.sequenceNumber} the same command cannot do it twice.`
          : 'Run the command again: it does not do it twice.'
      throw new TerminalError(
        'broken_off',
        `${errand.what}: broken off, and transaction ${tx.id} may still land. ${again}`,
      )
    }
    tell(`${errand.what}: done`)
    return { txId: tx.id }
  }

  /** Fields of an event that a transaction of ours gave; undefined where it gave none. */
  async event(
    txId: string,
    type: string,
    signal: AbortSignal,
  ): Promise<{ readonly [field: string]: Plain } | undefined> {
    const { client, config } = this.#parts
    const height = await client.sealedHeight(signal)
    // It was sealed since its reference block, which cannot be older than its expiry.
    const oldest = Math.max(0, height - config.transactionExpiryBlocks)
    for (let to = height; to >= oldest; to -= EVENT_BLOCKS_MAX) {
      const from = Math.max(oldest, to - EVENT_BLOCKS_MAX + 1)
      const events = await client.events(type, { from, to }, signal)
      const ours = events.find((event) => event.txId === txId)
      if (ours !== undefined) return decodeCadence(json(ours.payload, type)) as never
    }
    return undefined
  }

  async #turn(signal: AbortSignal): Promise<Turn> {
    const { client, config, variables, sequenceNumber } = this.#parts
    const { accountAddress, keyIndex } = config
    const height = await client.sealedHeight(signal)
    const key = await client.accountKey(accountAddress, keyIndex, signal, height)
    if (sequenceNumber !== undefined && key.sequenceNumber !== sequenceNumber) {
      throw new TerminalError(
        'number_used',
        `the next number of key ${keyIndex} of ${accountAddress} is ${key.sequenceNumber}: the ` +
          `transaction with number ${sequenceNumber} was executed. Look it up by its id.`,
      )
    }
    try {
      const name = `key ${keyIndex} of ${accountAddress}`
      const sign = await signerFor(this.#signer, key, name, signal)
      return { height, sequenceNumber: key.sequenceNumber, sign }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      const message = error.message
        .replaceAll('FLOW_ACCOUNT_ADDRESS', variables.address)
        .replaceAll('FLOW_PRIVATE_KEY', variables.key)
        .replaceAll('FLOW_KEY_INDEXES', variables.keyIndex)
      throw new ConfigError(error.code, message)
    }
  }

  async #sign(errand: Errand, turn: Turn, signal: AbortSignal): Promise<SignedTx> {
    const { client, files, config } = this.#parts
    return signTransaction({
      cadence: files.transaction(errand.transaction),
      args: errand.args,
      reference: await client.finalBlock(signal),
      address: config.accountAddress,
      keyIndex: config.keyIndex,
      sequenceNumber: turn.sequenceNumber,
      sign: turn.sign,
    })
  }

  async #landed({ what }: Errand, tx: SignedTx, signal: AbortSignal): Promise<void> {
    for (;;) {
      switch (await this.#lane.fate(tx, signal)) {
        case 'landed':
          return
        case 'refused':
          throw new TerminalError(
            'transaction_refused',
            `${what}: ${this.#lane.lastRefusal ?? 'refused'}`,
          )
        case 'gone':
          throw new RetryableError(
            'transaction_gone',
            `${what}: another transaction took number ${keptOf(tx).sequenceNumber}, or it was ` +
              'not taken in time. Look what is there, then run it again.',
          )
        case 'open':
          await sleep(POLL_MS, undefined, { signal })
      }
    }
  }
}
