import type { CanonicalValue } from '../domain/canonical-json.js'
import { type BatchSeq, seqOf } from '../domain/ids.js'
import type { Correction } from '../ports/corrections.js'
import type { Stores } from '../ports/stores.js'
import type { Draft, DraftParts } from './draft.js'

/** What the batch was made of, for whoever audits it: kept, served, and bound by its hash. */
export async function manifestOf(
  seq: BatchSeq,
  draft: Draft,
  stores: Stores,
  parts: DraftParts,
): Promise<CanonicalValue> {
  const claimed = [...draft.records.values()].reduce((sum, records) => sum + records.length, 0)
  const sources = await stores.records.sources()
  return {
    version: '1',
    seq: seq.toString(),
    entries: draft.entries.length.toString(),
    records: claimed.toString(),
    sources: Object.fromEntries(
      sources.map(({ name, readUntilMs }) => [name, { readUntilMs: readUntilMs.toString() }]),
    ),
    mapping: parts.attribution.version,
    books: await stores.books.version(),
    corrections: draft.corrections.map(correctionOf),
    operatorLog: await stores.operatorLog.head(),
  }
}

function correctionOf(correction: Correction): CanonicalValue {
  const { id, accountNumber, periodStart, afterSeq, billable, taken, reason } = correction
  return {
    id: id.toString(),
    account: accountNumber.toString(),
    periodStart: periodStart.toString(),
    afterSeq: seqOf(afterSeq).toString(),
    billable: billable.toString(),
    taken: taken.map((row) => ({
      modelId: row.modelId.toString(),
      promptTokens: row.promptTokens.toString(),
      cachedPromptTokens: row.cachedPromptTokens.toString(),
      completionTokens: row.completionTokens.toString(),
      requests: row.requests.toString(),
    })),
    reason,
  }
}
