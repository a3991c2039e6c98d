import { rmSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inSimulationBuild } from '../../support/simulation-build.js'
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
let rowsPlayed = 0
beforeAll(async () => {
  folder = makeFolder()
  template = await makeTemplate(folder)
})
afterAll(() => rmSync(folder, { recursive: true }))

test.each(SEEDS)('seed %i: every billable row is counted, once', async (seed) => {
  const { rows, ...outcome } = await runSeed(seed, template, () => {})
  expect(outcome).toEqual({ seed, lost: 0, doubled: 0, wrong: [] })
  rowsPlayed += rows // A proxy whose clock is behind may log nothing that is ours.
})

test('those were not empty schedules', () => {
  expect(rowsPlayed).toBeGreaterThan(1_000)
})

// All of them are found by `npm run sim:source -- --planted --seeds 24`.
test('bugs that are planted fit the program, and the first of them is found', async () => {
  const [cursorFirst] = PLANTED_BUGS
  if (cursorFirst === undefined) throw new Error('no bug is planted')
  await inSimulationBuild(async (dist) => {
    expect(PLANTED_BUGS.flatMap((bug) => misfits(dist, bug))).toEqual([])
    expect((await seedsThatFind(dist, cursorFirst, 6)).length).toBeGreaterThan(0)
  })
})

test('the same seed is the same schedule, to the row', async () => {
  const lines: string[][] = [[], []]
  for (const trace of lines) await runSeed(5, template, (line) => trace.push(line))
  expect(lines[0]?.length).toBeGreaterThan(10)
  expect(lines[1]).toEqual(lines[0])
})
