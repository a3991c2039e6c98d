import type { Clock } from '../ports/clock.js'
import type { ControlTotals } from '../ports/control-totals.js'
import type { PayerDirectory } from '../ports/payer-directory.js'
import type { RecordRule } from '../ports/record-rule.js'
import type { Store } from '../ports/stores.js'
import { Bell } from '../runtime/bell.js'
import type { Worker } from '../runtime/worker.js'
import type { AttributeSettings } from './attribute.js'
import { controlNext } from './control-totals.js'
import { decideNext } from './decide.js'
import { type RefreshPass, refreshNext } from './refresh-directory.js'

export interface MeteringParts {
  readonly store: Store
  readonly clock: Clock
  readonly directories: readonly PayerDirectory[]
  readonly rule: RecordRule | undefined
  readonly controls: readonly ControlTotals[]
  readonly settings: AttributeSettings
  /** Rung when records may be attributed that could not before. */
  readonly attribute: Bell
  readonly idleMs: number
}

/** Sums of whole days change slowly. */
const CONTROL_IDLE_MS = 60_000

/** What stands beside a record's way: the operator's directories and rule, and control totals. */
export function meteringWorkers(parts: MeteringParts): Worker[] {
  const { store, clock, directories, rule, controls, settings, attribute: next, idleMs } = parts
  const refreshers = directories.map((directory): Worker => {
    const pass: RefreshPass = {}
    const refresh = { ...store, directory, settings, clock }
    return {
      name: `directory/${directory.name}`,
      step: (signal) => refreshNext(refresh, pass, signal),
      idleMs: Math.min(idleMs, directory.refreshMs),
      bell: new Bell(),
      next,
    }
  })
  const controllers = controls.map(
    (totals): Worker => ({
      name: `control/${totals.name}`,
      step: (signal) => controlNext({ ...store, totals, clock }, signal),
      idleMs: CONTROL_IDLE_MS,
      bell: new Bell(),
    }),
  )
  if (rule === undefined) return [...refreshers, ...controllers]
  const decide: Worker = {
    name: 'decide',
    step: (signal) => decideNext({ ...store, rule, clock }, signal),
    idleMs,
    bell: new Bell(),
    next,
  }
  return [...refreshers, decide, ...controllers]
}
