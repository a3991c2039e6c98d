import { iso } from '../domain/instant.js'
import type { DailyDifference } from '../ports/control-totals.js'
import type { DecisionCounts } from '../ports/decisions.js'
import type { Stores } from '../ports/stores.js'
import { DAY_MS, DAYS_COMPARED, dayText } from './control-totals.js'

/** How directories, the aggregation rule and control totals stand. */
export interface MeteringStatus {
  readonly directories: readonly {
    readonly name: string
    readonly entries: number
    readonly readAt?: string
    readonly problem?: string
  }[]
  readonly decisions: DecisionCounts
  /** Days compared with the source's own sums, newest first. */
  readonly controlTotals: readonly ControlDayStatus[]
}

export interface ControlDayStatus {
  readonly source: string
  readonly day: string
  readonly comparedAt: string
  /** Keys and models compared, and how many of them differ. */
  readonly compared: number
  readonly differing: number
  /** Ours minus theirs; only where they differ, the largest first. */
  readonly differences: readonly {
    readonly apiKey: string
    readonly model: string
    readonly requests: string
    readonly tokens: string
  }[]
}

const DIFFERENCES_SHOWN = 50

export async function meteringStatus(
  { directories, decisions, controls }: Pick<Stores, 'directories' | 'decisions' | 'controls'>,
  nowMs: number,
): Promise<MeteringStatus> {
  const fromDay = dayText(Math.max(0, nowMs - (DAYS_COMPARED + 1) * DAY_MS))
  return {
    directories: (await directories.states()).map(({ name, entries, readAtMs, problem }) => ({
      name,
      entries,
      ...(readAtMs === undefined ? {} : { readAt: iso(readAtMs) }),
      ...(problem === undefined ? {} : { problem }),
    })),
    decisions: await decisions.counts(),
    controlTotals: (await controls.days(fromDay)).map((one) => ({
      source: one.source,
      day: one.day,
      comparedAt: iso(one.comparedAtMs),
      compared: one.compared,
      differing: one.differences.length,
      differences: [...one.differences]
        .sort((a, b) => Number(magnitude(tokens(b)) - magnitude(tokens(a))))
        .slice(0, DIFFERENCES_SHOWN)
        .map((difference) => ({
          apiKey: difference.apiKey,
          model: difference.model,
          requests: (difference.ours.requests - difference.theirs.requests).toString(),
          tokens: tokens(difference).toString(),
        })),
    })),
  }
}

function tokens({ ours, theirs }: DailyDifference): bigint {
  const sum = (one: DailyDifference['ours']) => one.promptTokens + one.completionTokens
  return sum(ours) - sum(theirs)
}

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value
}
