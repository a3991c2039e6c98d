import { computeAddress, SigningKey, Transaction } from 'ethers'
import type { Hex } from '../../domain/bytes.js'
import { RetryableError, TerminalError } from '../../domain/errors.js'
import type { Call, Fate, Lane, SignedTx, TxId } from '../../ports/lane.js'
import { type FlareChain, toQuantity } from './chain.js'
import { NodeRefusal } from './client.js'
import type { FlareConfig } from './config.js'
import type { FeeBudget } from './fee-budget.js'
import { bigQuantity, bytes32, intQuantity } from './parse.js'

const GWEI = 1_000_000_000n
/** The price may double before the transaction lands. What it pays is the block's price. */
const PRICE_HEADROOM = 2n
/** A fifth more than estimated: storage that others change meanwhile changes what a call needs. */
const GAS_HEADROOM_PERCENT = 120n
const TAKEN = /already known|known transaction|already imported|already exists|nonce too low/i
const NO_MONEY = /insufficient (funds|balance)/i

/** What the attestor's calls are made of. */
export interface EvmCall {
  readonly to: Hex
  readonly data: Hex
  /** Wei. An attestation's fee, or none. */
  readonly value: bigint
}

export interface FlareLaneParts {
  readonly chain: FlareChain
  readonly config: Pick<FlareConfig, 'chainId' | 'gasKey' | 'gasPriceMaxGwei'>
  readonly budget: FeeBudget
  /** Names the reason of a revert from what it gave back, as far as it is known. */
  readonly explain: (revertData: unknown) => string | undefined
}

/** One key's transactions on Flare, one after the other. */
export class FlareLane implements Lane {
  readonly name: string
  /** 20 bytes, lower case. */
  readonly address: Hex
  readonly #parts: FlareLaneParts
  readonly #key: SigningKey

  constructor(parts: FlareLaneParts) {
    const { chainId, gasKey } = parts.config
    this.#parts = parts
    this.#key = new SigningKey(gasKey)
    this.address = computeAddress(this.#key).toLowerCase() as Hex
    this.name = `flare/${chainId}/${this.address}`
  }

  async sign(call: Call, signal: AbortSignal): Promise<SignedTx> {
    const { to, data, value } = call.body as EvmCall
    const { chain, config, budget } = this.#parts
    const [nonce, fees, gas] = await Promise.all([
      this.#nonce(signal),
      this.#fees(signal),
      this.#estimate(call, signal),
    ])
    const transaction = Transaction.from({
      type: 2,
      chainId: config.chainId,
      nonce,
      to,
      data,
      value,
      gasLimit: (gas * GAS_HEADROOM_PERCENT) / 100n,
      ...fees,
    })
    const balance = await chain.balance(this.address, signal)
    if (balance < value + transaction.gasLimit * fees.maxFeePerGas) throw this.#empty(call)
    // Deterministic (RFC 6979): the same fields always give the same bytes and the same id.
    transaction.signature = this.#key.sign(transaction.unsignedHash)
    budget.spend(value)
    const { hash, serialized } = transaction
    if (hash === null) throw new Error('a signed transaction has a hash')
    return { id: hash as TxId, bytes: serialized }
  }

  async send(tx: SignedTx, signal: AbortSignal): Promise<void> {
    try {
      await this.#parts.chain.ask(bytes32, 'eth_sendRawTransaction', [tx.bytes], signal)
    } catch (error) {
      if (!(error instanceof NodeRefusal)) throw error
      // With another transaction under this nonce it is too late for ours: `fate` finds that out.
      if (TAKEN.test(error.message)) return
      if (NO_MONEY.test(error.message)) throw this.#empty({ what: tx.id })
      throw new RetryableError('transaction_not_taken', error.message, { cause: error })
    }
  }

  async fate(tx: SignedTx, signal: AbortSignal): Promise<Fate> {
    // In this order: a transaction that lands in between shows in the receipt, and is not "gone".
    const nonce = await this.#nonce(signal)
    const receipt = await this.#parts.chain.receipt(tx.id, signal)
    if (receipt !== null) return receipt.status === 1 ? 'landed' : 'refused'
    return nonce > Transaction.from(tx.bytes).nonce ? 'gone' : 'open'
  }

  balance(signal: AbortSignal): Promise<bigint> {
    return this.#parts.chain.balance(this.address, signal)
  }

  #nonce(signal: AbortSignal): Promise<number> {
    const params = [this.address, 'latest']
    return this.#parts.chain.ask(intQuantity, 'eth_getTransactionCount', params, signal)
  }

  async #fees(
    signal: AbortSignal,
  ): Promise<{ maxFeePerGas: bigint; maxPriorityFeePerGas: bigint }> {
    const { chain, config } = this.#parts
    const [price, { baseFeePerGas = 0n }] = await Promise.all([
      chain.ask(bigQuantity, 'eth_gasPrice', [], signal),
      chain.block('latest', signal),
    ])
    const most = BigInt(config.gasPriceMaxGwei) * GWEI
    if (price > most) {
      const numbers = `${price / GWEI} gwei, ${config.gasPriceMaxGwei} allowed`
      const fix = 'Wait, or raise FLARE_GAS_PRICE_MAX_GWEI.'
      throw new RetryableError('gas_price_too_high', `gas costs ${numbers}. ${fix}`)
    }
    const doubled = price * PRICE_HEADROOM
    const maxFeePerGas = doubled < most ? doubled : most
    // What the node adds to the base fee is the tip that it advises.
    const maxPriorityFeePerGas = price > baseFeePerGas ? price - baseFeePerGas : 0n
    return { maxFeePerGas, maxPriorityFeePerGas }
  }

  async #estimate(call: Call, signal: AbortSignal): Promise<bigint> {
    const { to, data, value } = call.body as EvmCall
    const params = [{ from: this.address, to, data, value: toQuantity(value) }, 'latest']
    try {
      return await this.#parts.chain.ask(bigQuantity, 'eth_estimateGas', params, signal)
    } catch (error) {
      if (!(error instanceof NodeRefusal)) throw error
      if (NO_MONEY.test(error.message)) throw this.#empty(call)
      const reason = this.#parts.explain(error.data) ?? error.message
      const options = { cause: error }
      throw new TerminalError('transaction_refused', `${call.what}: ${reason}`, options)
    }
  }

  #empty({ what }: Pick<Call, 'what'>): RetryableError {
    const fix = 'Send it FLR; on Coston2, https://faucet.flare.network/coston2 gives some.'
    return new RetryableError('gas_wallet_empty', `${this.address} cannot pay for ${what}. ${fix}`)
  }
}
