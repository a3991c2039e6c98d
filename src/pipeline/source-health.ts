import type { SetAsideReason } from '../domain/set-aside.js'
import type { SourceState } from '../ports/stores.js'

/** Rows of one source that wait for an operator's word. */
export type SetAsideCounts = Readonly<Partial<Record<SetAsideReason, number>>>

/** A minute is more than NTP leaves and less than a reader's settle time. */
const SKEW_MAX_MS = 60_000
/** Half of the time that rows are kept: the other half is for whoever is woken by the warning. */
const RETENTION_SHARE = 2
const HOUR_MS = 3_600_000

/** What an operator should look at, a sentence each; those of the source itself first. */
export function sourceWarnings(
  state: SourceState,
  setAside: SetAsideCounts,
  nowMs: number,
): string[] {
  const { facts, clockSkewMs = 0 } = state
  const warnings = [...(facts?.warnings ?? [])]
  if (Math.abs(clockSkewMs) > SKEW_MAX_MS) {
    const side = clockSkewMs > 0 ? 'ahead of' : 'behind'
    warnings.push(
      `its clock is ${seconds(Math.abs(clockSkewMs))} s ${side} ours: its rows are stamped and read by it; ` +
        'set both by NTP',
    )
  }
  warnings.push(...retentionWarnings(state, nowMs + clockSkewMs))
  return [...warnings, ...setAsideWarnings(setAside)]
}

/** Rows that are, or soon will be, deleted before they were read. */
export function rowsAtRisk(state: SourceState, nowMs: number): { readonly rowsAtRisk?: string } {
  const [says] = retentionWarnings(state, nowMs + (state.clockSkewMs ?? 0))
  return says === undefined ? {} : { rowsAtRisk: says }
}

/** None of these rows count, or count as they are now, until somebody says so. */
function setAsideWarnings(rows: SetAsideCounts): string[] {
  const { changed = 0, twin_source = 0, held_failure = 0, held_client_disconnected = 0 } = rows
  const says: readonly (readonly [number, string])[] = [
    [
      changed,
      'rows were shown with other billable fields after they were read: they are billed as they ' +
        'were first; see who changes its table, or uses a request id twice',
    ],
    [
      twin_source,
      'calls were shown by another source before, and are not billed again: two names for one ' +
        'LiteLLM, or one database behind two proxies?',
    ],
    [held_failure, 'rows are called failures though an answer was paid for: they do not count yet'],
    [held_client_disconnected, 'streams that the client left do not count yet'],
  ]
  return says
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} ${what}. Decide: flowmeter quarantine list`)
}

/** Before rows are deleted unread, and after. By the source's clock, as rows are. */
function retentionWarnings(
  { facts, readUntilMs }: SourceState,
  sourceNowMs: number,
): readonly string[] {
  const { retentionMs, oldestRowAtMs } = facts ?? {}
  const lagMs = sourceNowMs - readUntilMs
  if (retentionMs !== undefined && lagMs >= retentionMs) {
    return [
      `rows are deleted after ${hours(retentionMs)} h and were read until ${hours(lagMs)} h ago: some are lost`,
    ]
  }
  if (retentionMs !== undefined && lagMs * RETENTION_SHARE >= retentionMs) {
    const leftMs = retentionMs - lagMs
    return [
      `rows are deleted after ${hours(retentionMs)} h and were read until ${hours(lagMs)} h ago: in ${hours(leftMs)} h the first are lost`,
    ]
  }
  if (oldestRowAtMs !== undefined && lagMs > HOUR_MS && oldestRowAtMs > readUntilMs) {
    const [oldest, until] = [oldestRowAtMs, readUntilMs].map((ms) => new Date(ms).toISOString())
    return [
      `its oldest row is of ${oldest}, and rows were read until ${until}: what was between may have been deleted`,
    ]
  }
  return []
}

function hours(ms: number): string {
  return (ms / HOUR_MS).toFixed(1)
}

function seconds(ms: number): number {
  return Math.round(ms / 1000)
}
