import { expect, test } from 'vitest'
import { RetryableError } from '../../src/domain/errors.js'
import { CrashPlan, EFFECTS } from '../support/crash-plan.js'
import { expectAllBilled } from '../support/sums.js'
import { EVENING_MS, SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { type Daemon, STEP_NAMES, World } from '../support/world.js'

const ACCOUNTS = [7n, 9n]
const ROUNDS = 18
const SECOND_WAVE = 8
const REST_ROUNDS_MAX = 40

function makeWorld(): World {
  const world = new World({ entriesMax: 1, intervalMs: 60_000 })
  for (const account of ACCOUNTS) world.flow.openVault(account, SEPTEMBER_S)
  return world
}

/** New usage of every vault, from a moment ago. */
function useMore(world: World, wave: string): void {
  const startedAtMs = world.clock.now() - 1_000
  for (const account of ACCOUNTS) {
    for (const call of ['a', 'b']) {
      const id = `${wave} ${account} ${call}`
      world.use(usageRecord(id, { user: `${account}`, startedAtMs }))
    }
  }
}

/** One round of the world's time, with whatever daemon is alive in it. */
async function runRound(world: World, daemon: Daemon, round: number): Promise<void> {
  if (round === 0) useMore(world, 'first')
  if (round === SECOND_WAVE) useMore(world, 'second')
  await daemon.run('reconcile', ...STEP_NAMES)
}

async function isAtRest({ store }: Daemon): Promise<boolean> {
  const { attributed, unattributed } = await store.records.counts()
  const { states } = await store.batches.counts()
  const settled = states.settled ?? 0
  const all = Object.values(states).reduce((sum, count) => sum + count, 0)
  return attributed + unattributed === 0 && settled === all
}

async function comeToRest(world: World, daemon: Daemon): Promise<void> {
  for (let round = 0; round < REST_ROUNDS_MAX; round += 1) {
    await daemon.run('reconcile', ...STEP_NAMES)
    if (await isAtRest(daemon)) return
    world.tick()
  }
  throw new Error('it never comes to rest')
}

test('without a crash: two batches, each anchored, attested and settled once', async () => {
  const world = makeWorld()
  const daemon = await world.boot()
  for (let round = 0; round < ROUNDS; round += 1) {
    await runRound(world, daemon, round)
    world.tick()
  }
  await comeToRest(world, daemon)
  await expectAllBilled(world, daemon, ACCOUNTS)
  expect((await daemon.store.batches.counts()).states).toEqual({ settled: 2 })
  expect(world.flare.requests).toHaveLength(2)
  expect(world.flow.events.map(({ result }) => result)).toEqual(Array(4).fill('applied'))
  expect(daemon.retried).toEqual([])
  await world.file.remove()
})

// Goal: a crash at any point loses no row, charges none twice, and pays for nothing twice.
// Method: end the process before or after the n-th call that leaves something behind, for every n
// there is, start another on the same file, and let the batch go all its way.
test('a crash at any point of the whole way changes nothing', async () => {
  for (let point = 0; ; point += 1) {
    const world = makeWorld()
    const plan = new CrashPlan(point, EFFECTS)
    useMore(world, 'first')
    const crashed = await comeToRest(world, await world.boot(plan)).then(
      () => false,
      () => plan.isCrashed,
    )
    const daemon = await world.boot()
    await comeToRest(world, daemon)
    await expectAllBilled(world, daemon, ACCOUNTS)
    // What was sent before the crash was found again: nothing is paid for a second time.
    expect(world.flare.requests).toHaveLength(1)
    expect(world.flare.lane.executed).toHaveLength(2)
    expect(world.flow.events.map(({ result }) => result)).toEqual(['applied', 'applied'])
    await world.file.remove()
    if (!crashed) return expect(point).toBe(plan.passed)
  }
})

// Goal: the same, when everything goes wrong at once and again and again. Method: seeded worlds in
// which processes die after a few calls, pools forget, keys are overtaken, chains are away, anchors
// move, rounds miss, and others bring what we were about to.
test.each(Array.from({ length: 60 }, (_, seed) => seed + 1))(
  'seed %i: any trouble at any time',
  async (seed) => {
    const random = randomOf(seed)
    const world = makeWorld()
    let daemon = await world.boot()
    for (let round = 0; round < ROUNDS; round += 1) {
      trouble(world, random)
      const plan = new CrashPlan(random(2) === 0 ? random(400) : undefined)
      daemon = await world.reboot(daemon, plan)
      await runRound(world, daemon, round).catch((error: unknown) => {
        if (!plan.isCrashed) throw error
      })
      world.tick()
    }
    endOfTrouble(world)
    daemon = await world.reboot(daemon)
    await comeToRest(world, daemon)
    await expectAllBilled(world, daemon, ACCOUNTS)
    await world.file.remove()
  },
)

function trouble(world: World, random: (below: number) => number): void {
  const { flare, flow, source } = world
  endOfTrouble(world)
  const kinds: readonly (() => void)[] = [
    () => flare.lane.forget(),
    () => flow.lane.forget(),
    () => flare.lane.overtake(),
    () => flow.lane.overtake(),
    () => {
      flare.lane.isUnreachable = true
    },
    () => {
      flow.lane.isUnreachable = true
    },
    () => {
      source.failure = new RetryableError('source_unreachable', 'away')
    },
    () => {
      if (flare.anchors.length > 0) flare.moveAnchor()
    },
    () => flare.lossyRounds.add(flare.round),
    () => world.tick(),
    () => source.rows.sort(() => random(3) - 1),
  ]
  for (let count = random(3); count > 0; count -= 1) kinds[random(kinds.length)]?.()
}

function endOfTrouble({ flare, flow }: World): void {
  flare.lane.isUnreachable = false
  flow.lane.isUnreachable = false
}

/** Small and repeatable (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

test('the evening is in September, as the sums take for granted', () => {
  expect(EVENING_MS).toBeGreaterThan(SEPTEMBER_S * 1000)
})
