#!/usr/bin/env node
// What `npx flowmeter` runs: the built program, or the way to build it. It is committed with its
// executable bit; what the compiler writes has none, and npx would keep a link to nothing if it was
// asked before the first build.
import { existsSync } from 'node:fs'

const main = new URL('../dist/src/main.js', import.meta.url)
if (existsSync(main)) {
  await import(main.href)
} else {
  console.error('error: flowmeter is not built yet. Run: npm ci && npm run build')
  process.exitCode = 78
}
