const MINUTE_MS = 60_000

/**
 * Lets through so many a minute, a third of them at once after a pause, so that no minute sees
 * more than 4/3 of it. Says no at once instead of waiting.
 */
export class TokenBucket {
  readonly #perMs: number
  readonly #most: number
  readonly #nowMs: () => number
  #tokens: number
  #filledAtMs: number

  /** @param nowMs any clock that only goes forward */
  constructor(perMinute: number, nowMs: () => number = () => performance.now()) {
    this.#perMs = perMinute / MINUTE_MS
    this.#most = Math.max(1, perMinute / 3)
    this.#nowMs = nowMs
    this.#tokens = this.#most
    this.#filledAtMs = nowMs()
  }

  take(): boolean {
    const nowMs = this.#nowMs()
    const gained = (nowMs - this.#filledAtMs) * this.#perMs
    this.#tokens = Math.min(this.#most, this.#tokens + gained)
    this.#filledAtMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
