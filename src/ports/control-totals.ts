/** Counters of one key and model of one UTC day. */
export interface DailyUsage {
  /** The hash under which LiteLLM keeps the key. */
  readonly apiKey: string
  /** Empty for all calls of the key that the source puts under no public model name. */
  readonly model: string
  readonly requests: bigint
  readonly promptTokens: bigint
  readonly completionTokens: bigint
}

/** Sums that a source keeps beside its rows, to hold the rows read against. Never billed. */
export interface ControlTotals {
  /** Of the source. */
  readonly name: string
  /**
   * Failures and cache hits count too.
   *
   * @param day `2026-11-21`, UTC, of the call's start
   * @throws RetryableError with the codes of a source
   */
  dailyUsage(day: string, signal: AbortSignal): Promise<readonly DailyUsage[]>
}

export interface DayComparison {
  readonly source: string
  readonly day: string
  readonly comparedAtMs: number
  /** Keys and models compared. */
  readonly compared: number
  /** Only where they differ. */
  readonly differences: readonly DailyDifference[]
}

/** `ours` is what this store holds. */
export interface DailyDifference {
  readonly apiKey: string
  readonly model: string
  readonly ours: Omit<DailyUsage, 'apiKey' | 'model'>
  readonly theirs: Omit<DailyUsage, 'apiKey' | 'model'>
}

/** Comparisons by source and day. */
export interface Controls {
  /** The first day that is compared by itself; kept from the first call on. */
  firstDay(source: string, day: string): Promise<string>
  ours(source: string, day: string): Promise<readonly DailyUsage[]>
  save(comparison: DayComparison): Promise<void>
  /** Newest day first. */
  days(fromDay: string, source?: string): Promise<readonly DayComparison[]>
}
