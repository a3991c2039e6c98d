import { advance, type BatchEvent } from '../domain/batch.js'
import { RetryableError } from '../domain/errors.js'
import {
  type BatchId,
  batchName,
  type EntrySpan,
  type Purpose,
  purpose,
  settledSpan,
} from '../domain/ids.js'
import type { TxId } from '../ports/lane.js'
import type { Settler } from '../ports/settler.js'
import type { SavedTx, Store, StoredBatch, StoredEntry } from '../ports/stores.js'
import { inParallel } from '../runtime/in-parallel.js'
import type { StepOutcome } from '../runtime/worker.js'
import { aboutBatch } from './about.js'
import { bring, freeLane, type Load, loadsOf, sendCall } from './deliver.js'
import { guard } from './guard.js'
import { readResultsTo } from './results.js'
import { learnt, planRuns, runsFrom } from './runs.js'

export interface SettleParts {
  readonly store: Store
  readonly settler: Settler
  /** Entries a transaction brings at most. */
  readonly entriesMax: number
  readonly pass: SettlePass
}

/** What this process has learnt. All of it is found out again after a restart, at a few fees. */
export interface SettlePass {
  /** How much an entry uses for each unit that it was measured to use. */
  dearness?: number
  /** Refusals from before this process, or before an operator had the batch tried again. */
  forgiven?: { readonly batch: BatchId; readonly ids: ReadonlySet<TxId> } | undefined
  /** Why Flow refused a run, in its own words. */
  reasons?: Map<Purpose, string>
}

/** With so many entries that Flow refuses alone, something else is wrong, and each try costs. */
const REFUSED_ALONE_MAX = 10

/** Brings the accepted batch's entries to Flow, run by run, until each has a result. */
export async function settleNext(parts: SettleParts, signal: AbortSignal): Promise<StepOutcome> {
  const { batches } = parts.store
  const batch = await batches.oldestIn('accepted')
  if (batch === undefined) return 'idle'
  aboutBatch(batch)
  const { id, life } = batch
  const event = await guard<BatchEvent | undefined>(
    () => settle(batch, parts, signal),
    async (reason) => ({ type: 'parked', reason }),
    signal,
  )
  if (event === undefined) return 'idle'
  if (event.type === 'parked') parts.pass.forgiven = undefined
  await batches.saveLife(id, advance(life, event))
  return 'advanced'
}

async function settle(
  batch: StoredBatch,
  parts: SettleParts,
  signal: AbortSignal,
): Promise<BatchEvent | undefined> {
  const { store, settler, entriesMax, pass } = parts
  const { id } = batch
  const forgiven = await forgivenOf(id, parts)
  const { loads, refusal } = await bringRuns(id, parts, signal)
  // Results come from sealed blocks alone, whoever brought the entries. Read after the fates, so
  // that what has landed has its results, and is not brought again.
  if (!(await readResultsTo(await settler.sealedHeight(signal), parts, signal))) return undefined
  const entries = await store.batches.entries(id)
  if (entries.every(({ result }) => result !== undefined)) return { type: 'settled' }
  if ((await settler.acceptedRoot(batch.header.seq, signal)) === undefined) {
    return { type: 'superseded' } // Flow gave the root up: a later batch states these again.
  }
  const refused = (await refusals(id, store)).filter((one) => !forgiven.has(one.id))
  const busy = spansOf(
    id,
    loads.flatMap(({ open }) => open ?? []),
  )
  const limits = { busy, refused: spansOf(id, refused), entriesMax, dearness: pass.dearness ?? 1 }
  const { spans, refusedAlone } = planRuns(entries, limits)
  const isAtEnd = spans.length === 0 || refusedAlone.length >= REFUSED_ALONE_MAX
  if (isAtEnd && busy.length === 0) {
    return { type: 'parked', reason: reasonOf(entries, refusedAlone, pass) }
  }
  if (!isAtEnd) await sendRuns(batch, entries, { spans, loads }, parts, signal)
  if (refusal !== undefined) throw new RetryableError('settle_refused', refusal)
  return undefined
}

