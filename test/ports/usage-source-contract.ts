import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Reject, UsageRecord } from '../../src/domain/usage-record.js'
import type { TimeRange, UsageSource } from '../../src/ports/usage-source.js'

/** How a source can fail, and the code that the port gives it. */
export const SOURCE_FAILURES = {
  unreachable: 'source_unreachable',
  keyGone: 'source_refused',
  wrongRole: 'source_role',
  noDatabase: 'source_no_database',
  nonsense: 'source_nonsense',
} as const

export type SourceFailure = keyof typeof SOURCE_FAILURES

/** A source that holds known rows, and can be made to fail. */
export interface SourceWorld {
  readonly source: UsageSource
  /** Whole seconds, with rows in it, some on second boundaries. */
  readonly range: TimeRange
  /** Request ids of the records that start in the range. */
  readonly ids: readonly string[]
  /** Request ids of the rows that are no records. */
  readonly rejectIds: readonly string[]
  /** The clock of the source, in ms. */
  readonly nowMs: number
  /** Logs one more record that starts in the range; its id. */
  addLate(): string
  /** Fails from now on; what it returns heals it. */
  fail(how: SourceFailure): () => void
  end(): Promise<void>
}

interface Everything {
  readonly records: readonly UsageRecord[]
  readonly rejects: readonly Reject[]
}

const SLICES_MAX = 10_000

/** Reads a range to its end, slice by slice, as `collect` does. */
export async function readAll(
  source: UsageSource,
  range: TimeRange,
  signal = new AbortController().signal,
): Promise<Everything> {
  const records: UsageRecord[] = []
  const rejects: Reject[] = []
  let { fromMs } = range
  for (let slices = 0; fromMs < range.untilMs; slices += 1) {
    if (slices === SLICES_MAX) throw new Error('the slices never end')
    const slice = await source.fetchSlice({ fromMs, untilMs: range.untilMs }, signal)
    expect(slice.range.fromMs).toBe(fromMs)
    expect(slice.range.untilMs).toBeGreaterThan(fromMs)
    expect(slice.range.untilMs).toBeLessThanOrEqual(range.untilMs)
    records.push(...slice.records)
    rejects.push(...slice.rejects)
    fromMs = slice.range.untilMs
  }
  return { records, rejects }
}

const idsOf = ({ records }: Everything) => records.map(({ key }) => key.requestId).sort()

/** What every source promises. Call it once per adapter, with a source that holds known rows. */
export function usageSourceContract(make: () => Promise<SourceWorld>): void {
  let world: SourceWorld
  beforeEach(async () => {
    world = await make()
  })
  afterEach(() => world.end())

  test('shows every row of the range, as a record or as a reject with its reason', async () => {
    const all = await readAll(world.source, world.range)
    expect(idsOf(all)).toEqual([...world.ids].sort())
    const rejectIds = new Set(all.rejects.map(({ requestId }) => requestId))
    expect(rejectIds).toEqual(new Set(world.rejectIds))
    expect(all.rejects.filter(({ reason }) => reason === '')).toEqual([])
  })

  test('shows records of its own name that start in the range', async () => {
    const { records, rejects } = await readAll(world.source, world.range)
    for (const { key, startedAtMs } of records) {
      expect(key.source).toBe(world.source.name)
      expect(startedAtMs).toBeGreaterThanOrEqual(world.range.fromMs)
      expect(startedAtMs).toBeLessThan(world.range.untilMs)
    }
    expect(rejects.every(({ source }) => source === world.source.name)).toBe(true)
  })

  test('says the same whenever it is asked', async () => {
    const first = await readAll(world.source, world.range)
    expect(await readAll(world.source, world.range)).toEqual(first)
  })

  // Goal: no row falls between two ranges, and none is in both, wherever they are cut.
  test('can be asked in any parts', async () => {
    const { fromMs, untilMs } = world.range
    const cut = fc.integer({ min: fromMs + 1, max: untilMs - 1 })
    const cuts = fc.uniqueArray(cut, { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(cuts, async (middles) => {
        const bounds = [fromMs, ...middles.sort((a, b) => a - b), untilMs]
        const parts: Everything[] = []
        for (const [i, start] of bounds.slice(0, -1).entries()) {
          const end = bounds[i + 1] ?? untilMs
          parts.push(await readAll(world.source, { fromMs: start, untilMs: end }))
        }
        expect(parts.flatMap(idsOf).sort()).toEqual([...world.ids].sort())
      }),
      { numRuns: 10 },
    )
  })

  test('shows a row that came late when it is asked again', async () => {
    await readAll(world.source, world.range)
    const late = world.addLate()
    expect(idsOf(await readAll(world.source, world.range))).toEqual([...world.ids, late].sort())
  })

  test('tells the time of its own clock', async () => {
    const nowMs = await world.source.now(new AbortController().signal)
    expect(Math.abs(nowMs - world.nowMs)).toBeLessThan(1_000)
  })

  test('finds nothing wrong with itself', async () => {
    const { warnings } = await world.source.probe(new AbortController().signal)
    expect(warnings).toEqual([])
  })

  test('stops when it is told to', async () => {
    const error = await world.source.fetchSlice(world.range, AbortSignal.abort()).catch(String)
    expect(error).toContain('AbortError')
  })

  describe.each(Object.entries(SOURCE_FAILURES))('when it fails as %s', (how, code) => {
    test('says so in every answer, shows no rows, and goes on once healed', async () => {
      const heal = world.fail(how as SourceFailure)
      const { signal } = new AbortController()
      const expected = { name: 'RetryableError', code }
      await expect(readAll(world.source, world.range)).rejects.toMatchObject(expected)
      await expect(world.source.probe(signal)).rejects.toMatchObject(expected)
      heal()
      expect(idsOf(await readAll(world.source, world.range))).toEqual([...world.ids].sort())
    })
  })
}
