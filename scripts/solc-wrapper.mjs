#!/usr/bin/env node
// Lets forge compile with npm `solc`, so that one pinned compiler builds everything and nothing is
// downloaded. Forge asks for `--version`, then sends standard JSON to stdin.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const solc = createRequire(import.meta.url)('solc')

if (process.argv.includes('--version')) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`)
} else {
  process.stdout.write(solc.compile(readFileSync(0, 'utf8')))
}
