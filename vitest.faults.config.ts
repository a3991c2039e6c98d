import { defineConfig } from 'vitest/config'

/** The daemon as a process among engines that fail. They wait for rounds, restarts and time-outs. */
export const FAULT_SUITES = [
  'test/e2e/flare-faults.test.ts',
  'test/e2e/flare-outages.test.ts',
  'test/e2e/engines.test.ts',
  'test/e2e/recovery.test.ts',
  'test/e2e/rotation.test.ts',
]

/** A test that runs for so long hangs. A slow machine, or one that is shared, makes none fail. */
export const HANGS_AFTER_MS = 600_000

/** `npm run test:faults`: one suite after the other, since each has a whole network of its own. */
export default defineConfig({
  test: {
    include: FAULT_SUITES,
    globalSetup: ['test/support/emulator-setup.ts'],
    fileParallelism: false,
    testTimeout: HANGS_AFTER_MS,
    hookTimeout: HANGS_AFTER_MS,
  },
})
