import { setMaxListeners } from 'node:events'
import { setImmediate as breathe, setTimeout as sleep } from 'node:timers/promises'
import { RetryableError } from '../domain/errors.js'
import type { Bell } from './bell.js'
import type { Logger } from './log.js'
import { beginWork, endWork, within } from './measures.js'

export type StepOutcome = 'advanced' | 'idle'

export interface Worker {
  readonly name: string
  /** One bounded unit of work. Safe to repeat: a crash may have hidden its result. */
  readonly step: (signal: AbortSignal) => Promise<StepOutcome>
  /** The longest wait of an idle worker. Its bell, rung by cron or a neighbour, ends it. */
  readonly idleMs: number
  readonly bell: Bell
  /** Rung when this worker has advanced. */
  readonly next?: Bell
}

/** Told after every step, for `/ready`, `/status` and the metrics. */
export type StepListener = (worker: string, result: StepOutcome | RetryableError) => void

const BACKOFF_MS_MIN = 1_000
/** The longest wait of a worker that fails. */
export const BACKOFF_MS_MAX = 60_000

/** Runs all of them until the abort, or until one ends by an unexpected error: then all end. */
export async function runWorkers(
  workers: readonly Worker[],
  log: Logger,
  signal: AbortSignal,
  onStep: StepListener,
): Promise<void> {
  const failed = new AbortController()
  const stop = AbortSignal.any([signal, failed.signal])
  // Every worker and every request under way listens: many at once are no leak.
  setMaxListeners(0, stop)
  const runs = workers.map(async (worker) => {
    try {
      await runWorker(worker, log, stop, onStep)
    } catch (error) {
      failed.abort()
      throw error
    }
  })
  const results = await Promise.allSettled(runs)
  const broken = results.find((result) => result.status === 'rejected')
  if (broken !== undefined) throw broken.reason
}

/** Steps until aborted. Retries what may pass; every other error ends the process. */
export async function runWorker(
  worker: Worker,
  log: Logger,
  signal: AbortSignal,
  onStep: StepListener,
): Promise<void> {
  let failures = 0
  let lastCode = ''
  while (!signal.aborted) {
    await breathe() // Steps that never wait must not starve the HTTP server.
    try {
      const outcome = await runStep(worker, signal)
      if (failures > 0) log.info({ worker: worker.name, failures }, 'step works again')
      failures = 0
      lastCode = ''
      onStep(worker.name, outcome)
      if (outcome === 'advanced') worker.next?.ring()
      else await worker.bell.wait(worker.idleMs, signal)
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof RetryableError)) throw error
      const delayMs = Math.min(BACKOFF_MS_MIN * 2 ** Math.min(failures, 16), BACKOFF_MS_MAX)
      failures += 1
      onStep(worker.name, error)
      // The same failure again is told once; the count is in the status.
      if (error.code !== lastCode) {
        const { code, message } = error
        log.warn({ worker: worker.name, code, delayMs }, `step failed, will retry: ${message}`)
      }
      lastCode = error.code
      await sleep(delayMs, undefined, { signal }).catch(() => {}) // A ring does not shorten this.
    }
  }
}

/** One step, measured. Whoever is told to stop says nothing of what it was at. */
export async function runStep(
  worker: Pick<Worker, 'name' | 'step'>,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const work = beginWork('step', worker.name)
  const startedAtMs = performance.now()
  const ms = () => performance.now() - startedAtMs
  try {
    const outcome = await within(work, () => worker.step(signal))
    endWork(work, { ms: ms(), outcome, isFailed: false })
    return outcome
  } catch (error) {
    const outcome = error instanceof RetryableError ? error.code : 'bug'
    if (!signal.aborted) endWork(work, { ms: ms(), outcome, isFailed: true })
    throw error
  }
}
