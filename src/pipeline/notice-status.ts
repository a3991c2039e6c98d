import type { Notices } from '../ports/notices.js'
import { DEAD_TOLD_MS } from './notify.js'

/** What is told to somebody elsewhere, and what could not be. */
export interface NoticeStatus {
  /** Messages that will be tried, or tried again. */
  readonly due: number
  readonly oldestDueAgeS?: number
  /** Messages given up in the last week and not sent again since. */
  readonly dead: number
  readonly deadSince?: string
}

export async function noticeStatus(notices: Notices, nowMs: number): Promise<NoticeStatus> {
  const { due, dead, oldestDueAtMs, oldestDeadAtMs } = await notices.counts(nowMs - DEAD_TOLD_MS)
  return {
    due,
    dead,
    ...(oldestDueAtMs === undefined
      ? {}
      : { oldestDueAgeS: Math.max(0, Math.round((nowMs - oldestDueAtMs) / 1_000)) }),
    ...(oldestDeadAtMs === undefined ? {} : { deadSince: new Date(oldestDeadAtMs).toISOString() }),
  }
}
