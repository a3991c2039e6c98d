import { RetryableError } from '../domain/errors.js'
import type { Clock } from '../ports/clock.js'
import type { Records, SourceState } from '../ports/stores.js'
import type { TimeRange, UsageSource } from '../ports/usage-source.js'
import { tellSubject } from '../runtime/measures.js'
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

export interface RescanSettings extends CollectSettings {
  /** How far a deep re-scan goes back, for rows that come hours late; 0 for none. */
  readonly rescanMs: number
  /** From the beginning of one deep re-scan to that of the next. */
  readonly rescanEveryMs: number
}

export interface RescanParts extends CollectParts {
  readonly settings: RescanSettings
}

/** Where this process stands in a walk over a source. Lost in a crash, and begun anew. */
export interface CollectPass {
  walk?: Walk
  /** Whether the walk that just ended brought something: told by one step, rested on in the next. */
  isRestDue?: boolean
  probedAtMs?: number
}

/** A range that is read slice by slice. Its end is fixed when it begins. */
interface Walk {
  readonly startedAtMs: number
  readonly untilMs: number
  nextMs: number
  added: number
}

/** Versions, roles and limits change while we run. */
const PROBE_EVERY_MS = 3_600_000
/** Of the clock's skew: what the second's resolution of a Date header and the way of it explain. */
const SKEW_STEP_MS = 2_000

/**
 * Reads one slice and saves it with the cursor. A walk begins `overlapMs` below the cursor and ends
 * `settleMs` before the source's now; reading again is harmless.
 */
export function collectNext(
  parts: CollectParts,
  pass: CollectPass,
  signal: AbortSignal,
): Promise<StepOutcome> {
  return noting(parts, async () => {
    if (pass.isRestDue === true) {
      delete pass.isRestDue
      return 'idle'
    }
    const state = await stateOf(parts)
    await probe(parts, pass, signal)
    const walk = pass.walk ?? (await walkAhead(parts, state, signal))
    pass.walk = walk
    if (!(await readSlice(parts, walk, signal))) return 'advanced'

    const { added } = walk
    delete pass.walk
    // Another walk at once would only read the overlap again: tell the next worker, then rest.
    pass.isRestDue = added > 0
    return added > 0 ? 'advanced' : 'idle'
  })
}

/**
 * Reads one slice of a deep re-scan: from `rescanMs` before the source's now to where every reading
 * begins anyway. Its schedule is in the store, so that restarts neither forget nor repeat it.
 */
export function rescanNext(
  parts: RescanParts,
  pass: CollectPass,
  signal: AbortSignal,
): Promise<StepOutcome> {
  return noting(parts, async () => {
    const state = await stateOf(parts)
    const walk = pass.walk ?? (await walkBehind(parts, state, signal))
    if (walk === undefined) return 'idle'
    pass.walk = walk
    if (!(await readSlice(parts, walk, signal))) return 'advanced'

    const { startedAtMs, added } = walk
    delete pass.walk
    await parts.records.saveProgress(state.name, { rescannedAtMs: startedAtMs })
    return added > 0 ? 'advanced' : 'idle'
  })
}

/** The next range to collect, by the source's clock: rows are stamped by it. */
async function walkAhead(
  { records, source, clock, settings }: CollectParts,
  state: SourceState,
  signal: AbortSignal,
): Promise<Walk> {
  const nowMs = await source.now(signal)
  const skewMs = nowMs - clock.now()
  if (Math.abs(skewMs - (state.clockSkewMs ?? Number.POSITIVE_INFINITY)) > SKEW_STEP_MS) {
    await records.saveProgress(state.name, { clockSkewMs: skewMs })
  }
  const untilMs = wholeSecond(nowMs - settings.settleMs)
  return walkOf(state, clock, { fromMs: overlapStart(state, untilMs, settings), untilMs })
}

/** The range of a deep re-scan that is due, as far as the overlap does not cover it. */
async function walkBehind(
  { source, clock, settings }: RescanParts,
  state: SourceState,
  signal: AbortSignal,
): Promise<Walk | undefined> {
  const { rescanMs, rescanEveryMs, settleMs } = settings
  const sinceMs = clock.now() - (state.rescannedAtMs ?? Number.NEGATIVE_INFINITY)
  // A clock that was set back must not put the next one off.
  if (rescanMs === 0 || (sinceMs >= 0 && sinceMs < rescanEveryMs)) return undefined
  const nowMs = await source.now(signal)
  const fromMs = wholeSecond(nowMs - rescanMs)
  const untilMs = overlapStart(state, wholeSecond(nowMs - settleMs), settings)
  return walkOf(state, clock, { fromMs, untilMs })
}

/**
 * Where a reading begins. Not above the source's now, where the cursor may be when the source's
 * clock was ahead for a while; and what is older than the source's beginning is not ours to bill.
 */
function overlapStart(state: SourceState, untilMs: number, { overlapMs }: CollectSettings): number {
  return wholeSecond(Math.min(state.readUntilMs, untilMs) - overlapMs)
}

function walkOf({ collectFromMs }: SourceState, clock: Clock, range: TimeRange): Walk {
  const nextMs = Math.max(0, collectFromMs, range.fromMs)
  return { startedAtMs: clock.now(), untilMs: range.untilMs, nextMs, added: 0 }
}

/** One slice of a walk. Returns whether the walk has come to its end. */
async function readSlice(
  { records, source, clock }: CollectParts,
  walk: Walk,
  signal: AbortSignal,
): Promise<boolean> {
  if (walk.nextMs >= walk.untilMs) return true
  tellSubject({ source: source.name })
  const { nextMs: fromMs, untilMs } = walk
  const slice = await source.fetchSlice({ fromMs, untilMs }, signal)
  walk.added += await records.saveSlice(source.name, slice, clock.now())
  walk.nextMs = slice.range.untilMs
  return walk.nextMs >= walk.untilMs
}

async function probe(
  { records, source, clock }: CollectParts,
  pass: CollectPass,
  signal: AbortSignal,
): Promise<void> {
  const sinceMs = clock.now() - (pass.probedAtMs ?? Number.NEGATIVE_INFINITY)
  if (sinceMs >= 0 && sinceMs < PROBE_EVERY_MS) return
  await records.saveFacts(source.name, await source.probe(signal))
  pass.probedAtMs = clock.now()
}

async function stateOf({ records, source }: CollectParts): Promise<SourceState> {
  const state = await records.source(source.name)
  if (state === undefined) throw new Error(`source ${source.name} was never added`)
  return state
}

/** What goes wrong with a source is a fact of it, which the status shows. */
async function noting(
  { records, source }: CollectParts,
  step: () => Promise<StepOutcome>,
): Promise<StepOutcome> {
  try {
    return await step()
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
