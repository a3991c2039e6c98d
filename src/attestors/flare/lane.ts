import { Transaction } from 'ethers'
import type { Hash, Hex } from '../../domain/bytes.js'
import { RetryableError, TerminalError } from '../../domain/errors.js'
import type { Call, Fate, Lane, Rescue, SignedTx, TxId } from '../../ports/lane.js'
import { type FlareChain, toQuantity } from './chain.js'
import { NodeRefusal } from './client.js'
import type { FlareConfig } from './config.js'
import type { EvmKey } from './evm-key.js'
import { bigQuantity, bytes32, intQuantity } from './parse.js'

const GWEI = 1_000_000_000n
/** The price may double before the transaction lands. What it pays is the block's price. */
const PRICE_HEADROOM = 2n
/** A fifth more than estimated: storage that others change meanwhile changes what a call needs. */
const GAS_HEADROOM_PERCENT = 120n
const TAKEN = /already known|known transaction|already imported|already exists|nonce too low/i
const NO_MONEY = /insufficient (funds|balance)/i
/** Another transaction waits under the number, or the price is below what blocks ask. */
const TOO_CHEAP = /underpriced|less than block base fee|fee cap|fee too low|max fee per gas/i
/** Nodes take another transaction under the same number only for so much more, of tip and cap. */
const BUMP_PERCENT = 10n
const TRANSFER_GAS = 21_000n
/**
 * So long a number has to be used up before a transaction without a receipt counts as gone: behind one
 * URL are many nodes, and the one that is asked for the receipt may be some blocks behind.
 */
const GONE_AFTER_MS = 10_000

/** What the attestor's calls are made of. */
export interface EvmCall {
  readonly to: Hex
  readonly data: Hex
  /** Wei. An attestation's fee, or none. */
  readonly value: bigint
}

/** Makes a contract of the data. */
export interface EvmCreation extends Omit<EvmCall, 'to'> {
  readonly to: null
}

export interface FlareLaneParts {
  readonly chain: FlareChain
  readonly key: EvmKey
  readonly config: Pick<FlareConfig, 'chainId' | 'gasPriceMaxGwei' | 'stuckAfterMs'>
  /** Names the reason of a revert from what it gave back, as far as it is known. */
  readonly explain: (revertData: unknown) => string | undefined
  /** Any clock that only goes forward. */
  readonly nowMs?: () => number
}

/** The transaction that is waited for, as far as this process knows. */
interface Waiting {
  readonly sinceMs: number
  isTooCheap: boolean
}

/** One key's transactions on Flare, one after the other. */
export class FlareLane implements Lane {
  readonly name: string
  /** 20 bytes, lower case. */
  readonly address: Hex
  readonly #parts: FlareLaneParts
  readonly #waiting = new Map<string, Waiting>()
  /** Since when the number that is waited for is used up without a receipt. */
  #passed: { readonly nonce: number; readonly sinceMs: number } | undefined
  #lastSigned: { readonly digest: Hash; readonly tx: SignedTx } | undefined

  constructor(parts: FlareLaneParts) {
    this.#parts = parts
    this.address = parts.key.address
    this.name = `flare/${parts.config.chainId}/${this.address}`
  }

  async sign(call: Call, signal: AbortSignal): Promise<SignedTx> {
    const { to, data, value } = call.body as EvmCall | EvmCreation
    const { chain } = this.#parts
    const [nonce, fees, gas] = await Promise.all([
      this.#nonce(signal),
      this.#fees(signal),
      this.#estimate(call, signal),
    ])
    const gasLimit = (gas * GAS_HEADROOM_PERCENT) / 100n
    const balance = await chain.balance(this.address, signal)
    if (balance < value + gasLimit * fees.maxFeePerGas) throw this.#empty(call)
    return this.#signed({ nonce, to, data, value, gasLimit, ...fees }, signal)
  }

  async send(tx: SignedTx, signal: AbortSignal): Promise<void> {
    this.#watch(tx.id)
    try {
      await this.#parts.chain.ask(bytes32, 'eth_sendRawTransaction', [tx.bytes], signal)
    } catch (error) {
      if (!(error instanceof NodeRefusal)) throw error
      // With another transaction under this nonce it is too late for ours: `fate` finds that out.
      if (TAKEN.test(error.message)) return
      if (NO_MONEY.test(error.message)) throw this.#empty({ what: tx.id })
      if (TOO_CHEAP.test(error.message)) this.#watch(tx.id).isTooCheap = true
      throw new RetryableError('transaction_not_taken', error.message, { cause: error })
    }
  }

