import { setTimeout as sleep } from 'node:timers/promises'

/** Lets through so many a second, one after the other: whoever is too early waits for their turn. */
export class Pace {
  readonly #everyMs: number
  #nextAtMs = 0

  constructor(perSecond: number) {
    this.#everyMs = 1_000 / perSecond
  }

  async turn(signal: AbortSignal): Promise<void> {
    const nowMs = performance.now()
    const atMs = Math.max(nowMs, this.#nextAtMs)
    this.#nextAtMs = atMs + this.#everyMs
    if (atMs === nowMs) return
    await sleep(atMs - nowMs, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}
