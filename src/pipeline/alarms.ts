import { ALARM_RULES } from './alarm-rules.js'
import type { AlarmLimits, AlarmRule, Found, Severity, StatusFacts } from './alarm-words.js'

export type { AlarmLimits, Severity, StatusFacts } from './alarm-words.js'

export type AlarmId = keyof typeof ALARM_RULES

/** One thing that somebody has to look at. It ends by itself when its reason does. */
export interface Alarm {
  readonly id: AlarmId
  readonly severity: Severity
  /** A sentence, with the things and amounts it is about. */
  readonly says: string
  /** ISO 8601: since when its reason is known to hold. */
  readonly since?: string
  /** The page that says what to do, from the repository's root. */
  readonly runbook: string
}

const LIMITS: AlarmLimits = { sealIntervalMs: 600_000 }

/** Every alarm that there is, whether it is raised or not. */
export const ALARMS: readonly (Pick<AlarmRule, 'severity' | 'means'> &
  Pick<Alarm, 'id' | 'runbook'>)[] = Object.entries(ALARM_RULES).map(
  ([id, { severity, means }]) => ({
    id: id as AlarmId,
    severity,
    means,
    runbook: runbookOf(id as AlarmId),
  }),
)

const RANK: Readonly<Record<Severity, number>> = { page: 0, warning: 1, info: 2 }

/** Pure: what is raised now, what is worst first. */
export function alarmsOf(facts: StatusFacts, limits: AlarmLimits = LIMITS): Alarm[] {
  return Object.entries(ALARM_RULES)
    .flatMap(([name, { severity, find }]): Alarm[] => {
      const found: Found | undefined = find(facts, limits)
      if (found === undefined) return []
      const { says, since } = found
      const id = name as AlarmId
      const start = since === undefined ? {} : { since }
      return [{ id, severity, says, ...start, runbook: runbookOf(id) }]
    })
    .sort((a, b) => RANK[a.severity] - RANK[b.severity])
}

function runbookOf(id: AlarmId): string {
  return `docs/runbooks/${id}.md`
}
