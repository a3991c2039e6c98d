import { assert, RetryableError } from '../../domain/errors.js'
import type { Reject, UsageRecord } from '../../domain/usage-record.js'
import type { SourceFacts, TimeRange, UsageSlice, UsageSource } from '../../ports/usage-source.js'
import {
  LitellmClient,
  type LitellmClientParts,
  type PageQuery,
  type Seconds,
  type SortColumn,
} from './client.js'
import type { LitellmConfig } from './config.js'
import { type CountingRules, type ParsedRow, parseSpendLog } from './parse.js'
import { warningsOf } from './warnings.js'

const MS = 1_000
const WIDTH_MAX_S = 7 * 86_400
/** 20 halvings make a second of a week; the others are for rows written while we read. */
const READS_MAX = 30
/** LiteLLM's own count ends at 10 000, and a second holds no more than some of them. */
const PAGES_MAX = 1_000
/** Each walk over tied rows may miss some: several, in several orders, miss none in the end. */
const WALKS_MAX = 12
const WALK_ORDERS: readonly Pick<PageQuery, 'sortBy' | 'order'>[] = [
  { sortBy: 'startTime', order: 'asc' },
  { sortBy: 'endTime', order: 'asc' },
  { sortBy: 'total_tokens', order: 'desc' },
  { sortBy: 'startTime', order: 'desc' },
  { sortBy: 'spend', order: 'asc' },
]
const ROLE_CHECK_SLICES = 50
/** A window that overflows is read for nothing, one that is half full costs half a request. */
const FILL_PERCENT = 85
/** Traffic of the night says little of the morning's. */
const WIDENING_MAX = 8

/** Rows by what tells them apart. */
type Rows = Map<string, ParsedRow>

/** Creates the adapter of one LiteLLM proxy. Asks nothing yet. */
export function litellmSource(
  config: LitellmConfig,
  apiKey: string,
  transport?: LitellmClientParts['transport'],
): UsageSource {
  return new LitellmSource(config, apiKey, transport)
}

/**
 * Reads `/spend/logs/v2` in windows that fit on one page. LiteLLM pages by OFFSET over an order
 * with ties, so that between two pages rows are repeated and others are lost, on a table that
 * nobody writes to (measured: 3 of 33 345). A single page is one query, and loses none.
 */
class LitellmSource implements UsageSource {
  readonly name: string
  readonly #rules: CountingRules
  readonly #retentionMs: number | undefined
  readonly #client: LitellmClient
  /** How many seconds fitted on a page last. */
  #widthS = WIDTH_MAX_S
  #slicesUntilRoleCheck = 0

