import type { RetryableError } from '../domain/errors.js'
import type { WorkerStatus } from '../pipeline/status.js'
import type { Clock } from '../ports/clock.js'
import { BACKOFF_MS_MAX, type StepOutcome, type Worker } from '../runtime/worker.js'

/** A worker may be this late before it counts as stuck: a step has time limits of its own. */
const LATE_MS = 120_000

interface WorkerState {
  readonly idleMs: number
  steppedAtMs: number | undefined
  /** When its newest step ended, however; before the first, when it was expected. */
  endedAtMs: number
  problem: { readonly code: string; readonly message: string; readonly sinceMs: number } | undefined
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
      const endedAtMs = this.#clock.now()
      this.#workers.set(name, { idleMs, steppedAtMs: undefined, endedAtMs, problem: undefined })
    }
  }

  note(worker: string, result: StepOutcome | RetryableError): void {
    const state = this.#workers.get(worker)
    if (state === undefined) return
    const nowMs = this.#clock.now()
    state.endedAtMs = nowMs
    if (typeof result === 'string') {
      state.steppedAtMs = nowMs
      state.problem = undefined
    } else {
      const sinceMs = state.problem?.sinceMs ?? nowMs
      state.problem = { code: result.code, message: result.message, sinceMs }
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

  workers(): WorkerStatus[] {
    const nowMs = this.#clock.now()
    const iso = (ms: number) => new Date(ms).toISOString()
    return [...this.#workers].map(([name, { idleMs, endedAtMs, steppedAtMs, problem }]) => {
      const waitMs = problem === undefined ? idleMs : Math.max(idleMs, BACKOFF_MS_MAX)
      const isStuck = nowMs - endedAtMs > waitMs + LATE_MS
      if (isStuck) return { name, state: 'stuck', since: iso(endedAtMs) }
      if (problem !== undefined) {
        const why = `${problem.code}: ${problem.message}`
        return { name, state: 'failing', since: iso(problem.sinceMs), why }
      }
      return { name, state: steppedAtMs === undefined ? 'starting' : 'ok' }
    })
  }

  #stateOf({ idleMs, steppedAtMs, problem }: WorkerState): { ok: boolean; why?: string } {
    if (problem !== undefined) return { ok: false, why: `${problem.code}: ${problem.message}` }
    if (steppedAtMs === undefined) return { ok: false, why: 'has not finished its first step' }
    const sinceMs = this.#clock.now() - steppedAtMs
    if (sinceMs <= idleMs + LATE_MS) return { ok: true }
    return { ok: false, why: `has not stepped for ${Math.round(sinceMs / 1000)} s` }
  }
}
