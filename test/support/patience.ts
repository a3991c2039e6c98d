/**
 * So long a test waits for what has to come. No measure of speed: the wait is over when it comes, and
 * only what never comes takes all of it. Below the limit of a test, so that the test says what was
 * missing.
 */
export const PATIENCE_MS = 480_000

/** For `vi.waitFor`, `vi.waitUntil` and `expect.poll`. */
export const PATIENTLY = { timeout: PATIENCE_MS, interval: 50 }
