/** One thing that was looked at. Names no secret. */
export interface Finding {
  readonly check: string
  readonly verdict: 'ok' | 'warning' | 'broken'
  readonly says: string
  /** What to do; absent where all is well. */
  readonly fix?: string
}
