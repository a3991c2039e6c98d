import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type PlantedBug, plantAll } from '../planting.js'
import { PLANTED_BUGS, seedsThatFind } from './planted.js'
import { type Outcome, runSeed } from './run.js'

/** What was compiled: this file is in `dist/test/simulation/budgets`. */
const DIST = resolve(import.meta.dirname, '../../..')
const THREADS_MAX = 2

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      json: { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
      /** Ends with the first seed that fails. */
      first: { type: 'boolean', default: false },
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
      ? Array.from({ length: Number(values.seeds) }, (_, i) => Number(values.from) + i)
      : [Number(values.seed)]
  const outcomes =
    values.trace || values.first
      ? await runSeeds({ seeds, isFirstEnough: values.first }, values.trace)
      : await runAll(seeds)
  tell(outcomes, values.json)
}

function tell(outcomes: readonly Outcome[], isJson: boolean): void {
  const bad = outcomes.filter(isBad)
  for (const { seed, wrong } of bad) {
    process.stderr.write(`seed ${seed}\n${wrong.map((line) => `  ${line}\n`).join('')}`)
  }
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((n, one) => n + of(one), 0)
  const result = {
    seeds: outcomes.length,
    calls: sum(({ calls }) => calls),
    blocks: sum(({ blocks }) => blocks),
    overspent: sum(({ overspent }) => overspent),
    wronglyBlocked: sum(({ wronglyBlocked }) => wronglyBlocked),
    wronglyUnblocked: sum(({ wronglyUnblocked }) => wronglyUnblocked),
    ledgerDifference: sum(({ ledgerDifference }) => Number(ledgerDifference)),
  }
  const text = Object.entries(result).map(([name, value]) => `${name} ${value}`)
  process.stdout.write(`${isJson ? JSON.stringify(result) : text.join(', ')}\n`)
  if (bad.length > 0) process.exitCode = 1
}

function isBad({ wrong, ledgerDifference }: Outcome): boolean {
  return wrong.length > 0 || ledgerDifference !== 0n
}

async function runAll(seeds: readonly number[]): Promise<Outcome[]> {
  const threads = Math.min(THREADS_MAX, availableParallelism(), seeds.length)
  if (threads < 2) return runSeeds({ seeds, isFirstEnough: false }, false)
  const shares = Array.from({ length: threads }, (_, t) =>
    seeds.filter((_seed, i) => i % threads === t),
  )
  const outcomes = await Promise.all(shares.map(inThread))
  return outcomes.flat().sort((a, b) => a.seed - b.seed)
}

interface Share {
  readonly seeds: readonly number[]
  readonly isFirstEnough: boolean
}

function inThread(seeds: readonly number[]): Promise<Outcome[]> {
  return new Promise((resolvePromise, reject) => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { seeds, isFirstEnough: false },
    })
    worker.once('message', resolvePromise)
    worker.once('error', reject)
  })
}

async function runSeeds({ seeds, isFirstEnough }: Share, isTraced: boolean): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  const trace = (line: () => string) => {
    if (isTraced) process.stderr.write(`${line()}\n`)
  }
  for (const seed of seeds) {
    try {
      const outcome = await runSeed(seed, trace)
      outcomes.push(outcome)
      if (isFirstEnough && isBad(outcome)) break
    } catch (error) {
      // A bug is told with its seed, and the other seeds go on.
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      const nothing = { calls: 0, blocks: 0, overspent: 0, wronglyBlocked: 0, wronglyUnblocked: 0 }
      outcomes.push({ seed, ...nothing, ledgerDifference: 0n, wrong: [what] })
    }
  }
  return outcomes
}

await (isMainThread
  ? main()
  : runSeeds(workerData as Share, false).then((outcomes) => parentPort?.postMessage(outcomes)))
