import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { type Gateway, type GatewayFault, startGateway } from '../../devnet/gateway/index.js'
import { collectNext } from '../../src/pipeline/collect.js'
import type { Readings } from '../../src/ports/source-kind.js'
import type { Store } from '../../src/ports/stores.js'
import { createSource, sourceConfig } from '../../src/sources/index.js'
import { openStore } from '../../src/store/index.js'
import { readAll, type SourceFailure, usageSourceContract } from '../ports/usage-source-contract.js'
import { ManualClock } from '../support/manual-clock.js'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const FROM_MS = Date.UTC(2026, 10, 19)
const NOTHING_READ: Readings = { of: async () => [] }
const { signal } = new AbortController()

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function start(options: Parameters<typeof startGateway>[0]): Promise<Gateway> {
  const gateway = await startGateway(options)
  ends.push(() => gateway.stop())
  return gateway
}

type Options = Readonly<Record<string, unknown>>

function sourceOf({ url, key }: Gateway, options: Options = {}, readings = NOTHING_READ) {
  const config = sourceConfig.parse({
    ...{ kind: 'grouped-usage', name: 'main', endpoint: 'usage', apiUrl: url, apiKeyEnv: 'GW_KEY' },
    ...options,
  })
  return createSource(config, (variable) => (variable === 'GW_KEY' ? key : ''), readings)
}

const call = (atMs: number, user = 'alice', model = 'gpt-4', tokens = 10) => ({
  ...{ atMs, user, model, promptTokens: 2 * tokens, completionTokens: tokens },
  cachedPromptTokens: Math.floor(tokens / 2),
})

const FAULTS: Record<SourceFailure, GatewayFault> = {
  ...{ unreachable: 'unreachable', keyGone: 'keyGone', wrongRole: 'wrongRole' },
  ...{ noDatabase: 'noDatabase', nonsense: 'truncated' },
}

describe.each([
  ['usage, by day', { endpoint: 'usage' }, DAY_MS, {}],
  [
    'usage, the end date excluded',
    { endDate: 'exclusive' },
    DAY_MS,
    { endDate: 'exclusive' as const },
  ],
  ['analytics, by hour', { endpoint: 'analytics', bucket: 'hour' }, HOUR_MS, { isTerse: true }],
])('%s: the contract of a source', (_name, options, bucketMs, traits) => {
  usageSourceContract(async () => {
    const nowMs = FROM_MS + 12 * bucketMs
    const gateway = await startGateway({ nowMs: () => nowMs, ...traits })
    const id = (bucket: number, user: string, model: string) =>
      `${new Date(FROM_MS + bucket * bucketMs).toISOString()}/${user}/${model}#0`
    for (const bucket of [0, 1, 3, 4]) {
      for (const user of ['alice', 'bob']) {
        for (const model of ['gpt-4', 'fast']) {
          const atMs = FROM_MS + bucket * bucketMs
          gateway.add([call(atMs, user, model), call(atMs + bucketMs - 1, user, model)])
        }
      }
    }
    gateway.add([call(FROM_MS - 1), call(FROM_MS + 6 * bucketMs)])
    const buckets = [0, 1, 3, 4].flatMap((bucket) =>
      ['alice', 'bob'].flatMap((user) => ['gpt-4', 'fast'].map((model) => id(bucket, user, model))),
    )
    return {
      source: await sourceOf(gateway, options),
      range: { fromMs: FROM_MS, untilMs: FROM_MS + 6 * bucketMs },
      ids: buckets,
      rejectIds: [],
      nowMs,
      addLate: () => {
        gateway.add([call(FROM_MS + bucketMs, 'carol')])
        return id(1, 'carol', 'gpt-4')
      },
      fail: (how) => {
        gateway.setFault(FAULTS[how])
        return () => gateway.setFault(undefined)
      },
      end: () => gateway.stop(),
    }
  })
})

interface World {
  readonly clock: ManualClock
  readonly gateway: Gateway
  readonly store: Store
  readonly collect: () => Promise<void>
}

const LAG = { settleMs: 75_000, overlapMs: 2 * HOUR_MS }

/** A gateway, a store, and the worker that reads one into the other, begun anew at every call. */
async function makeWorld(
  nowMs: number,
  collectFromMs: number,
  options: Options = {},
): Promise<World> {
  const clock = new ManualClock(nowMs)
  const gateway = await start({ nowMs: () => clock.now() })
  const store = openStore(':memory:', clock)
  await store.migrate()
  ends.push(() => store.close())
  await store.records.addSource('main', collectFromMs)
  const collect = async () => {
    const source = await sourceOf(gateway, options, store.readings)
    const settings = { ...LAG, overlapMs: LAG.overlapMs + (source.rereadMs ?? 0) }
    const pass = {}
    for (let steps = 0; steps < 200; steps += 1) {
      if ((await collectNext({ ...store, source, clock, settings }, pass, signal)) === 'idle')
        return
    }
    throw new Error('never idle')
  }
  return { clock, gateway, store, collect }
}

