import { type Wad, wad } from '../domain/money.js'
import type { UsageRecord } from '../domain/usage-record.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { Clock } from '../ports/clock.js'
import { nameOfRecord } from '../ports/payers.js'
import type { Stores } from '../ports/stores.js'
import type { TimeRange, UsageSource } from '../ports/usage-source.js'
import { type AttributeSettings, attribute, mapPayers, payerOf } from './attribute.js'
import { changeRows, Estimates, tokensOf } from './estimate.js'
import { nameOf } from './restate.js'

export interface BackfillParts {
  readonly stores: Stores
  readonly source: UsageSource
  readonly clock: Clock
}

/** What a range holds. Tokens are prompt and completion. */
export interface BackfillCounts {
  readonly rows: number
  /** In the store before: reading them again is harmless. */
  readonly known: number
  readonly added: number
  /** Of the added ones: kept, and not charged. */
  readonly excluded: number
  /** Shown and unreadable. */
  readonly rejected: number
  /** Of the added ones that count. */
  readonly tokens: bigint
}

export interface PlanEstimate {
  readonly planId: string
  readonly currency: string
  readonly records: number
  readonly tokens: bigint
  /** What the bills would rise by over what is sealed now. */
  readonly money: Wad
}

export interface BackfillPreview extends BackfillCounts {
  readonly range: TimeRange
  readonly plans: readonly PlanEstimate[]
  readonly unmapped: readonly {
    readonly payer: string
    readonly reason: string
    readonly records: number
    readonly tokens: bigint
  }[]
}

const NOTHING: BackfillCounts = {
  rows: 0,
  known: 0,
  added: 0,
  excluded: 0,
  rejected: 0,
  tokens: 0n,
}

/** The part of a range that was read once already; above it the daemon reads by itself. */
export async function backfillRange(
  { stores, source }: Pick<BackfillParts, 'stores' | 'source'>,
  range: TimeRange,
): Promise<TimeRange | undefined> {
  const state = await stores.records.source(source.name)
  if (state === undefined) return undefined
  const untilMs = Math.min(range.untilMs, state.readUntilMs)
  return untilMs > range.fromMs ? { fromMs: range.fromMs, untilMs } : undefined
}

/** Reads the range and saves nothing. */
export async function previewBackfill(
  parts: BackfillParts,
  range: TimeRange,
  settings: AttributeSettings,
  signal: AbortSignal,
): Promise<BackfillPreview> {
  const sorter = await Sorter.create(parts.stores, settings)
  const seen = new Set<string>()
  let counts = NOTHING
  for await (const slice of slicesOf(parts.source, range, signal)) {
    const known = await parts.stores.sealedUsages.known(slice.records.map(({ key }) => key))
    const isNew = ({ key }: UsageRecord) =>
      !known.has(nameOfRecord(key)) && !seen.has(nameOfRecord(key))
    const added = slice.records.filter(isNew)
    for (const { key } of added) seen.add(nameOfRecord(key))
    counts = addCounts(counts, slice.records, added, slice.rejects.length)
    await sorter.add(added.filter(({ excluded }) => excluded === undefined))
  }
  return { ...counts, range, ...(await sorter.result()) }
}

/**
 * Reads the range and saves it as collecting does: once each, and the cursor stays where it is. What
 * is new is attributed and sealed by the daemon. Stopped halfway, it is simply run again.
 */
export async function runBackfill(
  { stores, source, clock }: BackfillParts,
  range: TimeRange,
  signal: AbortSignal,
  onSlice: (untilMs: number, added: number) => void,
): Promise<BackfillCounts> {
  let counts = NOTHING
  for await (const slice of slicesOf(source, range, signal)) {
    const known = await stores.sealedUsages.known(slice.records.map(({ key }) => key))
    const added = slice.records.filter(({ key }) => !known.has(nameOfRecord(key)))
    await stores.records.saveSlice(source.name, slice, clock.now())
    counts = addCounts(counts, slice.records, added, slice.rejects.length)
    onSlice(slice.range.untilMs, added.length)
  }
  return counts
}

