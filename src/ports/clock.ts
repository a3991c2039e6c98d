/** The one way to know the time, so that tests can drive it. */
export interface Clock {
  /** ms since 1970, UTC. */
  now(): number
}
