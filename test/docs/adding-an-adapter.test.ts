import { execFile } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PATIENCE_MS } from '../support/patience.js'

// Goal: the page proves itself. Method: put its blocks into a copy of the tree, where they touch one
// folder and one line of what was there; then compile it, and run its contract tests and the rules
// of the house over it, as CI does with everything else.

const ROOT = resolve(import.meta.dirname, '../..')
const PAGE = readFileSync(join(ROOT, 'docs/adding-an-adapter.md'), 'utf8')
const TAKEN_OVER = ['src', 'tsconfig.json', 'package.json']
const TESTS_TAKEN_OVER = ['test/ports/usage-source-contract.ts', 'test/tidy.test.ts']
const run = promisify(execFile)

let folder: string
const blocks = [...PAGE.matchAll(/^```ts (file|line)=(\S+)\n([\s\S]*?)^```$/gm)].map(
  ([, kind = '', path = '', code = '']) => ({ kind, path, code }),
)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowmeter-worked-example-'))
  for (const path of TAKEN_OVER) cpSync(join(ROOT, path), join(folder, path), { recursive: true })
  for (const path of TESTS_TAKEN_OVER) cpSync(join(ROOT, path), join(folder, path))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  for (const { kind, path, code } of blocks) {
    const target = join(folder, path)
    mkdirSync(dirname(target), { recursive: true })
    // A file that is there already is touched by its line alone.
    if (kind === 'line') appendFileSync(target, code)
    else writeFileSync(target, code, { flag: 'wx' })
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs a tool of the tree in the copy; its output where it fails. */
async function failureOf(tool: string, ...args: string[]): Promise<string> {
  const options = { cwd: folder, timeout: PATIENCE_MS, maxBuffer: 16 * 1024 * 1024 }
  const script = join(ROOT, 'node_modules', tool)
  return run(process.execPath, [script, ...args], options).then(
    () => '',
    (error: { stdout?: string; stderr?: string }) => `${error.stdout}\n${error.stderr}`,
  )
}

test('is one folder or file, one line of a registry, and one test, for each', () => {
  const inSource = blocks.filter(({ path }) => path.startsWith('src/'))
  const files = inSource.filter(({ kind }) => kind === 'file').map(({ path }) => path)
  const own = files.filter((path) => dirname(path) !== 'src/sources/tollgate')
  expect(files.length).toBeGreaterThan(own.length)
  expect(own).toEqual(['src/mapping/mail-domain.ts'])
  const lines = inSource.filter(({ kind }) => kind === 'line')
  expect(lines.map(({ path, code }) => [path, code.trimEnd().split('\n').length])).toEqual([
    ['src/sources/kinds.ts', 1],
    ['src/mapping/kinds.ts', 1],
  ])
  const tests = blocks.filter(({ path }) => !path.startsWith('src/')).map(({ path }) => path)
  expect(tests).toEqual(['test/sources/tollgate.test.ts', 'test/mapping/mail-domain.test.ts'])
})

test('compiles under the strict settings', async () => {
  const files = ['src/sources/index.ts', 'src/mapping/index.ts', ...blocks.map(({ path }) => path)]
  const config = { extends: './tsconfig.json', include: [], files: [...new Set(files)] }
  writeFileSync(join(folder, 'tsconfig.example.json'), JSON.stringify(config))
  expect(await failureOf('typescript/bin/tsc', '-p', 'tsconfig.example.json')).toBe('')
})

test('passes its tests, the contract of a source among them', async () => {
  const tests = blocks.filter(({ path }) => path.endsWith('.test.ts')).map(({ path }) => path)
  const { output, numPassedTests, numTotalTests } = await testsIn(tests)
  expect(output).toBe('')
  expect(numPassedTests).toBe(numTotalTests)
  expect(numTotalTests).toBeGreaterThan(10)
})

test('follows the rules of the house', async () => {
  const { numTotalTests, failures } = await testsIn(['test/tidy.test.ts'])
  expect(numTotalTests).toBeGreaterThan(5)
  // What others leave lying about is for the house's own test to say.
  expect(failures.filter((message) => /tollgate|mail-domain/.test(message))).toEqual([])
})

interface Report {
  readonly numPassedTests: number
  readonly numTotalTests: number
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly failureMessages?: readonly string[] }[]
  }[]
}

async function testsIn(files: readonly string[]) {
  const file = join(folder, 'report.json')
  const reporting = ['--reporter=json', `--outputFile=${file}`]
  const output = await failureOf(
    'vitest/vitest.mjs',
    'run',
    `--testTimeout=${PATIENCE_MS}`,
    '--root',
    folder,
    ...reporting,
    ...files,
  )
  const { testResults, ...counts } = JSON.parse(readFileSync(file, 'utf8')) as Report
  const results = testResults.flatMap(({ assertionResults }) => assertionResults)
  const failures = results.flatMap(({ failureMessages = [] }) => failureMessages)
  return { ...counts, output, failures }
}
