import { defineConfig } from 'vitest/config'

/** The daemon as a process among engines that fail. They wait for rounds, restarts and time-outs. */
export const FAULT_SUITES = [
  'test/e2e/flare-faults.test.ts',
  'test/e2e/flare-outages.test.ts',
  'test/e2e/engines.test.ts',
  'test/e2e/recovery.test.ts',
]

/** `npm run test:faults`: one suite after the other, since each has a whole network of its own. */
export default defineConfig({
  test: {
    include: FAULT_SUITES,
    globalSetup: ['test/support/emulator-setup.ts'],
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
})
