import { assert, RetryableError } from '../../domain/errors.js'
import type { Reject, UsageRecord } from '../../domain/usage-record.js'
import type { Readings } from '../../ports/source-kind.js'
import type {
  Reading,
  SourceFacts,
  TimeRange,
  UsageSlice,
  UsageSource,
} from '../../ports/usage-source.js'
import { GroupedUsageClient } from './client.js'
import type { GroupedUsageConfig } from './config.js'
import { groupId, increaseOf } from './increase.js'
import { type Bucket, parseSum, type Sum } from './parse.js'

const BUCKET_MS = { hour: 3_600_000, day: 86_400_000 } as const

/** Creates the reader of one gateway's sums. Asks nothing yet. */
export function groupedUsageSource(
  config: GroupedUsageConfig,
  apiKey: string,
  readings: Readings | undefined,
): UsageSource {
  return new GroupedUsageSource(config, apiKey, readings)
}

/**
 * Reads sums that grow while their bucket lasts. What the last reading did not have is one record;
 * readings and records are saved together, so that a crash counts nothing twice and forgets nothing.
 */
class GroupedUsageSource implements UsageSource {
  readonly name: string
  readonly rereadMs: number
  readonly #client: GroupedUsageClient
  readonly #readings: Readings | undefined

  constructor(config: GroupedUsageConfig, apiKey: string, readings: Readings | undefined) {
    this.name = config.name
    this.rereadMs = BUCKET_MS[config.endpoint === 'usage' ? 'day' : config.bucket]
    this.#client = new GroupedUsageClient(config, apiKey)
    this.#readings = readings
  }

  /** One bucket a slice: that of the first start in the range. A bucket belongs to its start. */
  async fetchSlice(range: TimeRange, signal: AbortSignal): Promise<UsageSlice> {
    assert(range.untilMs > range.fromMs, 'a range to read ends after its start')
    assert(this.#readings !== undefined, 'sums are counted against what was read before')
    signal.throwIfAborted()
    const fromMs = Math.ceil(range.fromMs / this.rereadMs) * this.rereadMs
    if (fromMs >= range.untilMs) return { records: [], rejects: [], range }

    const bucket = { fromMs, untilMs: fromMs + this.rereadMs }
    const { rows } = await this.#client.sums(bucket, signal)
    const last = await this.#readings.of(this.name, bucket.fromMs, bucket.untilMs)
    const untilMs = Math.min(bucket.untilMs, range.untilMs)
    return { ...this.#compare(rows, last, bucket), range: { fromMs: range.fromMs, untilMs } }
  }

  /** By an hour long past, which is the shortest answer that has a date. */
  async now(signal: AbortSignal): Promise<number> {
    return (await this.#client.sums({ fromMs: 0, untilMs: this.rereadMs }, signal)).nowMs
  }

  async probe(signal: AbortSignal): Promise<SourceFacts> {
    await this.now(signal)
    return { warnings: [] }
  }

  #compare(rows: readonly unknown[], last: readonly Reading[], bucket: Bucket) {
    const before = new Map(last.map((reading) => [groupId(reading), reading]))
    const records: UsageRecord[] = []
    const rejects: Reject[] = []
    const readings: Reading[] = []
    const sums = new Map<string, Sum>()
    for (const row of rows) {
      const parsed = parseSum(this.name, row, bucket)
      if (!parsed.ok) rejects.push(parsed.reject)
      else if (sums.has(groupId(parsed.sum))) {
        // Two rows of one group are pages, or another grouping: neither can be told from growth.
        const what = 'the gateway shows a user and model twice: is it grouped by user_id and model?'
        throw new RetryableError('source_nonsense', what)
      } else sums.set(groupId(parsed.sum), parsed.sum)
    }
    for (const [group, sum] of sums) {
      const change = increaseOf(this.name, before.get(group), sum)
      if (change === undefined) continue
      if ('reject' in change) rejects.push(change.reject)
      else {
        records.push(change.record)
        readings.push(change.reading)
      }
    }
    return { records, rejects, readings }
  }
}
