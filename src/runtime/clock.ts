/** The real time. The only place that reads it. */
export const systemClock = {
  now: (): number => Date.now(),
}
