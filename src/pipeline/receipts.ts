import { CHUNK_MAX, chunkHash, chunksOf } from '../domain/entry.js'
import { accountNumber } from '../domain/ids.js'
import { merklePath } from '../domain/merkle.js'
import { receiptSalt } from '../domain/receipt.js'
import type { BatchReceipt, Receipts, RecordReceipt } from '../domain/receipts.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { AttributedRecord, StoredBatch, StoredEntry, Stores } from '../ports/stores.js'
import { keyOf, nameOf } from './restate.js'

/** Every billing period that some batch states of an account; seconds, ascending. */
export async function statedPeriods(
  { totals }: Pick<Stores, 'totals'>,
  account: bigint,
): Promise<number[]> {
  return (await totals.periodsOf(accountNumber(account))).map(({ periodStart }) => periodStart)
}

/** A period that takes more batches to state is told in part: years of ten-minute batches. */
const STATEMENTS_MAX = 500_000
const CORRECTIONS_MAX = 100_000

type ReceiptStores = Pick<Stores, 'batches' | 'records' | 'corrections'>

/**
 * Everything that one customer needs to check one period, and nothing of any other customer. What was
 * sealed by a store that was lost cannot be told: of adopted batches we have the headers alone.
 */
export async function makeReceipts(
  key: EntryKey,
  { provider, receiptSecret }: { readonly provider: bigint; readonly receiptSecret: string },
  stores: ReceiptStores,
): Promise<Receipts> {
  const stating = await stores.batches.statements(key, STATEMENTS_MAX)
  const correcting = (await stores.corrections.list(CORRECTIONS_MAX)).flatMap((one) =>
    nameOf(one) === nameOf(key) && one.listedBy !== undefined ? [one.listedBy] : [],
  )
  const seqs = new Set([...stating.map(({ seq }) => seq), ...correcting])
  const batches: BatchReceipt[] = []
  for (const seq of [...seqs].sort((a, b) => (a < b ? -1 : 1))) {
    const batch = await stores.batches.get(seq)
    if (batch === undefined || batch.manifestJson === '') continue
    batches.push(await batchReceipt(batch, key, receiptSecret, stores))
  }
  const { accountNumber, periodStart } = key
  return { provider, accountNumber, periodStart, batches }
}

async function batchReceipt(
  { header, manifestJson }: StoredBatch,
  key: EntryKey,
  receiptSecret: string,
  { batches, records, corrections }: ReceiptStores,
): Promise<BatchReceipt> {
  const entries = await batches.entries(header.seq)
  const entry = entries.find((one) => nameOf(one) === nameOf(key))
  if (entry === undefined) return { header, manifestJson, leaves: [], path: [], records: [] }
  const { seq } = header
  const counted = [...(await records.claimedBy(seq)), ...(await corrections.movedBy(seq))]
  const ours = counted.filter((record) => nameOf(keyOf(record)) === nameOf(key))
  return {
    header,
    manifestJson,
    entry: entry.bytes,
    ...placeOf(entry, entries),
    records: ours.map((record) => recordReceipt(record, receiptSecret)),
  }
}

/** Where an entry stands in its batch. */
function placeOf(
  { position }: StoredEntry,
  entries: readonly StoredEntry[],
): Pick<BatchReceipt, 'leaves' | 'path'> {
  const chunks = chunksOf(entries.map(({ leaf }) => leaf))
  const chunk = Math.floor(position / CHUNK_MAX)
  return { leaves: chunks[chunk] ?? [], path: merklePath(chunks.map(chunkHash), chunk) }
}

function recordReceipt(record: AttributedRecord, receiptSecret: string): RecordReceipt {
  const { key, startedAtMs, model, modelId } = record
  const { promptTokens, cachedPromptTokens, completionTokens } = record
  const tokens = { promptTokens, cachedPromptTokens, completionTokens }
  return { key, startedAtMs, model, modelId, ...tokens, salt: receiptSalt(receiptSecret, key) }
}

/** What a manifest lists of one (vault, period): totals that an operator lowered, by model. */
export function correctionsOf(manifestJson: string, key: EntryKey): readonly ManifestCorrection[] {
  const { corrections = [] } = JSON.parse(manifestJson) as {
    readonly corrections?: readonly ManifestCorrection[]
  }
  return corrections.filter(
    ({ account, periodStart }) =>
      account === key.accountNumber.toString() && periodStart === key.periodStart.toString(),
  )
}

/** As manifests have it: integers are text. */
export interface ManifestCorrection {
  readonly account: string
  readonly periodStart: string
  readonly taken: readonly {
    readonly modelId: string
    readonly promptTokens: string
    readonly cachedPromptTokens: string
    readonly completionTokens: string
    readonly requests: string
  }[]
}
