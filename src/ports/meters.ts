import type { Hex } from '../domain/bytes.js'

/** A meter whose batches a store holds. */
export interface Era {
  /** How many meters the store had before it. */
  readonly era: number
  /** Its address; absent where the store was not bound to it yet. */
  readonly meter: Hex | undefined
  /** Flow's number of it. For the first meter 0, since older stores did not ask: all below the second's. */
  readonly meterEpoch: number
}

/** The meters of a store, one after the other: a provider revokes the one before with the next. */
export interface Meters {
  current(): Promise<Era>
  /** In order; the last is the current one. */
  all(): Promise<readonly Era[]>
  /** From now on batches are those of this meter, from number 1 on. */
  follow(meter: Hex, meterEpoch: number): Promise<void>
}