/** Brings what is under way of this batch further, and learns from what came to its end. */
async function bringRuns(
  id: BatchId,
  { store, settler, pass }: SettleParts,
  signal: AbortSignal,
): Promise<{ readonly loads: readonly Load[]; readonly refusal: string | undefined }> {
  const { outbox } = store
  const entries = await store.batches.entries(id)
  let refusal: string | undefined
  const further = async ({ lane, open }: Load): Promise<Load> => {
    const span = open === undefined ? undefined : settledSpan(id, open.purpose)
    if (open === undefined || span === undefined) return { lane, open }
    const fate = await bring(open, { lane, outbox }, signal)
    if (fate === 'open') return { lane, open }
    const { lastUse: use, lastRefusal: why = 'no reason given' } = lane
    if (fate !== 'gone' && use !== undefined) {
      const brought = entries.slice(span.first, span.first + span.count)
      pass.dearness = learnt(pass.dearness ?? 1, brought, use)
    }
    if (fate === 'refused') {
      refusal = `${open.purpose}: ${why}`
      pass.reasons?.set(open.purpose, why)
    }
    return { lane, open: undefined }
  }
  const loads = await loadsOf({ lanes: settler.lanes, outbox })
  return { loads: await inParallel(loads.map((load) => () => further(load))), refusal }
}

/** One run on each lane that is free. */
async function sendRuns(
  { id, header }: StoredBatch,
  entries: readonly StoredEntry[],
  { spans, loads }: { readonly spans: readonly EntrySpan[]; readonly loads: readonly Load[] },
  { store, settler }: SettleParts,
  signal: AbortSignal,
): Promise<void> {
  const { outbox } = store
  const free = loads.filter(({ open }) => open === undefined).map(({ lane }) => lane)
  // Where others' transactions are on all of them, one of those is brought to its end.
  const made = free.length > 0 ? undefined : await freeLane(loads, outbox, signal)
  const lanes = made === undefined ? free : [made]
  const pairs = lanes.flatMap((lane, i) => {
    const span = spans[i]
    return span === undefined ? [] : [{ lane, span }]
  })
  await inParallel(
    pairs.map(({ lane, span }) => async () => {
      const call = () => settler.settleCall(header, runsFrom(entries, span))
      await sendCall(purpose.settle(id, span), call, { lane, outbox }, signal)
    }),
  )
}

/** What was refused before counts no more: its cause may have been mended since. */
async function forgivenOf(id: BatchId, { store, pass }: SettleParts): Promise<ReadonlySet<TxId>> {
  if (pass.forgiven?.batch !== id) {
    const refused = await refusals(id, store)
    pass.forgiven = { batch: id, ids: new Set(refused.map((one) => one.id)) }
    pass.reasons = new Map()
  }
  return pass.forgiven.ids
}

function refusals(id: BatchId, { outbox }: Pick<Store, 'outbox'>): Promise<readonly SavedTx[]> {
  return outbox.refused(`settle/${batchName(id)}/`)
}

function spansOf(id: BatchId, txs: readonly SavedTx[]): EntrySpan[] {
  return txs.flatMap(({ purpose: name }) => settledSpan(id, name) ?? [])
}

function reasonOf(
  entries: readonly StoredEntry[],
  refusedAlone: readonly number[],
  { reasons }: SettlePass,
): string {
  const names = refusedAlone.flatMap((position) => {
    const entry = entries[position]
    if (entry === undefined) return []
    const why = reasons?.get(purpose.settle(entry.batch, { first: position, count: 1 }))
    return `account ${entry.accountNumber}, period ${entry.periodStart}: ${why ?? 'see the log'}`
  })
  return `Flow refused, each alone, the entries of ${names.join('; ')}`
}
