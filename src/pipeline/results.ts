import { batchId } from '../domain/ids.js'
import type { Settler } from '../ports/settler.js'
import type { Store } from '../ports/stores.js'
import { applyCorrections } from './apply-correction.js'
import { checkStream, lastOfMeter } from './meter-era.js'
import { ahead } from './meter-guard.js'

/**
 * Reads the results of entries, and corrections, from sealed blocks, one window of them, and saves
 * them with the cursor. Returns how many there were. Called by whoever needs them: reading again is harmless.
 */
export async function readResults(
  { store, settler }: { readonly store: Store; readonly settler: Settler },
  signal: AbortSignal,
): Promise<number> {
  const from = await store.books.readHeight()
  if (from === undefined) {
    // A new store has no batch yet, so no result of one can lie before this block.
    await store.books.saveReadHeight(await settler.sealedHeight(signal))
    return 0
  }
  const { events, corrections, stream, untilHeight } = await settler.settledSince(from, signal)
  await store.transaction(async (stores) => {
    const current = await stores.meters.current()
    if (stream !== undefined) checkStream(stream, current)
    const ours = (await lastOfMeter(stores))?.header.seq ?? 0n
    // Read on, and an adoption would no longer see what those batches stated.
    const foreign = events.find(({ seq }) => seq > ours)
    if (foreign !== undefined) throw ahead(`Flow has settled batch ${foreign.seq}`, ours)
    for (const event of events) {
      await stores.batches.saveResult(
        batchId(event.seq, current.era),
        event,
        event.result,
        event.txId,
      )
    }
    await applyCorrections(stores, corrections)
    await stores.books.saveReadHeight(untilHeight)
  })
  return events.length + corrections.length
}

/** Windows of blocks that one step reads; after a long time away, the next step goes on. */
const WINDOWS_MAX = 100

/** Reads results up to a sealed block, that one included. Returns whether it came so far. */
export async function readResultsTo(
  height: number,
  parts: { readonly store: Store; readonly settler: Settler },
  signal: AbortSignal,
): Promise<boolean> {
  for (let window = 0; window < WINDOWS_MAX; window += 1) {
    await readResults(parts, signal)
    if (((await parts.store.books.readHeight()) ?? 0) > height) return true
  }
  return false
}
