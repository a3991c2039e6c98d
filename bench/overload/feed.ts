import type { TimeRange, UsageSlice } from '../../src/ports/usage-source.js'
import type { TestSource } from '../../test/support/test-source.js'
import { usageRecord } from '../../test/support/usage.js'

const ROWS_A_SLICE = 1_000
const MODELS = ['gpt-4o', 'gpt-4o-mini', 'claude-3-opus', 'claude-sonnet-4']

export interface Feed {
  readonly rows: number
  readonly vaults: number
  readonly startMs: number
  /** Between two rows. */
  readonly stepMs: number
}

/** Gives the source rows that are made from their number when they are asked for: it holds none. */
export function feed(source: TestSource, { rows, vaults, startMs, stepMs }: Feed): void {
  const rowOf = (i: number) =>
    usageRecord(`call ${i}`, {
      user: String(1 + (i % vaults)),
      startedAtMs: startMs + Math.floor(i * stepMs),
      model: MODELS[i % MODELS.length] ?? '',
    })
  source.fetchSlice = async ({ fromMs, untilMs }: TimeRange): Promise<UsageSlice> => {
    const first = Math.max(0, Math.ceil((fromMs - startMs) / stepMs))
    const end = Math.min(rows, Math.ceil((untilMs - startMs) / stepMs))
    const cut = Math.min(end, first + ROWS_A_SLICE)
    const until = cut < end ? startMs + Math.floor(cut * stepMs) : untilMs
    const records = Array.from({ length: Math.max(0, cut - first) }, (_, i) => rowOf(first + i))
    return { records, rejects: [], range: { fromMs, untilMs: until } }
  }
}
