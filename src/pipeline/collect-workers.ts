import type { Clock } from '../ports/clock.js'
import type { Store } from '../ports/stores.js'
import type { UsageSource } from '../ports/usage-source.js'
import { Bell } from '../runtime/bell.js'
import type { Worker } from '../runtime/worker.js'
import { type CollectPass, collectNext, rescanNext } from './collect.js'

export interface CollectWorkersParts {
  readonly store: Store
  readonly clock: Clock
  readonly sources: readonly UsageSource[]
  readonly settings: {
    readonly settleMs: number
    readonly overlapMs: number
    readonly rescanMs: number
    readonly rescanEveryMs: number
  }
  readonly idleMs: number
  /** Wakes the reading of a source. */
  readonly bellOf: (source: string) => Bell
  /** Rung when records came. */
  readonly next: Bell
}

/** Two for each source: one reads what is new, one looks again for what came late. */
export function collectWorkers(parts: CollectWorkersParts): Worker[] {
  const { store, clock, sources, settings, idleMs, bellOf, next } = parts
  const { settleMs, rescanMs, rescanEveryMs } = settings
  const overlapOf = ({ rereadMs = 0 }: UsageSource): number => settings.overlapMs + rereadMs
  const collectors = sources.map((source): Worker => {
    const pass: CollectPass = {}
    const own = { settleMs, overlapMs: overlapOf(source) }
    return {
      name: `collect/${source.name}`,
      step: (signal) => collectNext({ ...store, source, clock, settings: own }, pass, signal),
      ...{ idleMs, bell: bellOf(source.name), next },
    }
  })
  const rescanners = sources.map((source): Worker => {
    const pass: CollectPass = {}
    const own = { settleMs, overlapMs: overlapOf(source), rescanMs, rescanEveryMs }
    return {
      name: `rescan/${source.name}`,
      step: (signal) => rescanNext({ ...store, source, clock, settings: own }, pass, signal),
      ...{ idleMs, bell: new Bell(), next },
    }
  })
  return [...collectors, ...rescanners]
}
