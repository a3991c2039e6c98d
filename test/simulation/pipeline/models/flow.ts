import type { Random } from '../../../../devnet/litellm/random.js'
import type { UsageCorrected } from '../../../../src/ports/settler.js'
import {
  type ContractRules,
  type EntryEvent,
  type FlowBody,
  type FlowState,
  runBody,
} from './contracts.js'

export const BLOCK_MS = 800
export const EXPIRY_BLOCKS = 600

export interface FlowTx {
  readonly id: string
  readonly key: string
  readonly sequence: number
  readonly refHeight: number
  readonly body: FlowBody
}

/** A sealed transaction. 1007: its key had another sequence number, and it never ran. */
export interface FlowResult {
  readonly height: number
  readonly error: { readonly code: number; readonly message: string } | undefined
}

/** Contract state and sequence numbers from a height on. */
interface Sealed {
  readonly height: number
  readonly state: FlowState
  readonly sequences: ReadonlyMap<string, number>
}

export interface FlowEvent extends EntryEvent {
  readonly height: number
  readonly txId: string
}

/** How the collector treats what it is given. */
export interface PoolFaults {
  /** Share of transactions that never run. */
  readonly dropped: number
  /** Share that runs late, and how late at most, in blocks. */
  readonly late: number
  readonly lateMax: number
}

/** Flow: blocks every 0.8 seconds, keys whose numbers are used once, and what lies in its pool. */
export class FlowChain {
  poolFaults: PoolFaults = { dropped: 0, late: 0, lateMax: 0 }
  rules: ContractRules
  readonly results = new Map<string, FlowResult>()
  readonly events: FlowEvent[] = []
  readonly corrections: UsageCorrected[] = []
  readonly #random: Random
  readonly #startMs: number
  readonly #pool: { readonly tx: FlowTx; readonly at: number }[] = []
  readonly #sealed: Sealed[]
  #height = 1

  constructor(random: Random, startMs: number, state: FlowState, rules: ContractRules) {
    this.#random = random
    this.#startMs = startMs
    this.rules = rules
    this.#sealed = [{ height: 1, state, sequences: new Map() }]
  }

  get height(): number {
    return this.#height
  }

  get pool(): readonly FlowTx[] {
    return this.#pool.map(({ tx }) => tx)
  }

  state(height = this.#height): FlowState {
    return this.#at(height).state
  }

  sequence(key: string, height = this.#height): number {
    return this.#at(height).sequences.get(key) ?? 0
  }

  timeOf(height: number): number {
    return Math.floor((this.#startMs + height * BLOCK_MS) / 1000)
  }

  /** Seals blocks up to now. */
  advanceTo(nowMs: number): void {
    const until = Math.floor((nowMs - this.#startMs) / BLOCK_MS)
    for (;;) {
      const due = this.#pool.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#pool.splice(this.#pool.indexOf(due), 1)
      this.#height = Math.max(this.#height, due.at)
      this.#execute(due.tx)
    }
    this.#height = Math.max(this.#height, until)
  }

  /** Takes it, or drops it in silence: a collector says nothing either way. */
  submit(tx: FlowTx): void {
    const { dropped, late, lateMax } = this.poolFaults
    if (this.results.has(tx.id) || this.pool.some(({ id }) => id === tx.id)) return
    if (this.#height > tx.refHeight + EXPIRY_BLOCKS || this.#random.next() < dropped) return
    const isLate = this.#random.next() < late
    const at = this.#height + this.#random.whole(1, isLate ? lateMax : 8)
    this.#pool.push({ tx, at })
  }

  /** Somebody else's transaction, by a key of their own. Runs in the next block. */
  runAsStranger(body: FlowBody): string | undefined {
    const id = `stranger ${this.results.size}`
    this.#height += 1
    this.#execute({
      id,
      key: 'stranger',
      sequence: this.sequence('stranger'),
      refHeight: this.#height,
      body,
    })
    return this.results.get(id)?.error?.message
  }

  /** The key signs something else: what waits under its number is too late. */
  burn(key: string): void {
    this.#seal(this.state(), key)
  }

  /** What customers and the provider change, by transactions of their own. */
  change(make: (state: FlowState) => FlowState): void {
    this.#height += 1
    this.#seal(make(this.state()))
  }

  /** The pool loses what waits in it. */
  forget(): void {
    this.#pool.length = 0
  }

  #execute(tx: FlowTx): void {
    const { id, key, sequence, refHeight, body } = tx
    if (this.results.has(id) || this.#height > refHeight + EXPIRY_BLOCKS) return
    const height = this.#height
    if (sequence !== this.sequence(key)) {
      this.results.set(id, { height, error: { code: 1007, message: 'wrong sequence number' } })
      return
    }
    try {
      const { state, events, correction } = this.run(this.state(), body, this.timeOf(height))
      if (correction !== undefined) {
        this.corrections.push({ ...correction, reason: 'a correction', height, txId: id })
      }
      this.events.push(...events.map((event) => ({ ...event, height, txId: id })))
      this.results.set(id, { height, error: undefined })
      this.#seal(state, key)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.results.set(id, { height, error: { code: 1101, message } })
      this.#seal(this.state(), key) // A body that fails uses the number up all the same.
    }
  }

  /** The contracts: a planted bug replaces them. */
  run: (state: FlowState, body: FlowBody, now: number) => ReturnType<typeof runBody> = (
    ...[state, body, now]
  ) => runBody(state, body, now, this.rules)

  #seal(state: FlowState, key?: string): void {
    const last = this.#at(this.#height)
    const sequences = new Map(last.sequences)
    if (key !== undefined) sequences.set(key, (sequences.get(key) ?? 0) + 1)
    const sealed = { height: this.#height, state, sequences }
    if (last.height === this.#height) this.#sealed.pop()
    this.#sealed.push(sealed)
  }

  #at(height: number): Sealed {
    const found = this.#sealed.findLast((one) => one.height <= height)
    if (found === undefined) throw new Error(`no block ${height}`)
    return found
  }
}
