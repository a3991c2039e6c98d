import type { SourceOddities, SourceState } from '../ports/stores.js'

/** A minute is more than NTP leaves and less than a reader's settle time. */
const SKEW_MAX_MS = 60_000
/** Half of the time that rows are kept: the other half is for whoever is woken by the warning. */
const RETENTION_SHARE = 2
const HOUR_MS = 3_600_000

/** What an operator should look at, a sentence each; those of the source itself first. */
export function sourceWarnings(
  state: SourceState,
  oddities: Pick<SourceOddities, 'quarantined' | 'twins'> | undefined,
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
  const { quarantined = 0, twins = 0 } = oddities ?? {}
  if (quarantined > 0) {
    warnings.push(
      `${quarantined} rows were shown with other billable fields after they were read: they are ` +
        'billed as they were first; look at the quarantine and at who changes its table',
    )
  }
  if (twins > 0) {
    warnings.push(
      `${twins} calls were shown by another source before, and are not billed again: two names ` +
        'for one LiteLLM, or one database behind two proxies?',
    )
  }
  return warnings
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
