import type { Reject, UsageRecord } from '../../src/domain/usage-record.js'
import type { Clock } from '../../src/ports/clock.js'
import type {
  SourceFacts,
  TimeRange,
  UsageSlice,
  UsageSource,
} from '../../src/ports/usage-source.js'

/** A source that holds rows in memory, and shows a few of them a slice. */
export class TestSource implements UsageSource {
  readonly name: string
  readonly rows: UsageRecord[] = []
  readonly rejects: (Reject & { readonly startedAtMs: number })[] = []
  /** Every range that was asked for. */
  readonly asked: TimeRange[] = []
  /** Thrown by the next call, whichever it is. */
  failure: Error | undefined
  readonly #clock: Clock
  readonly #rowsMax: number

  constructor(name: string, clock: Clock, rowsMax = 5) {
    this.name = name
    this.#clock = clock
    this.#rowsMax = rowsMax
  }

  async fetchSlice(range: TimeRange): Promise<UsageSlice> {
    this.#fail()
    this.asked.push(range)
    const isIn = ({ startedAtMs }: { startedAtMs: number }, untilMs: number) =>
      startedAtMs >= range.fromMs && startedAtMs < untilMs
    const starts = this.rows.filter((row) => isIn(row, range.untilMs)).map((row) => row.startedAtMs)
    // Cut before the first row that does not fit, but never so that nothing was read.
    const cutAt = starts.sort((a, b) => a - b)[this.#rowsMax] ?? range.untilMs
    const untilMs = cutAt > range.fromMs ? cutAt : cutAt + 1
    return {
      records: this.rows.filter((row) => isIn(row, untilMs)),
      rejects: this.rejects.filter((row) => isIn(row, untilMs)),
      range: { fromMs: range.fromMs, untilMs },
    }
  }

  async now(): Promise<number> {
    this.#fail()
    return this.#clock.now()
  }

  async probe(): Promise<SourceFacts> {
    this.#fail()
    return { version: 'test', warnings: [] }
  }

  #fail(): void {
    const { failure } = this
    this.failure = undefined
    if (failure !== undefined) throw failure
  }
}
