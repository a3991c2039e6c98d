import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ALL_ACCOUNTS, accountNumber, modelId } from '../../src/domain/ids.js'
import { backfillRange, previewBackfill, runBackfill } from '../../src/pipeline/backfill.js'
import { previewCorrection } from '../../src/pipeline/correct.js'
import { defaultPlan } from '../../src/pricing/default-plan.js'
import { billableOf, priceOf } from '../../src/pricing/price.js'
import { MeteringWorld, signal } from '../support/metering-world.js'
import { EVENING_MS, OCTOBER_S, SEPTEMBER_S, usageRecord } from '../support/usage.js'

const DAY_MS = 86_400_000
/** 100 prompt, 20 of them cached, and 50 completion tokens a request, as `usageRecord` has them. */
const priceOfRequests = (requests: bigint) => {
  const row = {
    modelId: modelId(1),
    promptTokens: 100n * requests,
    cachedPromptTokens: 20n * requests,
    completionTokens: 50n * requests,
    requests,
  }
  return priceOf(defaultPlan, billableOf(defaultPlan, [row]))
}

let metering: MeteringWorld
beforeEach(async () => {
  metering = await MeteringWorld.create()
})
afterEach(() => metering.remove())

describe('a backfill', () => {
  const range = { fromMs: EVENING_MS - 2 * DAY_MS, untilMs: EVENING_MS + DAY_MS }

  async function holdRows() {
    const { world } = metering
    for (let i = 0; i < 12; i += 1) {
      const startedAtMs = range.fromMs + i * 3_600_000
      world.use(usageRecord(`row-${i}`, { user: i < 8 ? '1' : 'nobody', startedAtMs }))
    }
    world.use(usageRecord('failed', { user: '1', startedAtMs: range.fromMs, excluded: 'failure' }))
    world.use(usageRecord('above', { user: '1', startedAtMs: EVENING_MS }))
    await metering.insert(...world.source.rows.slice(0, 2))
    return { stores: metering.store, source: world.source, clock: world.clock }
  }

  test('ends where reading stands, shows what it would add, and saves nothing', async () => {
    const parts = await holdRows()
    const settings = metering.settings()
    await metering.seal(settings)
    const cursor = (await metering.store.records.source('main'))?.readUntilMs
    const part = await backfillRange(parts, range)
    expect(part).toEqual({ fromMs: range.fromMs, untilMs: cursor })
    if (part === undefined) return
    const preview = await previewBackfill(parts, part, settings, signal)
    expect(preview).toMatchObject({
      ...{ rows: 13, known: 2, added: 11, excluded: 1, rejected: 0, tokens: 1_500n },
      unmapped: [{ payer: 'nobody', records: 4, tokens: 600n }],
    })
    const money = priceOfRequests(8n) - priceOfRequests(2n)
    expect(preview.plans).toEqual([
      { planId: '1', currency: 'USD', records: 6, tokens: 900n, money },
    ])
    expect((await metering.store.records.counts()).records).toBe(2)
  })

  test('adds each row once, however often it runs, and moves no cursor', async () => {
    const parts = await holdRows()
    const before = await metering.store.records.source('main')
    const part = await backfillRange(parts, range)
    if (part === undefined) throw new Error('nothing to read')
    const told: number[] = []
    const run = () => runBackfill(parts, part, signal, (_until, added) => told.push(added))
    expect(await run()).toMatchObject({ rows: 13, known: 2, added: 11, excluded: 1 })
    expect(told.reduce((sum, added) => sum + added, 0)).toBe(11)
    expect(await run()).toMatchObject({ rows: 13, known: 13, added: 0, tokens: 0n })
    const after = await metering.store.records.source('main')
    expect(after?.readUntilMs).toBe(before?.readUntilMs)

    await metering.seal(metering.settings())
    const rows = await metering.store.totals.rows(ALL_ACCOUNTS)
    expect(rows.map(({ requests }) => requests)).toEqual([8n])
  })

  test('stopped halfway it is simply run again', async () => {
    const parts = await holdRows()
    const part = await backfillRange(parts, range)
    if (part === undefined) throw new Error('nothing to read')
    const stop = new AbortController()
    await expect(runBackfill(parts, part, stop.signal, () => stop.abort())).rejects.toThrow()
    expect((await metering.store.records.counts()).records).toBeLessThan(13)
    await runBackfill(parts, part, signal, () => {})
    expect((await metering.store.records.counts()).records).toBe(13)
  })

  test('of what was not read yet is none', async () => {
    const parts = await holdRows()
    const future = { fromMs: EVENING_MS + DAY_MS, untilMs: EVENING_MS + 2 * DAY_MS }
    expect(await backfillRange(parts, future)).toBeUndefined()
  })
})

