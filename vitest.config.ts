import { configDefaults, defineConfig } from 'vitest/config'
import { FAULT_SUITES, HANGS_AFTER_MS } from './vitest.faults.config.js'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Minutes long each: `npm run test:faults`.
    exclude: [...configDefaults.exclude, ...FAULT_SUITES],
    globalSetup: ['test/support/emulator-setup.ts'],
    // Engines (anvil, the emulator) share two cores: more workers only make each other late.
    maxWorkers: 2,
    testTimeout: HANGS_AFTER_MS,
    hookTimeout: HANGS_AFTER_MS,
  },
})
