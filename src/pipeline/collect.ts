import { RetryableError } from '../domain/errors.js'
import type { Clock } from '../ports/clock.js'
import type { Records } from '../ports/stores.js'
import type { UsageSource } from '../ports/usage-source.js'
import type { StepOutcome } from '../runtime/worker.js'

export interface CollectParts {
  readonly records: Records
  readonly source: UsageSource
  readonly clock: Clock
  readonly settings: CollectSettings
}

export interface CollectSettings {
  /** Younger rows are left for later: LiteLLM writes them seconds after the call ended. */
  readonly settleMs: number
  /** How far every reading goes back: a row appears when its call ends, under its start. */
  readonly overlapMs: number
}

/** Where this process stands in a pass over a source. Lost in a crash, and begun anew. */
export interface CollectPass {
  fromMs?: number
  isProbed?: boolean
}

/**
 * Reads one slice and saves it with the cursor. A pass begins `overlapMs` below the cursor and ends
 * `settleMs` before the source's now; reading again is harmless.
 */
export async function collectNext(
  { records, source, clock, settings }: CollectParts,
  pass: CollectPass,
  signal: AbortSignal,
): Promise<StepOutcome> {
  try {
    const state = await records.source(source.name)
    if (state === undefined) throw new Error(`source ${source.name} was never added`)
    if (pass.isProbed !== true) {
      await records.saveFacts(source.name, await source.probe(signal))
      pass.isProbed = true
    }

    const untilMs = wholeSecond((await source.now(signal)) - settings.settleMs)
    const fromMs = pass.fromMs ?? wholeSecond(state.readUntilMs - settings.overlapMs)
    if (fromMs >= untilMs) {
      delete pass.fromMs
      return 'idle'
    }
    const slice = await source.fetchSlice({ fromMs: Math.max(0, fromMs), untilMs }, signal)
    const added = await records.saveSlice(source.name, slice, clock.now())
    pass.fromMs = slice.range.untilMs
    if (slice.range.untilMs < untilMs) return 'advanced'
    delete pass.fromMs // The pass is over; the next begins at the overlap again.
    return added > 0 ? 'advanced' : 'idle'
  } catch (error) {
    if (error instanceof RetryableError) {
      await records.saveProblem(source.name, error.code, error.message)
    }
    throw error
  }
}

function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}
