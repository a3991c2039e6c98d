import type { Random } from '../../../devnet/litellm/random.js'
import { RetryableError } from '../../../src/domain/errors.js'

/** What may go wrong between us and a node, in shares of all calls. */
export interface WireFaults {
  /** The call never arrives. */
  readonly refused: number
  /** It is carried out, and its answer is lost. */
  readonly lost: number
  /** It is answered by a node that is behind. */
  readonly stale: number
  /** How many blocks such a node is behind at most. */
  readonly lagMax: number
}

export const NO_FAULTS: WireFaults = { refused: 0, lost: 0, stale: 0, lagMax: 0 }

/** The way to one of the services outside. */
export class Wire {
  faults: WireFaults = NO_FAULTS
  /** Nobody answers. */
  isDown = false
  readonly #name: string
  readonly #random: Random

  constructor(name: string, random: Random) {
    this.#name = name
    this.#random = random
  }

  /** A question: returns how many blocks the node that answers it is behind. */
  ask(): number {
    const { refused, lost, stale, lagMax } = this.faults
    if (this.isDown) throw this.#unreachable('no answer')
    const chance = this.#random.next()
    if (chance < refused) throw this.#unreachable('429: throttled')
    if (chance < refused + lost) throw this.#unreachable('the answer was lost')
    return chance < refused + lost + stale ? this.#random.whole(1, lagMax) : 0
  }

  /** Something to be done: it may be, and the answer be lost all the same. */
  carryOut(work: () => void): void {
    const { refused, lost } = this.faults
    if (this.isDown) throw this.#unreachable('no answer')
    const chance = this.#random.next()
    if (chance < refused) throw this.#unreachable('429: throttled')
    work()
    if (chance < refused + lost) throw this.#unreachable('the answer was lost')
  }

  #unreachable(why: string): RetryableError {
    return new RetryableError(`${this.#name}_unreachable`, why)
  }
}
