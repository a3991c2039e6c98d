import type { Clock } from '../../src/ports/clock.js'

/** A clock that a test drives. */
export class ManualClock implements Clock {
  #nowMs: number

  constructor(nowMs: number) {
    this.#nowMs = nowMs
  }

  now(): number {
    return this.#nowMs
  }

  pass(ms: number): void {
    this.#nowMs += ms
  }
}
