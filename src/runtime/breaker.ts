const COOL_DOWN_MS_MIN = 1_000
const COOL_DOWN_MS_MAX = 30_000

/**
 * Keeps a node that failed from being asked for a while: a second after the first failure, twice as
 * long after each further one, half a minute at most. One success forgives all. Where nobody else can
 * be asked, some failures in a row may be tolerated first.
 */
export class Breaker {
  readonly #nowMs: () => number
  readonly #tolerated: number
  #failures = 0
  #openUntilMs = 0

  /** @param nowMs any clock that only goes forward */
  constructor(nowMs: () => number = () => performance.now(), tolerated = 0) {
    this.#nowMs = nowMs
    this.#tolerated = tolerated
  }

  get isOpen(): boolean {
    return this.#nowMs() < this.#openUntilMs
  }

  /** When it may be asked again, by the same clock. */
  get openUntilMs(): number {
    return this.#openUntilMs
  }

  noteSuccess(): void {
    this.#failures = 0
    this.#openUntilMs = 0
  }

  noteFailure(): void {
    // Asked before its time because nobody else was left: that says nothing new about it.
    if (this.isOpen) return
    this.#failures += 1
    const counted = this.#failures - this.#tolerated
    if (counted < 1) return
    const coolDownMs = Math.min(COOL_DOWN_MS_MIN * 2 ** (counted - 1), COOL_DOWN_MS_MAX)
    this.#openUntilMs = this.#nowMs() + coolDownMs
  }
}