async function* slicesOf(source: UsageSource, range: TimeRange, signal: AbortSignal) {
  let { fromMs } = range
  while (fromMs < range.untilMs) {
    signal.throwIfAborted()
    const slice = await source.fetchSlice({ fromMs, untilMs: range.untilMs }, signal)
    yield slice
    fromMs = slice.range.untilMs
  }
}

function addCounts(
  counts: BackfillCounts,
  records: readonly UsageRecord[],
  added: readonly UsageRecord[],
  rejected: number,
): BackfillCounts {
  const billable = added.filter(({ excluded }) => excluded === undefined)
  return {
    rows: counts.rows + records.length + rejected,
    known: counts.known + records.length - added.length,
    added: counts.added + added.length,
    excluded: counts.excluded + added.length - billable.length,
    rejected: counts.rejected + rejected,
    tokens: counts.tokens + billable.reduce((sum, one) => sum + sizeOf(one), 0n),
  }
}

function sizeOf({ promptTokens, completionTokens }: UsageRecord): bigint {
  return promptTokens + completionTokens
}

/** Sums by vault and period, so that a range of any length takes little memory. */
class Sorter {
  readonly #stores: Stores
  readonly #settings: AttributeSettings
  readonly #estimates: Estimates
  readonly #models: readonly string[]
  readonly #entries = new Map<string, { key: EntryKey; records: number; rows: UsageTotal[] }>()
  readonly #unmapped = new Map<string, BackfillPreview['unmapped'][number]>()

  private constructor(
    stores: Stores,
    settings: AttributeSettings,
    estimates: Estimates,
    models: readonly string[],
  ) {
    this.#stores = stores
    this.#settings = settings
    this.#estimates = estimates
    this.#models = models
  }

  static async create(stores: Stores, settings: AttributeSettings): Promise<Sorter> {
    const estimates = await Estimates.read(stores)
    return new Sorter(stores, settings, estimates, await stores.books.models())
  }

  async add(records: readonly UsageRecord[]): Promise<void> {
    const payers = records.map((record) => payerOf(record, this.#settings))
    const map = await mapPayers(payers, { ...this.#stores, settings: this.#settings })
    for (const [i, record] of records.entries()) {
      const payer = payers[i] ?? ''
      const mapped = map(payer)
      const vault = mapped.account === undefined ? undefined : this.#estimates.vault(mapped.account)
      const found = attribute(record, mapped, vault, this.#models, this.#settings)
      if (found.account === undefined) this.#wait(payer, found.reason, record)
      else
        this.#count(
          { accountNumber: found.account, periodStart: found.periodStart },
          {
            modelId: found.modelId,
            promptTokens: record.promptTokens,
            cachedPromptTokens: record.cachedPromptTokens,
            completionTokens: record.completionTokens,
            requests: 1n,
          },
        )
    }
  }

  async result(): Promise<Pick<BackfillPreview, 'plans' | 'unmapped'>> {
    const plans = new Map<string, PlanEstimate>()
    for (const { key, records, rows } of this.#entries.values()) {
      const before = await this.#stores.totals.of(key)
      const was = this.#estimates.of(key, before)
      const becomes = this.#estimates.of(key, changeRows(before, rows, 1n))
      const planId = becomes?.planId ?? 'unknown'
      const sum = plans.get(planId)
      plans.set(planId, {
        planId,
        currency: becomes?.currency ?? '',
        records: (sum?.records ?? 0) + records,
        tokens: (sum?.tokens ?? 0n) + tokensOf(rows),
        money: wad((sum?.money ?? 0n) + (becomes?.price ?? 0n) - (was?.price ?? 0n)),
      })
    }
    return { plans: [...plans.values()], unmapped: [...this.#unmapped.values()] }
  }

  #count(key: EntryKey, usage: UsageTotal): void {
    const entry = this.#entries.get(nameOf(key)) ?? { key, records: 0, rows: [] }
    entry.records += 1
    entry.rows = changeRows(entry.rows, [usage], 1n)
    this.#entries.set(nameOf(key), entry)
  }

  #wait(payer: string, reason: string, record: UsageRecord): void {
    const name = JSON.stringify([payer, reason])
    const sum = this.#unmapped.get(name)
    this.#unmapped.set(name, {
      payer,
      reason,
      records: (sum?.records ?? 0) + 1,
      tokens: (sum?.tokens ?? 0n) + sizeOf(record),
    })
  }
}
