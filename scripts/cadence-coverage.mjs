import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

// npm run coverage:cadence [-- --json] [-- test files…]
// Which statements of our contracts the Cadence tests run, counted by the emulator itself. Prints the
// lines that none ran; exits with 1 below the least share, or where a test fails.

const SHARE_MIN = 0.95
const TESTS = ['test/cadence', 'test/pricing/twin.test.ts']

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const folder = mkdtempSync(join(tmpdir(), 'flowmeter-coverage-'))
try {
  const tests = positionals.length > 0 ? positionals : TESTS
  const { status } = spawnSync('npx', ['vitest', 'run', ...tests], {
    env: { ...process.env, CADENCE_COVERAGE_FOLDER: folder },
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
  })
  const contracts = Object.fromEntries(
    [...merged(folder)].map(([name, hits]) => [name, view(hits)]),
  )
  const all = Object.values(contracts)
  const statements = sum(all.map((one) => one.statements))
  const covered = sum(all.map((one) => one.covered))
  const share = statements === 0 ? 0 : covered / statements
  const ok = status === 0 && share >= SHARE_MIN
  const result = { ok, testsPassed: status === 0, statements, covered, percent: percent(share) }
  if (values.json)
    console.log(JSON.stringify({ ...result, percentMin: SHARE_MIN * 100, contracts }))
  else print(result, contracts)
  process.exitCode = ok ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** A statement was run if any of the emulators ran it. */
function merged(from) {
  const contracts = new Map()
  for (const file of readdirSync(from).sort()) {
    const one = JSON.parse(readFileSync(join(from, file), 'utf8'))
    for (const [name, hits] of Object.entries(one)) {
      const lines = contracts.get(name) ?? new Map()
      for (const [line, count] of Object.entries(hits)) {
        lines.set(Number(line), (lines.get(Number(line)) ?? 0) + count)
      }
      contracts.set(name, lines)
    }
  }
  return contracts
}

function view(lines) {
  const missed = [...lines].filter(([, count]) => count === 0).map(([line]) => line)
  const covered = lines.size - missed.length
  return {
    statements: lines.size,
    covered,
    percent: percent(covered / lines.size),
    missedLines: missed.sort((a, b) => a - b),
  }
}

function print({ ok, testsPassed, statements, covered, percent }, contracts) {
  for (const [name, one] of Object.entries(contracts)) {
    console.log(`${name}: ${one.percent} % of ${one.statements} statements`)
    const source = readFileSync(`cadence/contracts/${name}.cdc`, 'utf8').split('\n')
    for (const line of one.missedLines) console.log(`  ${line}: ${source[line - 1]?.trim()}`)
  }
  console.log(`all: ${percent} %, ${covered} of ${statements}${ok ? '' : ': NOT ENOUGH'}`)
  if (!testsPassed) console.log('A test failed: see above.')
}

function percent(share) {
  return Number((share * 100).toFixed(1))
}

function sum(numbers) {
  return numbers.reduce((total, one) => total + one, 0)
}
