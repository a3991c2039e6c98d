import { parseArgs } from 'node:util'
import { BATCH_LIMITS } from '../../src/pipeline/draft.js'
import { readStatus } from '../../src/pipeline/status.js'
import { SEPTEMBER_S } from '../../test/support/usage.js'
import { type Daemon, World } from '../../test/support/world.js'
import { feed } from './feed.js'

// npm run bench -- overload [--rows 200000] [--vaults 2000] [--json]
// Goal: more usage than the pipeline takes makes the daemon late, not larger. Method: the daemon's own
// steps on a real store, beside chains in memory, are fed several times what they seal in that time,
// and then left alone until the last row is charged. Memory and everything that waits in it is
// looked at after every round: what waits is in the store.

/** Between two rounds. A batch takes several of them; each brings as many rows as one takes in. */
const ROUND_MS = 600_000
const ROWS_A_ROUND = BATCH_LIMITS.records
const ROUNDS_MAX = 1_000
/** Of all rounds: in the first of them the heap finds its size. */
const WARM_UP = 0.5
const RSS_GROWTH_MB_MAX = 50
const RSS_MB_MAX = 500

export async function run(options: string[]): Promise<number> {
  const { values } = parseArgs({
    args: options,
    options: {
      rows: { type: 'string', default: '200000' },
      vaults: { type: 'string', default: '2000' },
      json: { type: 'boolean', default: false },
    },
  })
  const size = { rows: Number(values.rows), vaults: Number(values.vaults) }
  const world = new World({ intervalMs: 1, limits: BATCH_LIMITS })
  try {
    const result = await measure(world, size)
    if (values.json) console.log(JSON.stringify({ bench: 'overload', ...result }))
    else console.log(result)
    return result.ok ? 0 : 1
  } finally {
    await world.file.remove()
  }
}

async function measure(world: World, { rows, vaults }: { rows: number; vaults: number }) {
  for (let account = 1; account <= vaults; account += 1) {
    world.flow.openVault(BigInt(account), SEPTEMBER_S)
  }
  const stepMs = ROUND_MS / ROWS_A_ROUND
  const startMs = world.clock.now()
  feed(world.source, { rows, vaults, startMs, stepMs })
  world.tick(ROUND_MS)
  const daemon = await world.boot()
  const seen = { inFlight: 0, openTransactions: 0, recordsABatch: 0, entriesABatch: 0, backlog: 0 }
  const rssMb: number[] = []
  const startedAt = performance.now()
  let fedRounds = 0
  let isDone = false
  for (let round = 1; !isDone && round <= ROUNDS_MAX; round += 1) {
    await roundOf(daemon)
    const look = await lookAt(daemon)
    for (const name of Object.keys(seen) as (keyof typeof seen)[]) {
      seen[name] = Math.max(seen[name], look[name])
    }
    if (world.clock.now() <= startMs + rows * stepMs) fedRounds = round
    rssMb.push(Math.round(process.memoryUsage.rss() / 1024 / 1024))
    isDone = fedRounds < round && look.backlog === 0 && look.inFlight === 0
    world.tick(ROUND_MS)
  }
  await roundOf(daemon)
  const seconds = (performance.now() - startedAt) / 1000
  const checks = Object.values((await daemon.store.books.checks())?.checks ?? { unchecked: 1n })
  const { claimed } = await daemon.store.records.counts()
  const warm = Math.floor(rssMb.length * WARM_UP)
  const [early, late] = [Math.max(...rssMb.slice(0, warm)), Math.max(...rssMb.slice(warm))]
  const result = {
    rows,
    vaults,
    batches: Number((await daemon.store.batches.last())?.header.seq ?? 0n),
    ...{ lost: rows - claimed, unequal: checks.filter((difference) => difference !== 0n).length },
    ...seen,
    rssMb: { early, late },
    seconds: Math.round(seconds),
    statusMs: await timed(() => statusOf(daemon, world)),
  }
  const isWhole = isDone && result.lost === 0 && result.unequal === 0
  const isBounded =
    seen.inFlight <= 1 &&
    seen.recordsABatch <= BATCH_LIMITS.records &&
    seen.entriesABatch <= BATCH_LIMITS.entries &&
    seen.openTransactions <= 2 &&
    late - early <= RSS_GROWTH_MB_MAX &&
    Math.max(early, late) <= RSS_MB_MAX
  return { ok: isWhole && isBounded, ...result }
}

async function roundOf(daemon: Daemon): Promise<void> {
  const steps = ['collect', 'attribute', 'seal', 'anchor', 'attest', 'accept', 'settle'] as const
  await daemon.run('reconcile', ...steps, 'reconcile')
}

async function lookAt({ store }: Daemon) {
  const last = await store.batches.last()
  const { states } = await store.batches.counts()
  const { claimed, records, excluded } = await store.records.counts()
  const newest = await store.outbox.newest(20)
  const count = (...names: (keyof typeof states)[]) =>
    names.reduce((sum, name) => sum + (states[name] ?? 0), 0)
  return {
    inFlight: count('sealed', 'anchored', 'requested', 'finalised', 'attested'),
    openTransactions: newest.filter(({ fate }) => fate === 'open').length,
    recordsABatch: last === undefined ? 0 : (await store.records.claimedBy(last.id)).length,
    entriesABatch: last === undefined ? 0 : (await store.batches.entries(last.id)).length,
    backlog: records - excluded - claimed,
  }
}

function statusOf({ store }: Daemon, { clock }: World) {
  return readStatus({ stores: store, clock, version: 'bench', identity: {} })
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return Math.round(performance.now() - startedAt)
}
