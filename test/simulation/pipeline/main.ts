import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { BUGS, type BugName } from './bugs.js'
import { INVARIANTS } from './invariants.js'
import { isBad, type Outcome, runSeed } from './run.js'

interface Share {
  readonly seeds: readonly number[]
  readonly bug: BugName | undefined
  readonly isFirstEnough: boolean
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '500' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      bug: { type: 'string' },
      workers: { type: 'string' },
      json: { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
      /** Ends with the first seed that fails. */
      first: { type: 'boolean', default: false },
    },
  })
  const bug = values.bug === undefined ? undefined : nameOfBug(values.bug)
  const seeds =
    values.seed === undefined
      ? Array.from({ length: Number(values.seeds) }, (_, i) => Number(values.from) + i)
      : [Number(values.seed)]
  const workers = Number(values.workers ?? availableParallelism())
  const outcomes =
    values.trace || seeds.length === 1
      ? [await runOne(seeds[0] ?? 1, bug, values.trace)]
      : await runAll({ seeds, bug, isFirstEnough: values.first }, values.first ? 1 : workers)
  tell(outcomes, values.json)
}

function nameOfBug(name: string): BugName {
  if (Object.hasOwn(BUGS, name)) return name as BugName
  throw new Error(`no bug "${name}"; there are ${Object.keys(BUGS).join(', ')}`)
}

function tell(outcomes: readonly Outcome[], isJson: boolean): void {
  const bad = outcomes.filter(isBad)
  for (const { seed, wrong } of bad) {
    const some = wrong.slice(0, 12)
    process.stderr.write(`seed ${seed}\n${some.map((line) => `  ${line}\n`).join('')}`)
  }
  const result = resultOf(outcomes)
  const text = Object.entries(result).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  process.stdout.write(`${isJson ? JSON.stringify(result) : text.join(', ')}\n`)
  if (bad.length > 0) process.exitCode = 1
}

function resultOf(outcomes: readonly Outcome[]) {
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((n, one) => n + of(one), 0)
  return {
    seeds: outcomes.length,
    crashes: sum(({ crashes }) => crashes),
    batches: sum(({ batches }) => batches),
    lost: sum(({ lost }) => lost),
    doubled: sum(({ doubled }) => doubled),
    overcharged: sum(({ overcharged }) => overcharged),
    stuck: sum(({ stuck }) => stuck),
    invariants: Object.fromEntries(
      INVARIANTS.map((name) => [name, sum(({ invariants }) => invariants[name] ?? 0)]),
    ),
    failed: outcomes.filter(isBad).map(({ seed }) => seed),
  }
}

async function runAll(share: Share, workers: number): Promise<Outcome[]> {
  if (workers < 2) return runShare(share)
  const { seeds } = share
  const shares = Array.from({ length: workers }, (_, t) =>
    seeds.filter((_seed, i) => i % workers === t),
  )
  const outcomes = await Promise.all(shares.map((some) => inThread({ ...share, seeds: some })))
  return outcomes.flat().sort((a, b) => a.seed - b.seed)
}

function inThread(share: Share): Promise<Outcome[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: share })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

async function runShare({ seeds, bug, isFirstEnough }: Share): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const seed of seeds) {
    const outcome = await runOne(seed, bug, false)
    outcomes.push(outcome)
    if (isFirstEnough && isBad(outcome)) break
  }
  return outcomes
}

async function runOne(seed: number, bug: BugName | undefined, isTraced: boolean): Promise<Outcome> {
  const trace = (line: () => string) => {
    if (isTraced) process.stderr.write(`${line()}\n`)
  }
  try {
    return await runSeed(seed, trace, bug === undefined ? {} : BUGS[bug])
  } catch (error) {
    // A bug of ours or of the simulation is told with its seed, and the other seeds go on.
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const nothing = { lost: 0, doubled: 0, overcharged: 0, crashes: 0, stuck: 1, batches: 0 }
    return { seed, ...nothing, invariants: {}, wrong: [what] }
  }
}

await (isMainThread
  ? main()
  : runShare(workerData as Share).then((outcomes) => parentPort?.postMessage(outcomes)))
