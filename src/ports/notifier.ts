/** Ordered: `page` is the most severe. */
export const SEVERITIES = ['page', 'warning', 'info'] as const
export type NoticeSeverity = (typeof SEVERITIES)[number]

/**
 * What became of an alarm, or of the keys of a customer. `test`: somebody tries whether telling works.
 */
export type NoticeChange = 'raised' | 'cleared' | 'blocked' | 'unblocked' | 'test'

/** Whose keys, and why. */
export interface HeldNotice {
  /** Of the change: tells two of the same account and reason apart. */
  readonly number: number
  readonly account: string
  /** Of one key alone: its alias, or its id where it has none. */
  readonly key?: string
  readonly reason: string
  /** What blocks the same besides. */
  readonly others: readonly string[]
}

export interface Notice {
  /** As in docs/runbooks. */
  readonly alarm: string
  readonly change: NoticeChange
  readonly severity: NoticeSeverity
  /** Of `blocked` and `unblocked`, and of nothing else. */
  readonly held?: HeldNotice
  /** A sentence. May hold what customers wrote: it is data, and no markup. */
  readonly says: string
  /** When the alarm was raised, or the reason began to block, ms. */
  readonly raisedAtMs: number
  /** When it was cleared, or no longer blocked, ms. */
  readonly clearedAtMs?: number
  /** The page that says what to do, from the repository's root. */
  readonly runbook: string
}

/** One message. Sent again, it is the same to the last byte but for the instant of sending. */
export interface NoticeMessage {
  /** Derived from what it tells: whoever gets it twice knows it by this. */
  readonly id: string
  /** When it was put together, ms. */
  readonly atMs: number
  /** At least one, what is worst first. */
  readonly notices: readonly Notice[]
}

/** What came of one try. A failed one may have arrived all the same: hence the id. */
export type Told =
  | { readonly ok: true; readonly answer: string }
  | {
      readonly ok: false
      /** In words for people, without any secret. */
      readonly why: string
      /** The receiver wants nothing more: trying again is of no use. */
      readonly isFinal: boolean
      /** It asked to be left alone for so long. */
      readonly retryAfterMs?: number
    }

/**
 * A place where somebody is told. One call is one try: it never waits for longer than its time
 * limit, never throws but for the signal, and follows no redirect.
 */
export interface Notifier {
  /** Of the settings; unique, and what the store knows it by. */
  readonly name: string
  readonly kind: string
  /** What is less severe is not told here. */
  readonly minSeverity: NoticeSeverity
  tell(message: NoticeMessage, signal: AbortSignal): Promise<Told>
}
