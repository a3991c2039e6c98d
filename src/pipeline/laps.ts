import { assert } from '../domain/errors.js'
import type { Clock } from '../ports/clock.js'
import type { Findings, Lap } from '../ports/laps.js'
import type { Checks, Stores } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'

/** A bounded piece of a part, looked at. */
export interface Stretch {
  readonly found: Checks
  readonly unknown?: Checks
  /** Where the next one begins; undefined at the end of the part. */
  readonly next: bigint | undefined
}

export type Part = (from: bigint, signal: AbortSignal) => Promise<Stretch>

/** Checks that are made in one going over everything: from 0 on, part after part. */
export interface Course {
  readonly name: string
  readonly checks: readonly string[]
  /** In this order. */
  readonly parts: Readonly<Record<string, Part>>
  /** After a lap, at least: small stores are not gone over without a pause. */
  readonly restMs: number
}

export interface LapParts {
  readonly books: Pick<Stores['books'], 'lap' | 'saveLap'>
  readonly clock: Clock
}

/** When this process may go on, ms. A new one goes on at once, where the store says. */
export interface LapPass {
  dueAtMs?: number
}

/** A stretch is rested from as many times as long, so that what is urgent has the processor. */
const REST_FACTOR = 10
const REST_MS_MAX = 60_000
/** A lap is rested from as long as it took, within bounds. */
const LAP_REST_MS_MAX = 3_600_000

/**
 * One stretch of a lap without end. The place is kept with what was found up to it, so a crash repeats
 * one stretch and no more. What is found is told at once; it is over when a whole lap has not found it.
 */
export async function lapNext(
  course: Course,
  { books, clock }: LapParts,
  pass: LapPass,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const nowMs = clock.now()
  // A clock that was set back must not put it off.
  const isResting = pass.dueAtMs !== undefined && nowMs < pass.dueAtMs
  if (isResting && (pass.dueAtMs ?? 0) <= nowMs + LAP_REST_MS_MAX) return 'idle'
  const before = await books.lap(course.name)
  // Another version may have had other parts.
  const lap =
    before !== undefined && before.part in course.parts ? before : begin(course, nowMs, before)
  const stretch = await partOf(course, lap.part)(lap.from, signal)
  const after = goOn(course, lap, stretch, clock.now())
  await books.saveLap(course.name, after)
  pass.dueAtMs = clock.now() + restAfter(course, lap, after, clock.now() - nowMs)
  return 'idle'
}

/** All of it, now. */
export async function runLap(course: Course, signal: AbortSignal): Promise<Findings> {
  let lap = begin(course, 0)
  for (;;) {
    const after = goOn(course, lap, await partOf(course, lap.part)(lap.from, signal), 0)
    if (after.last !== undefined) return after.last
    lap = after
  }
}

function begin({ checks, parts }: Course, nowMs: number, before?: Lap): Lap {
  const [part] = Object.keys(parts)
  assert(part !== undefined, 'a course has a part')
  const none = Object.fromEntries(checks.map((check) => [check, 0n]))
  const last = before?.last === undefined ? {} : { last: before.last }
  return { part, from: 0n, startedAtMs: nowMs, found: none, unknown: none, ...last }
}

function partOf({ parts }: Course, name: string): Part {
  const part = parts[name]
  assert(part !== undefined, `no part ${name}`)
  return part
}

function goOn(
  course: Course,
  lap: Lap,
  { found, unknown = {}, next }: Stretch,
  nowMs: number,
): Lap {
  const sums = { found: add(lap.found, found), unknown: add(lap.unknown, unknown) }
  if (next !== undefined) {
    assert(next > lap.from, 'a stretch goes on')
    return { ...lap, ...sums, from: next }
  }
  const names = Object.keys(course.parts)
  const part = names[names.indexOf(lap.part) + 1]
  if (part !== undefined) return { ...lap, ...sums, part, from: 0n }
  return begin(course, nowMs, { ...lap, last: { ...sums, endedAtMs: nowMs } })
}

function add(sums: Checks, more: Checks): Checks {
  const added = Object.entries(more).map(([check, value]) => [check, (sums[check] ?? 0n) + value])
  return { ...sums, ...Object.fromEntries(added) }
}

function restAfter({ restMs }: Course, lap: Lap, after: Lap, tookMs: number): number {
  if (after.last === lap.last) return Math.min(tookMs * REST_FACTOR, REST_MS_MAX)
  const lapMs = after.startedAtMs - lap.startedAtMs
  return Math.min(Math.max(lapMs, restMs), LAP_REST_MS_MAX)
}
