import type { RetryableError } from '../domain/errors.js'
import type { Clock } from '../ports/clock.js'
import type { StepOutcome, Worker } from '../runtime/worker.js'

/** A worker may be this late before it counts as stuck: a step has time limits of its own. */
const LATE_MS = 120_000

interface WorkerState {
  readonly idleMs: number
  steppedAtMs: number | undefined
  problem: { readonly code: string; readonly message: string } | undefined
}

export interface ReadyReport {
  readonly ready: boolean
  readonly workers: Readonly<Record<string, { readonly ok: boolean; readonly why?: string }>>
}

/** Whether every worker has stepped without error in its interval. */
export class Readiness {
  readonly #clock: Clock
  readonly #workers = new Map<string, WorkerState>()
  #isStopping = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  expect(workers: readonly Pick<Worker, 'name' | 'idleMs'>[]): void {
    for (const { name, idleMs } of workers) {
      this.#workers.set(name, { idleMs, steppedAtMs: undefined, problem: undefined })
    }
  }

  note(worker: string, result: StepOutcome | RetryableError): void {
    const state = this.#workers.get(worker)
    if (state === undefined) return
    if (typeof result === 'string') {
      state.steppedAtMs = this.#clock.now()
      state.problem = undefined
    } else {
      state.problem = { code: result.code, message: result.message }
    }
  }

  /** Turned off first when the process ends, so that no new caller comes. */
  stop(): void {
    this.#isStopping = true
  }

  report(): ReadyReport {
    const workers = Object.fromEntries(
      [...this.#workers].map(([name, state]) => [name, this.#stateOf(state)]),
    )
    const isReady = Object.values(workers).every(({ ok }) => ok) && this.#workers.size > 0
    return { ready: isReady && !this.#isStopping, workers }
  }

  #stateOf({ idleMs, steppedAtMs, problem }: WorkerState): { ok: boolean; why?: string } {
    if (problem !== undefined) return { ok: false, why: `${problem.code}: ${problem.message}` }
    if (steppedAtMs === undefined) return { ok: false, why: 'has not finished its first step' }
    const sinceMs = this.#clock.now() - steppedAtMs
    if (sinceMs <= idleMs + LATE_MS) return { ok: true }
    return { ok: false, why: `has not stepped for ${Math.round(sinceMs / 1000)} s` }
  }
}