  constructor(config: LitellmConfig, apiKey: string, transport: LitellmClientParts['transport']) {
    this.name = config.name
    this.#rules = config
    this.#retentionMs = config.retentionMs
    this.#client = new LitellmClient({
      ...config,
      apiKey,
      timeoutMs: config.requestTimeoutMs,
      ...(transport === undefined ? {} : { transport }),
    })
  }

  async fetchSlice(range: TimeRange, signal: AbortSignal): Promise<UsageSlice> {
    assert(range.untilMs > range.fromMs, 'a range to read ends after its start')
    const asked = {
      from: Math.floor(range.fromMs / MS),
      until: Math.ceil(range.untilMs / MS),
    }
    const { rows, seconds } = await this.#readWindow(asked, signal)
    await this.#checkRole(rows.size === 0, signal)
    const untilMs = Math.min(seconds.until * MS, range.untilMs)
    return sliceOf([...rows.values()], { fromMs: range.fromMs, untilMs })
  }

  now(signal: AbortSignal): Promise<number> {
    return this.#client.now(signal)
  }

  async probe(signal: AbortSignal): Promise<SourceFacts> {
    const health = await this.#client.health(signal)
    if (!health.hasDatabase) {
      throw new RetryableError('source_no_database', 'LiteLLM has no connection to its database')
    }
    const role = await this.#role(signal)
    const nowS = Math.floor((await this.#client.now(signal)) / MS)
    const seconds = { from: nowS - 1, until: nowS }
    const query: PageQuery = { seconds, page: 1, sortBy: 'startTime', order: 'desc' }
    const { pageSize, isCapping } = await this.#client.spendLogs(query, signal)
    const version = role.version ?? health.version
    const oldestRowAtMs = isCapping ? await this.#oldestRow(nowS, signal) : undefined
    return {
      ...(version === undefined ? {} : { version }),
      ...(oldestRowAtMs === undefined ? {} : { oldestRowAtMs }),
      ...(this.#retentionMs === undefined ? {} : { retentionMs: this.#retentionMs }),
      warnings: warningsOf(version, pageSize),
    }
  }

  /**
   * Where its table begins, which is where retention has deleted up to. Not asked of releases that
   * count all rows of the window: that is the whole table.
   */
  async #oldestRow(nowS: number, signal: AbortSignal): Promise<number | undefined> {
    const seconds = { from: 0, until: nowS }
    const query: PageQuery = { seconds, page: 1, rowsMax: 1, sortBy: 'startTime', order: 'asc' }
    const { rows } = await this.#client.spendLogs(query, signal)
    const parsed = parseSpendLog(this.name, rows[0], this.#rules)
    return parsed.ok ? parsed.record.startedAtMs : undefined
  }

  /** Narrows the window until it fits on one page. One second cannot be narrowed any more. */
  async #readWindow(
    asked: Seconds,
    signal: AbortSignal,
  ): Promise<{ rows: Rows; seconds: Seconds }> {
    let widthS = Math.min(this.#widthS, asked.until - asked.from)
    let isNarrowed = false
    for (let reads = 0; reads < READS_MAX; reads += 1) {
      const seconds = { from: asked.from, until: asked.from + widthS }
      const query: PageQuery = { seconds, page: 1, sortBy: 'startTime', order: 'asc' }
      const page = await this.#client.spendLogs(query, signal)
      if (page.total > page.pageSize) {
        if (widthS === 1) return { rows: await this.#walkSecond(seconds, signal), seconds }
        // Once by the density, which is right for even traffic; then halving, which always ends.
        const fitting = fittingWidth(widthS, page)
        widthS = Math.max(1, Math.min(fitting, isNarrowed ? Math.floor(widthS / 2) : widthS - 1))
        isNarrowed = true
        this.#widthS = widthS
        continue
      }
      const rows: Rows = new Map()
      this.#keep(page.rows, rows)
      if (rows.size !== page.total) continue // Written to between LiteLLM's count and its rows.
      const widerS = Math.min(fittingWidth(widthS, page), widthS * WIDENING_MAX, WIDTH_MAX_S)
      // A range that was cut short says little of the next.
      this.#widthS = seconds.until === asked.until ? Math.max(this.#widthS, widerS) : widerS
      return { rows, seconds }
    }
    throw new RetryableError('source_nonsense', 'LiteLLM counts other rows than it shows')
  }

  /** More rows in one second than fit on a page: walked again until no row can be missing. */
  async #walkSecond(seconds: Seconds, signal: AbortSignal): Promise<Rows> {
    const rows: Rows = new Map()
    for (let walk = 0; walk < WALKS_MAX; walk += 1) {
      const knownBefore = rows.size
      const order = WALK_ORDERS[walk % WALK_ORDERS.length] ?? { sortBy: 'startTime', order: 'asc' }
      const { total, isCapped } = await this.#walk(seconds, order, rows, signal)
      // A capped count proves nothing; then a whole walk that brings nothing new has to do.
      if (isCapped ? rows.size === knownBefore : rows.size === total) return rows
    }
    const second = new Date(seconds.from * MS).toISOString()
    throw new RetryableError('source_nonsense', `LiteLLM never shows all rows of ${second}`)
  }

  async #walk(
    seconds: Seconds,
    order: { readonly sortBy: SortColumn; readonly order: 'asc' | 'desc' },
    rows: Rows,
    signal: AbortSignal,
  ): Promise<{ total: number; isCapped: boolean }> {
    for (let page = 1; page <= PAGES_MAX; page += 1) {
      const read = await this.#client.spendLogs({ seconds, page, ...order }, signal)
      this.#keep(read.rows, rows)
      if (read.rows.length < read.pageSize) return read
    }
    throw new RetryableError('source_nonsense', `LiteLLM's pages do not end at ${PAGES_MAX}`)
  }

  /** Reduces rows of several kilobytes at once to what is counted. */
  #keep(page: readonly unknown[], rows: Rows): void {
    for (const row of page) {
      const parsed = parseSpendLog(this.name, row, this.#rules)
      // Where the table is partitioned by time, an id can be taken once in each partition.
      const key = parsed.ok
        ? `${parsed.record.startedAtMs}/${parsed.record.key.requestId}`
        : `reject/${parsed.reject.requestId}/${startTextOf(row)}`
      rows.set(key, parsed)
    }
  }

  /** No rows is what a key without the role sees, so it is believed only with the role checked. */
  async #checkRole(isEmpty: boolean, signal: AbortSignal): Promise<void> {
    this.#slicesUntilRoleCheck -= 1
    if (!isEmpty && this.#slicesUntilRoleCheck > 0) return
    await this.#role(signal)
    this.#slicesUntilRoleCheck = ROLE_CHECK_SLICES
  }

  async #role(signal: AbortSignal) {
    const role = await this.#client.role(signal)
    if (role.seesAll) return role
    const what = `the key's role (${role.role}) does not show the rows of all users`
    throw new RetryableError('source_role', what)
  }
}

/** What tells unreadable rows with one id apart: in a partitioned table there can be two. */
function startTextOf(row: unknown): string {
  const start: unknown = Object(row).startTime
  return typeof start === 'string' ? start : ''
}

/** How many seconds should nearly fill a page, where traffic goes on as evenly as it was. */
function fittingWidth(widthS: number, { total, pageSize }: { total: number; pageSize: number }) {
  return Math.max(1, Math.floor((widthS * pageSize * FILL_PERCENT) / (Math.max(total, 1) * 100)))
}

/** LiteLLM's filter knows whole seconds and includes both: what is outside is left out here. */
function sliceOf(rows: readonly ParsedRow[], range: TimeRange): UsageSlice {
  const records: UsageRecord[] = []
  const rejects: Reject[] = []
  for (const row of rows) {
    if (!row.ok) {
      rejects.push(row.reject)
      continue
    }
    const { startedAtMs } = row.record
    if (startedAtMs >= range.fromMs && startedAtMs < range.untilMs) records.push(row.record)
  }
  return { records, rejects, range, areIdsGlobal: true }
}
