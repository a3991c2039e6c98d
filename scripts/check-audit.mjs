// Reads what `npm audit --json` answered (a file, or stdin) and fails for a known hole of severity high
// or critical. A registry that has no audit is said, and does not fail (SECURITY.md).
//   npm audit --omit=dev --omit=optional --json | node scripts/check-audit.mjs
import { readFileSync } from 'node:fs'

const FAILING = new Set(['high', 'critical'])

const text = readFileSync(process.argv[2] ?? 0, 'utf8')
const { metadata, vulnerabilities = {}, message = 'no answer' } = JSON.parse(text || '{}')
if (metadata === undefined) {
  console.log(`not asked: the registry has no audit (${message})`)
} else {
  const all = Object.values(vulnerabilities)
  const bad = all.filter(({ severity }) => FAILING.has(severity))
  for (const { name, severity, range } of bad) console.error(`${severity}: ${name} ${range}`)
  console.log(`${metadata.dependencies.total} packages, ${bad.length} high or critical`)
  if (bad.length > 0) process.exitCode = 1
}
