import type { Checks } from './stores.js'

/** What one lap over everything has found, up to where it is. */
export interface Findings {
  /** Differences, by check. */
  readonly found: Checks
  /** What could be compared with nothing, by check: no node shows it. */
  readonly unknown: Checks
}

/** Checks that go over everything bit by bit, and then again: where they are, and what they found. */
export interface Lap extends Findings {
  readonly startedAtMs: number
  /** Where it goes on. */
  readonly part: string
  readonly from: bigint
  /** The newest that came to its end. */
  readonly last?: Findings & { readonly endedAtMs: number }
}

/** How far a check is believed that goes over everything. */
export interface Compared {
  /** When the newest lap ended; absent before the first. */
  readonly endedAtMs: number | undefined
  /** When the lap began that is on its way. */
  readonly startedAtMs: number
  readonly unknown: bigint
}
