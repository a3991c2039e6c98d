import { defineConfig } from 'vitest/config'

/** `npm run test:faults`: minutes of a misbehaving Flare, with the daemon as a process of its own. */
export default defineConfig({
  test: {
    include: ['test/e2e/flare-faults.test.ts'],
    globalSetup: ['test/support/emulator-setup.ts'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
})
