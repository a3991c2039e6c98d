import type { Clock } from '../ports/clock.js'
import type {
  Controls,
  ControlTotals,
  DailyDifference,
  DailyUsage,
  DayComparison,
} from '../ports/control-totals.js'
import type { Records, SourceState } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'

export interface ControlParts {
  readonly records: Records
  readonly controls: Controls
  readonly totals: ControlTotals
  readonly clock: Clock
}

const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS
/** Rows appear under their start when their call ends; most within seconds, streams within hours. */
const CLOSED_AFTER_MS = 2 * HOUR_MS
/** By then rows of batch jobs have come too: each day is compared once more. */
const FINAL_AFTER_MS = 48 * HOUR_MS
/** A day with a difference is compared again this often, since late rows may explain it. */
const AGAIN_AFTER_MS = HOUR_MS
export const DAYS_COMPARED = 7

const NOTHING = { requests: 0n, promptTokens: 0n, completionTokens: 0n }

/**
 * Compares one closed day that is due. The source's sums are evidence and never billed: where they
 * are higher, rows were lost before anybody could read them.
 */
export async function controlNext(parts: ControlParts, signal: AbortSignal): Promise<StepOutcome> {
  const { records, controls, totals, clock } = parts
  const source = await records.source(totals.name)
  if (source === undefined) return 'idle'
  const firstDay = await controls.firstDay(source.name, firstWholeDay(source))
  const day = dayDue(
    closedDays(source.readUntilMs, firstDay),
    await controls.days(firstDay, source.name),
    clock.now(),
  )
  if (day === undefined) return 'idle'
  await controls.save(await compareDay(parts, day, signal))
  return 'advanced'
}

/** @throws RetryableError of the source */
export async function compareDay(
  { controls, totals, clock }: Omit<ControlParts, 'records'>,
  day: string,
  signal: AbortSignal,
): Promise<DayComparison> {
  const theirs = await totals.dailyUsage(day, signal)
  const ours = await controls.ours(totals.name, day)
  return { source: totals.name, day, comparedAtMs: clock.now(), ...compareUsage(ours, theirs) }
}

/**
 * Key by key and model by model. What the source has under no public model name it has under an
 * empty one, so of each key our models that it does not name are held against that.
 */
export function compareUsage(
  ours: readonly DailyUsage[],
  theirs: readonly DailyUsage[],
): Pick<DayComparison, 'compared' | 'differences'> {
  const nameOf = (apiKey: string, model: string) => JSON.stringify([apiKey, model])
  const named = new Set(theirs.map(({ apiKey, model }) => nameOf(apiKey, model)))
  const sides = new Map<string, DailyDifference>()
  const add = (usage: DailyUsage, model: string, side: 'ours' | 'theirs'): void => {
    const name = nameOf(usage.apiKey, model)
    const empty = { apiKey: usage.apiKey, model, ours: NOTHING, theirs: NOTHING }
    const before = sides.get(name) ?? empty
    sides.set(name, { ...before, [side]: sum(before[side], usage) })
  }
  for (const usage of ours) {
    add(usage, named.has(nameOf(usage.apiKey, usage.model)) ? usage.model : '', 'ours')
  }
  for (const usage of theirs) add(usage, usage.model, 'theirs')
  const differences = [...sides.values()].filter(isDifferent)
  return { compared: sides.size, differences }
}

/** Closed UTC days, oldest first, at most a week of them. */
export function closedDays(readUntilMs: number, firstDay: string): string[] {
  const lastEndMs = Math.floor((readUntilMs - CLOSED_AFTER_MS) / DAY_MS) * DAY_MS
  const days = Array.from({ length: DAYS_COMPARED }, (_, i) => lastEndMs - (i + 1) * DAY_MS)
  return days
    .filter((startMs) => startMs >= 0)
    .map(dayText)
    .filter((day) => day >= firstDay)
    .reverse()
}

export function dayText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

/** The day in which reading began is not whole here, though it is there. */
function firstWholeDay({ collectFromMs, readUntilMs }: SourceState): string {
  const beganMs = collectFromMs > 0 ? collectFromMs : readUntilMs
  return dayText(Math.ceil(beganMs / DAY_MS) * DAY_MS)
}

function dayDue(
  days: readonly string[],
  compared: readonly DayComparison[],
  nowMs: number,
): string | undefined {
  const byDay = new Map(compared.map((one) => [one.day, one]))
  return days.find((day) => {
    const before = byDay.get(day)
    if (before === undefined) return true
    const finalAtMs = Date.parse(`${day}T00:00:00Z`) + DAY_MS + FINAL_AFTER_MS
    if (before.comparedAtMs < finalAtMs && nowMs >= finalAtMs) return true
    return before.differences.length > 0 && nowMs >= before.comparedAtMs + AGAIN_AFTER_MS
  })
}

function sum(a: DailyDifference['ours'], b: DailyDifference['ours']): DailyDifference['ours'] {
  return {
    requests: a.requests + b.requests,
    promptTokens: a.promptTokens + b.promptTokens,
    completionTokens: a.completionTokens + b.completionTokens,
  }
}

function isDifferent({ ours, theirs }: DailyDifference): boolean {
  return (
    ours.requests !== theirs.requests ||
    ours.promptTokens !== theirs.promptTokens ||
    ours.completionTokens !== theirs.completionTokens
  )
}
