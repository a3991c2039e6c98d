import { ROWS_MAX } from '../domain/entry.js'
import { assert } from '../domain/errors.js'
import { type ModelId, OTHER_MODEL } from '../domain/ids.js'
import {
  addUsage,
  type EntryKey,
  NO_USAGE,
  subtractUsage,
  type UsageTotal,
} from '../domain/usage-total.js'
import type { AttributedRecord, Stores } from '../ports/stores.js'

/**
 * An entry has 32 rows. The first 31 models of a (vault, period) keep rows of their own, in the order
 * in which they came; every other model counts in row 0. The records come back with the id that
 * they are billed under, which sealing writes down for ever.
 */
export function withRowIds<Counted extends { readonly modelId: ModelId }>(
  records: readonly Counted[],
  before: readonly UsageTotal[],
): Counted[] {
  const own = new Set(before.map(({ modelId }) => modelId).filter((id) => id !== OTHER_MODEL))
  return records.map((record) => {
    if (record.modelId === OTHER_MODEL || own.has(record.modelId)) return record
    if (own.size >= ROWS_MAX - 1) return { ...record, modelId: OTHER_MODEL }
    own.add(record.modelId)
    return record
  })
}

/** The totals with the records added, by ascending model id. */
export function addRecords(
  before: readonly UsageTotal[],
  records: readonly AttributedRecord[],
): UsageTotal[] {
  const rows = new Map(before.map((row) => [row.modelId, row]))
  for (const record of records) {
    const { modelId, promptTokens, cachedPromptTokens, completionTokens } = record
    const used = { promptTokens, cachedPromptTokens, completionTokens, requests: 1n }
    rows.set(modelId, { modelId, ...addUsage(rows.get(modelId) ?? NO_USAGE, used) })
  }
  return [...rows.values()].sort((a, b) => a.modelId - b.modelId)
}

function addTotals(before: readonly UsageTotal[], added: readonly UsageTotal[]): UsageTotal[] {
  const rows = new Map(before.map((row) => [row.modelId, row]))
  for (const row of added) {
    const { modelId } = row
    rows.set(modelId, { modelId, ...addUsage(rows.get(modelId) ?? NO_USAGE, row) })
  }
  return [...rows.values()].sort((a, b) => a.modelId - b.modelId)
}

/** The totals less what a correction takes. A row stays where nothing is left: it was stated. */
export function takeFrom(
  before: readonly UsageTotal[],
  taken: readonly UsageTotal[],
): UsageTotal[] {
  const byModel = new Map(taken.map((row) => [row.modelId, row]))
  const missing = taken.filter(({ modelId }) => !before.some((row) => row.modelId === modelId))
  assert(missing.length === 0, `no total of model ${missing[0]?.modelId} to take from`)
  return before.map((row) => {
    const less = byModel.get(row.modelId)
    return less === undefined ? row : { ...row, ...subtractUsage(row, less) }
  })
}

/** The totals with all that waits to be sealed, what a correction has moved there included. */
export async function withWaiting(
  key: EntryKey,
  { totals, records, corrections }: Pick<Stores, 'totals' | 'records' | 'corrections'>,
): Promise<UsageTotal[]> {
  const before = await totals.of(key)
  const all = addTotals(before, withRowIds(await records.waitingOf(key), before))
  const moved = await corrections.recountableOf(key)
  return addRecords(all, withRowIds(moved, all))
}
