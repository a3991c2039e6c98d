import { keccak, utf8 } from '../../../../src/domain/bytes.js'
import { RetryableError, TerminalError } from '../../../../src/domain/errors.js'
import type { Call, Fate, Lane, Rescue, SignedTx, TxId } from '../../../../src/ports/lane.js'
import { decode, encode } from '../../../../src/store/json.js'
import type { Wire } from '../wire.js'
import { type EvmBody, type EvmChain, type EvmTx, lastOf } from './evm.js'
import { meterOf } from './meter.js'

/** A block's price may double before the transaction lands. */
const HEADROOM = 2
const PRICE_MAX = 1_000
/** From when this process first saw it. */
const STUCK_MS = 60_000
/** What FDC asks for an attestation. */
const FEE = 1_000n

/** One key on the model chain. Reads like the real lane: nonce first, then the receipt. */
export class EvmLane implements Lane {
  readonly name: string
  readonly lastRefusal = undefined
  /** Every transaction whose bytes have left us. */
  readonly sent: Set<string>
  readonly #from: string
  readonly #chain: EvmChain
  readonly #wire: Wire
  readonly #nowMs: () => number
  readonly #seenAtMs = new Map<string, number>()

  constructor(from: string, chain: EvmChain, wire: Wire, nowMs: () => number, sent: Set<string>) {
    this.name = `model-evm/${from}`
    this.#from = from
    this.#chain = chain
    this.#wire = wire
    this.#nowMs = nowMs
    this.sent = sent
  }

  async sign({ what, body }: Call, signal: AbortSignal): Promise<SignedTx> {
    signal.throwIfAborted()
    const lag = this.#wire.ask()
    this.#estimate(what, body as EvmBody, lag)
    return this.#signed(this.#chain.nonce(this.#from, lag), this.#price(), body as EvmBody)
  }

  async send(tx: SignedTx, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#see(tx.id)
    this.#wire.carryOut(() => {
      this.sent.add(tx.id)
      this.#chain.send(txOf(tx, this.#from))
    })
  }

  async fate(tx: SignedTx, signal: AbortSignal): Promise<Fate> {
    signal.throwIfAborted()
    const nonce = this.#chain.nonce(this.#from, this.#wire.ask())
    const receipt = this.#chain.receipt(tx.id, this.#wire.ask())
    if (receipt !== undefined) return receipt.refusal === undefined ? 'landed' : 'refused'
    return nonce > txOf(tx, this.#from).nonce ? 'gone' : 'open'
  }

  async rescue(variants: readonly SignedTx[], signal: AbortSignal): Promise<Rescue | undefined> {
    signal.throwIfAborted()
    const newest = variants.at(-1)
    if (newest === undefined) return undefined
    const tx = txOf(newest, this.#from)
    const isLate = this.#nowMs() - this.#see(newest.id) > STUCK_MS
    const lag = this.#wire.ask()
    if (!isLate && tx.price >= this.#chain.basePrice) return undefined
    const next = this.#chain.nonce(this.#from, lag)
    if (next > tx.nonce) return undefined
    if (next < tx.nonce) {
      if (!isLate) return undefined
      return { role: 'filler', tx: this.#signed(next, this.#price(), { kind: 'nothing' }) }
    }
    const price = Math.max(tx.price + Math.ceil(tx.price / 10), this.#price())
    return { role: 'variant', tx: this.#signed(tx.nonce, price, tx.body) }
  }

  #price(): number {
    const price = this.#chain.basePrice * HEADROOM
    if (price > PRICE_MAX) throw new RetryableError('gas_price_too_high', `${price}`)
    return price
  }

  /** A node tries the call before it is signed, on what it knows. */
  #estimate(what: string, body: EvmBody, lag: number): void {
    if (body.kind !== 'anchor') return
    const last = lastOf(this.#chain.view(lag).anchors, meterOf(body.header, body.signature))
    const { seq, prevRoot } = body.header
    if (seq === last.seq + 1n && prevRoot === last.root) return
    throw new TerminalError('transaction_refused', `${what}: SeqNotNext`)
  }

  #signed(nonce: number, price: number, body: EvmBody): SignedTx {
    const bytes = encode({ nonce, price, body })
    const cost = body.kind === 'request' ? { cost: FEE } : {}
    return { id: keccak(utf8(`${this.#from} ${bytes}`)) as string as TxId, bytes, ...cost }
  }

  #see(id: string): number {
    const seenAtMs = this.#seenAtMs.get(id) ?? this.#nowMs()
    this.#seenAtMs.set(id, seenAtMs)
    return seenAtMs
  }
}

function txOf({ id, bytes }: SignedTx, from: string): EvmTx {
  return { id, from, ...decode<Omit<EvmTx, 'id' | 'from'>>(bytes) }
}