describe('a correction', () => {
  test('shows which totals would fall and rise, in tokens and money, and changes nothing', async () => {
    await metering.store.directory.set('alice', accountNumber(1n))
    await metering.store.directory.set('bob', accountNumber(2n))
    const settings = metering.settings()
    await metering.insert(
      usageRecord('a', { user: 'alice' }),
      usageRecord('b', { user: 'alice' }),
      usageRecord('c', { user: 'bob' }),
      usageRecord('d', { user: '1' }),
    )
    await metering.seal(settings)
    expect(await previewCorrection(metering.store, settings)).toEqual({
      payers: 3,
      moves: [],
      changes: [],
    })

    await metering.store.directory.set('alice', accountNumber(2n))
    await metering.store.directory.set('bob', accountNumber(9n))
    const totals = await metering.store.totals.rows(ALL_ACCOUNTS)
    const preview = await previewCorrection(metering.store, settings)
    const [one, two] = [1n, 2n].map((account) => ({
      accountNumber: account,
      periodStart: SEPTEMBER_S,
    }))
    expect(preview.moves).toEqual([
      { source: 'main', payer: 'alice', from: one, to: two, records: 2n, tokens: 300n },
      {
        ...{ source: 'main', payer: 'bob', from: two, records: 1n, tokens: 150n },
        reason: 'account 9 is no vault of this provider on Flow',
      },
    ])
    const money = (before: bigint, after: bigint) => ({
      ...{ planId: '1', currency: 'USD' },
      ...{ before: priceOfRequests(before), after: priceOfRequests(after) },
    })
    expect(preview.changes).toEqual([
      { ...one, direction: 'falls', tokensBefore: 450n, tokensAfter: 150n, money: money(3n, 1n) },
      { ...two, direction: 'rises', tokensBefore: 150n, tokensAfter: 450n, money: money(1n, 3n) },
    ])
    expect(await metering.store.totals.rows(ALL_ACCOUNTS)).toEqual(totals)
  })

  test('to a vault with other periods goes by the day of the usage', async () => {
    const { flow, clock } = metering.world
    flow.vaultsHeld.push({
      ...(flow.vaultsHeld[0] ?? never()),
      account: accountNumber(5n),
      periodKind: 'day',
      floor: OCTOBER_S - 7 * 86_400,
    })
    const vaults = flow.vaultsHeld
    const view = { vaults, models: flow.modelsHeld, plans: new Map([['1', flow.plan]]) }
    await metering.store.books.saveChainView(view)
    const settings = metering.settings()
    await metering.store.directory.set('alice', accountNumber(1n))
    await metering.insert(
      usageRecord('a', { user: 'alice' }),
      usageRecord('old', { user: 'alice', startedAtMs: EVENING_MS - 3 * DAY_MS }),
    )
    await metering.seal(settings)
    await metering.store.directory.set('alice', accountNumber(5n))
    const { moves, changes } = await previewCorrection(metering.store, settings)
    expect(moves.map(({ to, reason }) => [to?.periodStart, reason])).toEqual([
      [undefined, 'account 5 no longer takes this period'],
      [Math.floor(EVENING_MS / DAY_MS) * 86_400, undefined],
    ])
    expect(changes.map(({ tokensBefore, tokensAfter }) => [tokensBefore, tokensAfter])).toEqual([
      [300n, 150n],
      [0n, 150n],
    ])
    expect(clock.now()).toBeGreaterThan(EVENING_MS)
  })
})

function never(): never {
  throw new Error('no vault')
}
