import { rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type PlantedBug, plantAll } from '../planting.js'
import { PLANTED_BUGS, seedsThatFind } from './planted.js'
import { type Outcome, runSeed } from './run.js'
import { makeFolder, makeTemplate } from './world.js'

/** What was compiled: this file is in `dist/test/simulation/source`. */
const DIST = resolve(import.meta.dirname, '../../..')
/** The machine may be shared; more threads than this gain little. */
const THREADS_MAX = 2

interface Share {
  readonly seeds: readonly number[]
  readonly template: string
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      seed: { type: 'string' },
      json: { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
      planted: { type: 'boolean', default: false },
    },
  })
  if (values.planted) {
    const seeds = Number(values.seeds)
    const find = (bug: PlantedBug) => seedsThatFind(DIST, bug, seeds)
    await plantAll(DIST, PLANTED_BUGS, find, { seeds, isJson: values.json })
    return
  }
  const seeds =
    values.seed === undefined
      ? Array.from({ length: Number(values.seeds) }, (_, i) => i + 1)
      : [Number(values.seed)]
  const folder = makeFolder()
  try {
    const template = await makeTemplate(folder)
    const outcomes = values.trace
      ? [await runSeed(seeds[0] ?? 1, template, (line) => process.stderr.write(`${line}\n`))]
      : await runAll(seeds, template)
    tell(outcomes, values.json)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function tell(outcomes: readonly Outcome[], isJson: boolean): void {
  const bad = outcomes.filter(({ lost, doubled, wrong }) => lost + doubled + wrong.length > 0)
  for (const { seed, wrong } of bad) {
    process.stderr.write(`seed ${seed}\n${wrong.map((line) => `  ${line}\n`).join('')}`)
  }
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((n, one) => n + of(one), 0)
  const result = {
    seeds: outcomes.length,
    rows: sum(({ rows }) => rows),
    lost: sum(({ lost }) => lost),
    doubled: sum(({ doubled }) => doubled),
  }
  const text = Object.entries(result).map(([name, value]) => `${name} ${value}`)
  process.stdout.write(`${isJson ? JSON.stringify(result) : text.join(', ')}\n`)
  if (bad.length > 0) process.exitCode = 1
}

async function runAll(seeds: readonly number[], template: string): Promise<Outcome[]> {
  const threads = Math.min(THREADS_MAX, availableParallelism(), seeds.length)
  const shares = Array.from({ length: threads }, (_, t) =>
    seeds.filter((_seed, i) => i % threads === t),
  )
  const outcomes = await Promise.all(shares.map((share) => runShare({ seeds: share, template })))
  return outcomes.flat().sort((a, b) => a.seed - b.seed)
}

function runShare(share: Share): Promise<Outcome[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: share })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

async function work({ seeds, template }: Share): Promise<void> {
  const outcomes: Outcome[] = []
  for (const seed of seeds) {
    try {
      outcomes.push(await runSeed(seed, template, () => {}))
    } catch (error) {
      // A bug is told with its seed, and the other seeds go on.
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      outcomes.push({ seed, rows: 0, lost: 0, doubled: 0, wrong: [what] })
    }
  }
  parentPort?.postMessage(outcomes)
}

await (isMainThread ? main() : work(workerData as Share))
