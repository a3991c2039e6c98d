import { keccak, utf8 } from '../../../../src/domain/bytes.js'
import { RetryableError } from '../../../../src/domain/errors.js'
import type { Call, Fate, Lane, SignedTx, TxId } from '../../../../src/ports/lane.js'
import { decode, encode } from '../../../../src/store/json.js'
import type { Wire } from '../wire.js'
import type { FlowBody } from './contracts.js'
import { EXPIRY_BLOCKS, type FlowChain, type FlowResult, type FlowTx } from './flow.js'

const MARGIN_BLOCKS = 30
/** Collectors refuse what is about to expire. */
const SUBMIT_BUFFER_BLOCKS = 30
/** The newest final block is ahead of the newest sealed one. */
const FINAL_AHEAD_BLOCKS = 4

/** What the judge wants to know of it; outlives the process. */
export interface Told {
  /** Every transaction whose bytes have left us. */
  readonly sent: Set<string>
  /** Those that were said to be gone, and at which height: none may land after that. */
  readonly gone: Map<string, number>
}

/** One proposal key of the account. Decides like the real lane: result, then height and number. */
export class FlowLane implements Lane {
  readonly name: string
  lastRefusal: string | undefined
  readonly #key: string
  readonly #chain: FlowChain
  readonly #wire: Wire
  readonly #told: Told

  constructor(key: string, chain: FlowChain, wire: Wire, told: Told) {
    this.name = `model-flow/${key}`
    this.#key = key
    this.#chain = chain
    this.#wire = wire
    this.#told = told
  }

  async sign({ body }: Call, signal: AbortSignal): Promise<SignedTx> {
    signal.throwIfAborted()
    const reference = this.#height() + FINAL_AHEAD_BLOCKS
    const sequence = this.#chain.sequence(this.#key, this.#height())
    const bytes = encode({ sequence, refHeight: reference, body: body as FlowBody })
    return { id: keccak(utf8(`${this.#key} ${bytes}`)) as string as TxId, bytes }
  }

  async send(tx: SignedTx, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#wire.carryOut(() => {
      this.#told.sent.add(tx.id)
      const flowTx = this.#txOf(tx)
      // An expired one may have landed before: only its fate can say.
      const isLate = this.#chain.height > flowTx.refHeight + EXPIRY_BLOCKS - SUBMIT_BUFFER_BLOCKS
      if (!isLate) this.#chain.submit(flowTx)
    })
  }

  async fate(tx: SignedTx, signal: AbortSignal): Promise<Fate> {
    signal.throwIfAborted()
    const result = this.#result(tx.id)
    if (result !== undefined) return this.#sealedFate(tx.id, result)
    const { sequence, refHeight } = this.#txOf(tx)
    const height = this.#height()
    const isConsumed = this.#chain.sequence(this.#key, height) > sequence
    if (!isConsumed && height < refHeight + EXPIRY_BLOCKS + MARGIN_BLOCKS) return 'open'
    const last = this.#result(tx.id)
    return last === undefined ? this.#isGone(tx.id) : this.#sealedFate(tx.id, last)
  }

  /** Says that it never will land, whatever the rules say. For a planted bug. */
  giveUp({ id }: SignedTx): Fate {
    return this.#isGone(id)
  }

  #sealedFate(id: string, { error }: FlowResult): Fate {
    if (error === undefined) return 'landed'
    if (error.code === 1007) return this.#isGone(id)
    this.lastRefusal = error.message
    return 'refused'
  }

  #isGone(id: string): Fate {
    if (!this.#told.gone.has(id)) this.#told.gone.set(id, this.#chain.height)
    return 'gone'
  }

  /** Undefined from a node that never saw it, or is behind. */
  #result(id: string): FlowResult | undefined {
    const height = this.#height()
    const found = this.#chain.results.get(id)
    return found !== undefined && found.height <= height ? found : undefined
  }

  #height(): number {
    const height = this.#chain.height - this.#wire.ask()
    if (height < 1) throw new RetryableError('flow_unreachable', 'a node without blocks')
    return height
  }

  #txOf({ id, bytes }: SignedTx): FlowTx {
    return { id, key: this.#key, ...decode<Omit<FlowTx, 'id' | 'key'>>(bytes) }
  }
}
