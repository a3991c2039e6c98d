import type { Random } from '../../../../devnet/litellm/random.js'
import type { Reject, UsageRecord } from '../../../../src/domain/usage-record.js'
import type {
  SourceFacts,
  TimeRange,
  UsageSlice,
  UsageSource,
} from '../../../../src/ports/usage-source.js'
import type { Wire } from '../wire.js'
import { shuffled } from './evm.js'

/** A row as LiteLLM has it, readable from an instant on. */
export interface Row {
  readonly record: UsageRecord
  readonly visibleAtMs: number
  /** Unreadable, for this reason. */
  readonly reject?: string
}

export interface ModelSourceParts {
  readonly name: string
  readonly rows: readonly Row[]
  /** A slice ends before the first row that does not fit. */
  readonly rowsMax: number
  readonly wire: Wire
  readonly random: Random
  readonly nowMs: () => number
}

/** LiteLLM behind its adapter: rows in any order, some late, some seen again. */
export class ModelSource implements UsageSource {
  readonly name: string
  readonly #parts: ModelSourceParts

  constructor(parts: ModelSourceParts) {
    this.name = parts.name
    this.#parts = parts
  }

  get rows(): readonly Row[] {
    return this.#parts.rows
  }

  async fetchSlice(range: TimeRange, signal: AbortSignal): Promise<UsageSlice> {
    this.#reach(signal)
    const { rows, rowsMax, random, nowMs } = this.#parts
    const shown = rows.filter(
      ({ record: { startedAtMs }, visibleAtMs }) =>
        visibleAtMs <= nowMs() && startedAtMs >= range.fromMs && startedAtMs < range.untilMs,
    )
    const starts = shown.map(({ record }) => record.startedAtMs).sort((a, b) => a - b)
    const cutAt = starts[rowsMax] ?? range.untilMs
    const untilMs = cutAt > range.fromMs ? cutAt : Math.min(cutAt + 1_000, range.untilMs)
    const inside = shuffled(shown, random).filter(({ record }) => record.startedAtMs < untilMs)
    const records = inside.filter(({ reject }) => reject === undefined).map(({ record }) => record)
    return {
      // The same row twice in one answer counts once.
      records: random.next() < 0.1 ? [...records, ...records.slice(0, 1)] : records,
      rejects: inside.flatMap((row) => rejectOf(row)),
      range: { fromMs: range.fromMs, untilMs },
      areIdsGlobal: true,
    }
  }

  async now(signal: AbortSignal): Promise<number> {
    this.#reach(signal)
    return this.#parts.nowMs()
  }

  async probe(signal: AbortSignal): Promise<SourceFacts> {
    this.#reach(signal)
    return { version: 'model', warnings: [] }
  }

  #reach(signal: AbortSignal): void {
    signal.throwIfAborted()
    this.#parts.wire.ask()
  }
}

function rejectOf({ record, reject }: Row): Reject[] {
  return reject === undefined ? [] : [{ ...record.key, reason: reject }]
}
