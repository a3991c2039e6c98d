import { keccak, utf8 } from '../../src/domain/bytes.js'
import { RetryableError } from '../../src/domain/errors.js'
import type { Call, Fate, Lane, SignedTx, TxId } from '../../src/ports/lane.js'
import { decode, encode } from '../../src/store/json.js'

interface Waiting {
  readonly nonce: number
  readonly body: unknown
}

/**
 * One key on a chain that is kept in memory. A transaction has the key's next number, waits in the
 * pool until a block is mined, and then lands or is refused; each number is used once. The chain
 * outlives the process that uses it.
 */
export class TestLane implements Lane {
  readonly name: string
  /** What was executed, in order, refused or not. */
  readonly executed: { readonly id: TxId; readonly fate: Fate }[] = []
  lastRefusal: string | undefined
  /** As long as it is set, nobody can be asked. */
  isUnreachable = false
  readonly #execute: (body: unknown) => string | undefined
  readonly #pool = new Map<TxId, Waiting>()
  readonly #fates = new Map<TxId, Fate>()
  #nextNonce = 0

  /** @param execute does what the call says, or returns why it is refused */
  constructor(name: string, execute: (body: unknown) => string | undefined) {
    this.name = name
    this.#execute = execute
  }

  get poolSize(): number {
    return this.#pool.size
  }

  /** The same call under the same number has the same id, as deterministic signatures have it. */
  async sign({ body }: Call): Promise<SignedTx> {
    this.#reach()
    const bytes = encode({ nonce: this.#nextNonce, body } satisfies Waiting)
    return { id: keccak(utf8(`${this.name} ${bytes}`)) as string as TxId, bytes }
  }

  async send({ id, bytes }: SignedTx): Promise<void> {
    this.#reach()
    const waiting = decode<Waiting>(bytes)
    if (!this.#fates.has(id) && waiting.nonce >= this.#nextNonce) this.#pool.set(id, waiting)
  }

  async fate({ id, bytes }: SignedTx): Promise<Fate> {
    this.#reach()
    const isTooLate = decode<Waiting>(bytes).nonce < this.#nextNonce
    return this.#fates.get(id) ?? (isTooLate ? 'gone' : 'open')
  }

  /** Executes what waits, in the order of numbers. */
  mine(): void {
    for (;;) {
      const next = [...this.#pool].find(([, { nonce }]) => nonce === this.#nextNonce)
      if (next === undefined) return
      const [id, { body }] = next
      this.lastRefusal = this.#execute(body)
      const fate = this.lastRefusal === undefined ? 'landed' : 'refused'
      this.#fates.set(id, fate)
      this.executed.push({ id, fate })
      this.#useNumber()
    }
  }

  /** The pool loses what waits in it. */
  forget(): void {
    this.#pool.clear()
  }

  /** The key's next number is used for something else, which makes what waits with it too late. */
  overtake(): void {
    this.#useNumber()
  }

  /** The newest block is taken back, and is mined anew without this lane's transaction. */
  undo(): void {
    const last = this.executed.pop()
    if (last === undefined) throw new Error(`${this.name} has nothing to undo`)
    this.#fates.delete(last.id)
    this.#nextNonce -= 1
  }

  #useNumber(): void {
    for (const [id, { nonce }] of this.#pool) if (nonce === this.#nextNonce) this.#pool.delete(id)
    this.#nextNonce += 1
  }

  #reach(): void {
    if (this.isUnreachable) throw new RetryableError('lane_unreachable', `${this.name} is away`)
  }
}
