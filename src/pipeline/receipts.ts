import { CHUNK_MAX, chunkHash, chunksOf } from '../domain/entry.js'
import { accountNumber, eraOf } from '../domain/ids.js'
import { merklePath } from '../domain/merkle.js'
import { receiptSalt } from '../domain/receipt.js'
import type { BatchReceipt, Receipts, RecordReceipt } from '../domain/receipts.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { Era } from '../ports/meters.js'
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

type ReceiptStores = Pick<Stores, 'batches' | 'records' | 'corrections' | 'meters'>

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
  const ids = new Set([...stating.map(({ batch }) => batch), ...correcting])
  const eras = await stores.meters.all()
  const batches: BatchReceipt[] = []
  for (const id of [...ids].sort((a, b) => (a < b ? -1 : 1))) {
    const batch = await stores.batches.get(id)
    if (batch === undefined || batch.manifestJson === '') continue
    batches.push({
      ...meterOf(eras[eraOf(id)]),
      ...(await batchReceipt(batch, key, receiptSecret, stores)),
    })
  }
  const { accountNumber, periodStart } = key
  return { provider, accountNumber, periodStart, batches }
}

async function batchReceipt(
  { id, header, manifestJson }: StoredBatch,
  key: EntryKey,
  receiptSecret: string,
  { batches, records, corrections }: ReceiptStores,
): Promise<BatchReceipt> {
  const entries = await batches.entries(id)
  const entry = entries.find((one) => nameOf(one) === nameOf(key))
  if (entry === undefined) return { header, manifestJson, leaves: [], path: [], records: [] }
  const counted = [...(await records.claimedBy(id)), ...(await corrections.movedBy(id))]
  const ours = counted.filter((record) => nameOf(keyOf(record)) === nameOf(key))
  return {
    header,
    manifestJson,
    entry: entry.bytes,
    ...placeOf(entry, entries),
    records: ours.map((record) => recordReceipt(record, receiptSecret)),
  }
}

function meterOf(era: Era | undefined): Pick<BatchReceipt, 'meter'> {
  if (era?.meter === undefined) return {}
  return { meter: { address: era.meter, epoch: era.meterEpoch } }
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