async function counted({ store }: World) {
  const records = await store.records.unattributed('none', 10_000)
  const sums: Record<string, readonly bigint[]> = {}
  for (const { payers, model, promptTokens, cachedPromptTokens, completionTokens } of records) {
    const before = sums[`${payers.user}/${model}`] ?? [0n, 0n, 0n]
    const one = [promptTokens, cachedPromptTokens, completionTokens]
    sums[`${payers.user}/${model}`] = one.map((value, i) => value + (before[i] ?? 0n))
  }
  return { records, sums }
}

describe('sums that grow', () => {
  test('each increase is one record, and reading again is none', async () => {
    const world = await makeWorld(FROM_MS + 5 * HOUR_MS, FROM_MS)
    world.gateway.add([call(FROM_MS + HOUR_MS)])
    await world.collect()
    await world.collect()
    expect(await counted(world)).toMatchObject({
      records: [{ promptTokens: 20n, cachedPromptTokens: 5n, completionTokens: 10n }],
    })
    world.gateway.add([call(FROM_MS + 6 * HOUR_MS, 'alice', 'gpt-4', 100)])
    world.clock.pass(2 * HOUR_MS)
    await world.collect()
    await world.collect()
    const { records, sums } = await counted(world)
    expect(records.map(({ key }) => key.requestId)).toEqual([
      '2026-11-19T00:00:00.000Z/alice/gpt-4#0',
      '2026-11-19T00:00:00.000Z/alice/gpt-4#1',
    ])
    expect(records[1]).toMatchObject({ startedAtMs: FROM_MS, promptTokens: 200n })
    expect(sums).toEqual({ 'alice/gpt-4': [220n, 55n, 110n] })
  })

  test('what is added to yesterday is found for a day and the overlap', async () => {
    const world = await makeWorld(FROM_MS + DAY_MS + HOUR_MS, FROM_MS)
    await world.collect()
    world.gateway.add([call(FROM_MS + DAY_MS - 1)])
    await world.collect()
    expect((await counted(world)).sums).toEqual({ 'alice/gpt-4': [20n, 5n, 10n] })
  })

  test('a decrease is quarantined, and counts again from the highest it was', async () => {
    const world = await makeWorld(FROM_MS + 5 * HOUR_MS, FROM_MS)
    world.gateway.add([call(FROM_MS + 1_000), call(FROM_MS + HOUR_MS)])
    await world.collect()
    world.gateway.forgetBefore(FROM_MS + HOUR_MS)
    await world.collect()
    await world.collect()
    expect(await world.store.records.counts()).toMatchObject({ records: 1, rejects: 1 })
    world.gateway.add([call(FROM_MS + 2 * HOUR_MS, 'alice', 'gpt-4', 30)])
    await world.collect()
    expect((await counted(world)).sums).toEqual({ 'alice/gpt-4': [80n, 20n, 40n] })
    expect(await world.store.records.counts()).toMatchObject({ records: 2, rejects: 1 })
  })

  test('a new source counts whole buckets only: the first that begins after it', async () => {
    const world = await makeWorld(FROM_MS + 30 * HOUR_MS, FROM_MS + 6 * HOUR_MS)
    world.gateway.add([call(FROM_MS + 5 * HOUR_MS), call(FROM_MS + 25 * HOUR_MS, 'bob')])
    await world.collect()
    expect((await counted(world)).sums).toEqual({ 'bob/gpt-4': [20n, 5n, 10n] })
  })

  test('a record that could not be saved leaves its reading unsaved too', async () => {
    const world = await makeWorld(FROM_MS + 5 * HOUR_MS, FROM_MS)
    world.gateway.add([call(FROM_MS + HOUR_MS)])
    const source = await sourceOf(world.gateway, {}, world.store.readings)
    const slice = await source.fetchSlice({ fromMs: FROM_MS, untilMs: FROM_MS + DAY_MS }, signal)
    const crash = world.store.transaction(async ({ records }) => {
      await records.saveSlice('main', slice, world.clock.now())
      throw new Error('power cut')
    })
    await expect(crash).rejects.toThrow('power cut')
    await world.collect()
    expect((await counted(world)).sums).toEqual({ 'alice/gpt-4': [20n, 5n, 10n] })
  })

  // Goal: a re-scan beside a reading counts nothing twice and loses nothing. Method: both look before
  // either saves, the second at a sum that has grown since.
  test('two readings at once: the later is undone whole, and read again', async () => {
    const world = await makeWorld(FROM_MS + 5 * HOUR_MS, FROM_MS)
    const source = await sourceOf(world.gateway, {}, world.store.readings)
    const range = { fromMs: FROM_MS, untilMs: FROM_MS + DAY_MS }
    world.gateway.add([call(FROM_MS + HOUR_MS)])
    const early = await source.fetchSlice(range, signal)
    world.gateway.add([call(FROM_MS + HOUR_MS), call(FROM_MS + HOUR_MS, 'bob')])
    const late = await source.fetchSlice(range, signal)
    const save = (slice: typeof late) =>
      world.store.records.saveSlice('main', slice, world.clock.now())
    await save(early)
    await expect(save(late)).rejects.toMatchObject({ code: 'reading_superseded' })
    expect((await counted(world)).sums).toEqual({ 'alice/gpt-4': [20n, 5n, 10n] })
    expect(await world.store.setAsides.waiting({}, 10)).toEqual([])
    await world.collect()
    expect((await counted(world)).sums).toEqual({
      'alice/gpt-4': [40n, 10n, 20n],
      'bob/gpt-4': [20n, 5n, 10n],
    })
  })

  // Goal: whatever order calls, readings and restarts come in, the bill is the gateway's last sum.
  // Method: random schedules of both; then Σ records must equal Σ calls by user and model.
  test('Σ records = Σ calls, for any schedule', async () => {
    const user = fc.constantFrom('alice', 'bob', 'Zoë/#1', '')
    const made = fc.record({ user, hour: fc.integer({ min: 0, max: 47 }), tokens: fc.nat(1_000) })
    const schedule = fc.array(fc.array(made, { maxLength: 6 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(schedule, fc.constantFrom('hour', 'day'), async (rounds, bucket) => {
        const world = await makeWorld(FROM_MS + HOUR_MS, FROM_MS, { endpoint: 'analytics', bucket })
        const truth: Record<string, readonly bigint[]> = {}
        for (const round of rounds) {
          const nowHour = (world.clock.now() - FROM_MS) / HOUR_MS
          for (const { user: who, hour, tokens } of round) {
            // No later than now, and no earlier than is read again.
            const back = hour % (bucket === 'hour' ? 2 : 20)
            const one = call(FROM_MS + Math.max(0, nowHour - 1 - back) * HOUR_MS, who, 'm', tokens)
            world.gateway.add([one])
            const sums = [one.promptTokens, one.cachedPromptTokens, one.completionTokens]
            const before = truth[`${who}/m`] ?? [0n, 0n, 0n]
            truth[`${who}/m`] = sums.map((value, i) => BigInt(value) + (before[i] ?? 0n))
          }
          await world.collect()
          world.clock.pass(HOUR_MS)
        }
        const nothing = Object.entries(truth).filter(([, sums]) => sums.some((sum) => sum > 0n))
        expect((await counted(world)).sums).toEqual(Object.fromEntries(nothing))
        for (const end of ends.splice(0).reverse()) await end()
      }),
      { numRuns: 25 },
    )
  })
})

describe('what does not fit', () => {
  const range = { fromMs: FROM_MS, untilMs: FROM_MS + DAY_MS }
  const row = { user_id: 'alice', model: 'gpt-4', prompt_tokens: 1, completion_tokens: 1 }

  test.each([
    ['no tokens told apart', { user_id: 'a', model: 'm', total_tokens: 7 }, 'not told apart'],
    ['a negative sum', { ...row, prompt_tokens: -1 }, 'prompt_tokens'],
    ['another bucket', { ...row, date: '2026-11-18' }, 'another bucket'],
  ])('%s is a reject with its reason', async (_name, smuggled, reason) => {
    const gateway = await start({})
    gateway.smuggle(smuggled)
    const { records, rejects } = await readAll(await sourceOf(gateway), range)
    expect(records).toEqual([])
    expect(rejects).toMatchObject([{ source: 'main', reason: expect.stringContaining(reason) }])
  })

  test('one group twice is refused: it is a page, or grouped otherwise', async () => {
    const gateway = await start({})
    gateway.smuggle(row)
    gateway.smuggle({ ...row, prompt_tokens: 5 })
    const read = readAll(await sourceOf(gateway), range)
    await expect(read).rejects.toMatchObject({ code: 'source_nonsense' })
  })
})
