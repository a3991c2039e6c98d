import { setTimeout as sleep } from 'node:timers/promises'

/** Ends a wait early. A ring that comes while nobody waits is kept for the next wait. */
export class Bell {
  #rung = false
  #wake = (): void => {}

  ring(): void {
    this.#rung = true
    this.#wake()
  }

  /** Until a ring, `ms` or an abort, whichever comes first. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      const waiting = new AbortController()
      this.#wake = () => waiting.abort()
      signal.addEventListener('abort', this.#wake, { signal: waiting.signal })
      await sleep(ms, undefined, { signal: waiting.signal }).catch(() => {})
      waiting.abort() // Takes the listener off `signal`, which outlives every wait.
    }
    this.#rung = false
  }
}
