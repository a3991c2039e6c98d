import type { AlarmEpisode } from '../ports/notices.js'
import type { Notice } from '../ports/notifier.js'
import type { Alarm } from './alarms.js'

/** What passes in this time was nothing. */
export const RAISE_AFTER_MS = 60_000
/** An alarm is over when it was away for so long; the longer, the oftener it came back. */
export const CLEAR_AFTER_MS = 5 * 60_000
export const CLEAR_AFTER_MS_MAX = 80 * 60_000
/** How far back its comings are counted. */
export const FLAPPING_MS = 6 * 3_600_000

export interface Observed {
  readonly episodes: readonly AlarmEpisode[]
  readonly notices: readonly Notice[]
}

type AlarmSeen = Pick<Alarm, 'id' | 'severity' | 'says' | 'runbook'>

/**
 * Pure: what one look at the alarms makes of the episodes so far. Each is told when it has lasted,
 * and once; its end is told once, if its beginning was. An alarm that comes and goes is one episode
 * for ever longer: its second end waits twice as long as its first, and so on.
 *
 * @param known open ones, and those that ended within FLAPPING_MS
 */
export function observe(
  known: readonly AlarmEpisode[],
  alarms: readonly AlarmSeen[],
  nowMs: number,
): Observed {
  const raised = new Map(alarms.map((alarm) => [alarm.id as string, alarm]))
  const open = known.filter(({ clearedAtMs }) => clearedAtMs === undefined)
  const isOpen = new Set(open.map(({ alarm }) => alarm))
  const begun = alarms
    .filter(({ id }) => !isOpen.has(id))
    .map(({ id, severity, says, runbook }): AlarmEpisode => {
      const words = { alarm: id, severity, says, runbook }
      return {
        ...{ ...words, raisedAtMs: nowMs, seenAtMs: nowMs },
        ...{ toldAtMs: undefined, clearedAtMs: undefined },
      }
    })
  const seen = [...open, ...begun].map((episode) =>
    next(episode, raised.get(episode.alarm), waitOf(episode.alarm, known), nowMs),
  )
  return {
    episodes: seen.map(({ episode }) => episode),
    notices: seen.flatMap(({ notice }) => notice ?? []),
  }
}

function next(
  episode: AlarmEpisode,
  alarm: AlarmSeen | undefined,
  clearAfterMs: number,
  nowMs: number,
): { readonly episode: AlarmEpisode; readonly notice?: Notice } {
  if (alarm !== undefined) {
    const { severity, says, runbook } = alarm
    const now = { ...episode, severity, says, runbook, seenAtMs: nowMs }
    const isNew = episode.toldAtMs === undefined && nowMs - episode.raisedAtMs >= RAISE_AFTER_MS
    if (!isNew) return { episode: now }
    return { episode: { ...now, toldAtMs: nowMs }, notice: noticeOf(now, 'raised') }
  }
  if (episode.toldAtMs === undefined) return { episode: { ...episode, clearedAtMs: nowMs } }
  if (nowMs - episode.seenAtMs < clearAfterMs) return { episode }
  const over = { ...episode, clearedAtMs: nowMs }
  return { episode: over, notice: { ...noticeOf(over, 'cleared'), clearedAtMs: episode.seenAtMs } }
}

/** Doubled for every episode of late of which somebody was told. */
function waitOf(alarm: string, known: readonly AlarmEpisode[]): number {
  const before = known.filter(
    (one) => one.alarm === alarm && one.clearedAtMs !== undefined && one.toldAtMs !== undefined,
  )
  return Math.min(CLEAR_AFTER_MS * 2 ** Math.min(before.length, 16), CLEAR_AFTER_MS_MAX)
}

function noticeOf(episode: AlarmEpisode, change: 'raised' | 'cleared'): Notice {
  const { alarm, severity, says, raisedAtMs, runbook } = episode
  return { alarm, change, severity, says, raisedAtMs, runbook }
}
