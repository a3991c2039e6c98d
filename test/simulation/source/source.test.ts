import { rmSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { misfits, PLANTED_BUGS, seedsThatFind } from './planted.js'
import { runSeed } from './run.js'
import { makeFolder, makeTemplate } from './world.js'

// Goal: whatever a LiteLLM does, what we count is what it billed. Method: play whole schedules, made
// of a seed, of everything that is known to go wrong; then compare with the proxies' own sums.
// `npm run sim:source` plays thousands.

/** Seeds that found something once; they stay. */
const REMEMBERED = [1, 2, 7]
const SEEDS = [...REMEMBERED, ...Array.from({ length: 27 }, (_, i) => 101 + i)]

let folder: string
let template: string
beforeAll(async () => {
  folder = makeFolder()
  template = await makeTemplate(folder)
})
afterAll(() => rmSync(folder, { recursive: true }))

test.each(SEEDS)('seed %i: every billable row is counted, once', async (seed) => {
  const { rows, ...outcome } = await runSeed(seed, template, () => {})
  expect(outcome).toEqual({ seed, lost: 0, doubled: 0, wrong: [] })
  expect(rows).toBeGreaterThan(0)
})

// The whole of it is `npm run sim:source -- --planted --seeds 50`.
test('every bug that is planted by hand still fits the program, and one is found', async () => {
  expect(PLANTED_BUGS.flatMap(misfits)).toEqual([])
  const [cursorFirst] = PLANTED_BUGS
  if (cursorFirst === undefined) throw new Error('no bug is planted')
  expect((await seedsThatFind(cursorFirst, 24)).length).toBeGreaterThan(0)
})

test('the same seed is the same schedule, to the row', async () => {
  const lines: string[][] = [[], []]
  for (const trace of lines) await runSeed(5, template, (line) => trace.push(line))
  expect(lines[0]?.length).toBeGreaterThan(10)
  expect(lines[1]).toEqual(lines[0])
})
