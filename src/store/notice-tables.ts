export interface AlarmEpisodesTable {
  alarm: string
  raised_at_ms: bigint
  seen_at_ms: bigint
  severity: string
  says: string
  runbook: string
  told_at_ms: bigint | null
  cleared_at_ms: bigint | null
}

/** What somebody is told: one row for what became of an alarm, or of a hold, and a target. */
export interface NoticesTable {
  target: string
  alarm: string
  /** The number of a hold's change; empty for an alarm. */
  about: string
  raised_at_ms: bigint
  change: string
  notice: string
  noted_at_ms: bigint
  /** Null until it is in a message. */
  message_id: string | null
}

export interface NoticeMessagesTable {
  message_id: string
  target: string
  state: string
  tries: bigint
  made_at_ms: bigint
  next_at_ms: bigint
  ended_at_ms: bigint | null
  problem: string | null
}

export interface NoticeTables {
  alarm_episodes: AlarmEpisodesTable
  notices: NoticesTable
  notice_messages: NoticeMessagesTable
}
