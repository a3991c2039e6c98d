// Reads what a test runner wrote and prints "passed failed"; on standard error, what failed and why.
//   node .ci/count.mjs forge FILE | vitest FILE [AGAIN] | demo (from standard input)
//   node .ci/count.mjs failed FILE   the test files of which something failed, a line each
import { readFileSync } from 'node:fs'

const [kind, file, again] = process.argv.slice(2)

function readJson(path) {
  return JSON.parse(readFileSync(path ?? 0, 'utf8'))
}

const MESSAGE_MAX = 600

function tell(what, name, message) {
  console.error(`${what}: ${name}\n  ${String(message ?? '').slice(0, MESSAGE_MAX)}`)
}

/** By suite, then by test: "Success" or "Failure". A skipped test counts as failed: there are none. */
function countForge(report) {
  const tests = Object.values(report).flatMap((suite) => Object.entries(suite.test_results))
  for (const [name, { status, reason }] of tests) {
    if (status !== 'Success') tell('failed', name, reason)
  }
  const passed = tests.filter(([, { status }]) => status === 'Success').length
  return [passed, tests.length - passed]
}

function readTries(file, again) {
  const report = readJson(file)
  return again === undefined ? report : withSecondTry(report, readJson(again))
}

/** A file that failed and passed when it was run again has passed, and what failed is told as flaky. */
function withSecondTry(report, second) {
  const passed = second.testResults.filter(({ status }) => status === 'passed')
  const testResults = report.testResults.map((first) => {
    const again = passed.find(({ name }) => name === first.name)
    if (first.status === 'passed' || again === undefined) return first
    for (const test of first.assertionResults) {
      if (test.status === 'passed') continue
      tell('flaky', `${first.name}: ${test.fullName}`, test.failureMessages?.join('\n'))
    }
    return again
  })
  return { testResults }
}

/** A file that did not load has no tests; it counts as one failure. A skipped test counts too. */
function countVitest({ testResults }) {
  for (const { name, status, message, assertionResults } of testResults) {
    if (status === 'failed' && assertionResults.length === 0) tell('failed', name, message)
    for (const test of assertionResults) {
      if (test.status === 'passed') continue
      tell('failed', `${name}: ${test.fullName} (${test.status})`, test.failureMessages?.join('\n'))
    }
  }
  const unloaded = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  ).length
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  const passed = tests.filter(({ status }) => status === 'passed').length
  return [passed, tests.length - passed + unloaded]
}

/** Fails unless the demo says that everything came out right, and that something happened. */
function checkDemo({ ok, records, batches, vaults, checks }) {
  const problems = [
    ok !== true && '"ok" is not true',
    !(records > 0) && 'no record was collected',
    !(batches?.length > 0) && 'no batch was sealed',
    !vaults?.some(({ charged }) => BigInt(charged) > 0n) && 'no vault was charged',
    vaults?.some(({ charged, expected }) => charged !== expected) && 'charged is not as expected',
    !(Object.keys(checks ?? {}).length > 0) && 'nothing was checked',
    Object.values(checks ?? {}).some((value) => value !== 0) && 'a check is not 0',
  ].filter(Boolean)
  if (problems.length > 0) throw new Error(`the demo: ${problems.join(', ')}`)
}

switch (kind) {
  case 'forge':
    console.log(countForge(readJson(file)).join(' '))
    break
  case 'vitest':
    console.log(countVitest(readTries(file, again)).join(' '))
    break
  case 'failed':
    for (const { name, status } of readJson(file).testResults) if (status === 'failed') console.log(name)
    break
  case 'demo':
    checkDemo(readJson())
    break
  default:
    throw new Error(`not a kind of report: ${kind}`)
}