  async fate(tx: SignedTx, signal: AbortSignal): Promise<Fate> {
    // In this order: a transaction that lands in between shows in the receipt, and is not "gone".
    const nonce = await this.#nonce(signal)
    const receipt = await this.#parts.chain.receipt(tx.id, signal)
    if (receipt !== null) return receipt.status === 1 ? 'landed' : 'refused'
    const own = Transaction.from(tx.bytes).nonce
    if (nonce <= own) {
      if (this.#passed?.nonce === own) this.#passed = undefined
      return 'open'
    }
    if (this.#passed?.nonce !== own) this.#passed = { nonce: own, sinceMs: this.#nowMs() }
    // Signed anew too early, a request would be paid for twice.
    return this.#nowMs() - this.#passed.sinceMs < GONE_AFTER_MS ? 'open' : 'gone'
  }

  /**
   * Pays a tenth more, or today's price if that is more, where the newest variant is below what
   * blocks ask or has waited too long. Where the chain's next number is below ours for as long (a
   * reorganisation took a transaction back), fills the gap with a transfer of nothing to ourselves.
   *
   * @throws RetryableError `gas_price_too_high` above the cap: then it waits
   */
  async rescue(variants: readonly SignedTx[], signal: AbortSignal): Promise<Rescue | undefined> {
    const newest = variants.at(-1)
    if (newest === undefined) return undefined
    const waiting = this.#watch(newest.id)
    for (const id of this.#waiting.keys()) if (id !== newest.id) this.#waiting.delete(id)
    const isLate = this.#nowMs() - waiting.sinceMs > this.#parts.config.stuckAfterMs
    const tx = Transaction.from(newest.bytes)
    const { baseFeePerGas = 0n } = await this.#parts.chain.block('latest', signal)
    const isTooCheap = waiting.isTooCheap || (tx.maxFeePerGas ?? 0n) < baseFeePerGas
    if (!isLate && !isTooCheap) return undefined
    const [next, fees] = await Promise.all([this.#nonce(signal), this.#fees(signal)])
    if (next > tx.nonce) return undefined // It just landed, or never will.
    if (next < tx.nonce) {
      if (!isLate) return undefined
      const fields = { to: this.address, data: '0x' as const, value: 0n, gasLimit: TRANSFER_GAS }
      return { role: 'filler', tx: await this.#signed({ nonce: next, ...fields, ...fees }, signal) }
    }
    const dearer = { ...fieldsOf(tx), ...this.#bumped(tx, fees) }
    return { role: 'variant', tx: await this.#signed(dearer, signal) }
  }

  balance(signal: AbortSignal): Promise<bigint> {
    return this.#parts.chain.balance(this.address, signal)
  }

  /**
   * A key elsewhere may sign the same fields in two ways, which are two ids. Of them one can land, so
   * that is no harm; but whoever asks again for what was just signed gets it again.
   */
  async #signed(fields: TxFields, signal: AbortSignal): Promise<SignedTx> {
    const { key, config } = this.#parts
    const transaction = Transaction.from({ type: 2, chainId: config.chainId, ...fields })
    const digest = transaction.unsignedHash as Hash
    if (this.#lastSigned?.digest === digest) return this.#lastSigned.tx
    transaction.signature = await key.sign(digest, signal)
    const { hash, serialized } = transaction
    if (hash === null) throw new Error('a signed transaction has a hash')
    const cost = fields.value > 0n ? { cost: fields.value } : {}
    const tx = { id: hash as TxId, bytes: serialized, ...cost }
    this.#lastSigned = { digest, tx }
    return tx
  }

  #bumped(tx: Transaction, fees: Fees): Fees {
    const maxFeePerGas = most(bump(tx.maxFeePerGas ?? 0n), fees.maxFeePerGas)
    const tip = most(bump(tx.maxPriorityFeePerGas ?? 0n), fees.maxPriorityFeePerGas)
    const limit = BigInt(this.#parts.config.gasPriceMaxGwei) * GWEI
    if (maxFeePerGas > limit) throw tooDear(maxFeePerGas, limit)
    return { maxFeePerGas, maxPriorityFeePerGas: -most(-tip, -maxFeePerGas) }
  }

  /** Waiting is measured from when this process first saw it: a restart only begins anew. */
  #watch(id: TxId): Waiting {
    const known = this.#waiting.get(id) ?? { sinceMs: this.#nowMs(), isTooCheap: false }
    this.#waiting.set(id, known)
    return known
  }

  #nowMs(): number {
    return (this.#parts.nowMs ?? performance.now.bind(performance))()
  }

  #nonce(signal: AbortSignal): Promise<number> {
    const params = [this.address, 'latest']
    return this.#parts.chain.ask(intQuantity, 'eth_getTransactionCount', params, signal)
  }

  async #fees(signal: AbortSignal): Promise<Fees> {
    const { chain, config } = this.#parts
    const [price, { baseFeePerGas = 0n }] = await Promise.all([
      chain.gasPrice(signal),
      chain.block('latest', signal),
    ])
    const limit = BigInt(config.gasPriceMaxGwei) * GWEI
    if (price > limit) throw tooDear(price, limit)
    const doubled = price * PRICE_HEADROOM
    const maxFeePerGas = doubled < limit ? doubled : limit
    // What the node adds to the base fee is the tip that it advises.
    const maxPriorityFeePerGas = price > baseFeePerGas ? price - baseFeePerGas : 0n
    return { maxFeePerGas, maxPriorityFeePerGas }
  }

  async #estimate(call: Call, signal: AbortSignal): Promise<bigint> {
    const { to, data, value } = call.body as EvmCall | EvmCreation
    const target = to === null ? {} : { to }
    const params = [{ from: this.address, ...target, data, value: toQuantity(value) }, 'latest']
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

interface Fees {
  readonly maxFeePerGas: bigint
  readonly maxPriorityFeePerGas: bigint
}

interface TxFields extends Fees, Omit<EvmCall, 'to'> {
  readonly to: Hex | null
  readonly nonce: number
  readonly gasLimit: bigint
}

function fieldsOf({ nonce, to, data, value, gasLimit }: Transaction): Omit<TxFields, keyof Fees> {
  return { nonce, to: to as Hex | null, data: data as Hex, value, gasLimit }
}

/** Rounded up: a wei less than a tenth would not be taken. */
function bump(price: bigint): bigint {
  return price + (price * BUMP_PERCENT + 99n) / 100n
}

function most(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function tooDear(price: bigint, limit: bigint): RetryableError {
  const numbers = `${price / GWEI} gwei, ${limit / GWEI} allowed`
  const fix = 'Wait, or raise FLARE_GAS_PRICE_MAX_GWEI.'
  return new RetryableError('gas_price_too_high', `gas costs ${numbers}. ${fix}`)
}
