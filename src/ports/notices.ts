import type { Notice, NoticeSeverity } from './notifier.js'

/** One time for which an alarm holds. Short breaks do not end it. */
export interface AlarmEpisode {
  readonly alarm: string
  readonly raisedAtMs: number
  readonly seenAtMs: number
  readonly severity: NoticeSeverity
  readonly says: string
  readonly runbook: string
  /** When somebody was told; absent for one that did not last. */
  readonly toldAtMs: number | undefined
  readonly clearedAtMs: number | undefined
}

export type MessageState = 'due' | 'sent' | 'dead'

export interface SavedMessage {
  readonly id: string
  readonly target: string
  readonly state: MessageState
  /** Tries that were begun. */
  readonly tries: number
  readonly madeAtMs: number
  /** Not before it is it tried again. */
  readonly nextAtMs: number
  /** When it was sent, or given up. */
  readonly endedAtMs: number | undefined
  /** Of the newest try. */
  readonly problem: string | undefined
  readonly notices: readonly Notice[]
}

/** What somebody is to be told, saved before it is sent. */
export interface Notices {
  /** Open ones, and those that ended since. */
  episodes(endedSinceMs: number): Promise<readonly AlarmEpisode[]>
  saveEpisode(episode: AlarmEpisode): Promise<void>
  /** One row for an alarm's raising or clearing and a target; the same again changes nothing. */
  add(target: string, notice: Notice): Promise<void>
  /** Not in a message yet: alarms before holds of single accounts, the oldest first. */
  waiting(target: string, limit: number): Promise<readonly Notice[]>
  /** Puts notices that wait into one message. */
  gather(message: SavedMessage): Promise<void>
  /** When the newest message to it was put together. */
  lastMadeAtMs(target: string): Promise<number | undefined>
  /** Those that may be tried now, oldest first. */
  due(nowMs: number, limit: number): Promise<readonly SavedMessage[]>
  message(id: string): Promise<SavedMessage | undefined>
  saveMessage(message: Omit<SavedMessage, 'notices'>): Promise<void>
  /** Newest first. */
  newest(limit: number): Promise<readonly SavedMessage[]>
  counts(deadSinceMs: number): Promise<{
    readonly due: number
    /** Given up since then, and not sent again. */
    readonly dead: number
    readonly oldestDueAtMs: number | undefined
    readonly oldestDeadAtMs: number | undefined
  }>
  /** Forgets what ended before; returns how many messages. */
  prune(beforeMs: number): Promise<number>
}
