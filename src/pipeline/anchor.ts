import { advance } from '../domain/batch.js'
import { assert, RetryableError, TerminalError } from '../domain/errors.js'
import { purpose } from '../domain/ids.js'
import type { Attestor } from '../ports/attestor.js'
import type { MeterKey } from '../ports/meter-key.js'
import type { Batches, Outbox, StoredBatch } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import { aboutBatch } from './about.js'
import { deliver } from './deliver.js'

export interface AnchorParts {
  readonly batches: Batches
  readonly outbox: Outbox
  readonly attestor: Attestor
  readonly meterKey: MeterKey
}

/** Brings the sealed batch to `anchored`. Until then it is only ever retried, never parked. */
export async function anchorNext(parts: AnchorParts, signal: AbortSignal): Promise<StepOutcome> {
  const { batches, outbox, attestor, meterKey } = parts
  const batch = await batches.oldestIn('sealed')
  if (batch === undefined) return 'idle'
  aboutBatch(batch)
  const { header, life } = batch
  const signature = await signed(batch, parts)

  // The contract is asked first: before a crash we, or at any time anybody, may have anchored it.
  const anchor = await attestor.findAnchor(meterKey.address, header, signal)
  if (anchor !== undefined) {
    await batches.saveLife(batch.id, advance(life, { type: 'anchored', anchor }))
    return 'advanced'
  }
  const way = { lanes: [attestor.lane], outbox }
  const makeCall = () => attestor.anchorCall(header, signature)
  const sent = await deliver(purpose.anchor(batch.id), makeCall, way, signal).catch(retried)
  if (sent === 'refused') throw new RetryableError('anchor_refused', `batch ${header.seq}`)
  return 'idle'
}

/** The signature is kept, so that every later sending is of the same bytes. */
async function signed({ id, header, signature }: StoredBatch, { batches, meterKey }: AnchorParts) {
  if (signature !== undefined) return signature
  const made = await meterKey.sign(header)
  assert(made.length === 132, 'a signature has 65 bytes')
  await batches.saveSignature(id, made)
  return made
}

/** A chain that refuses before anything was sent is asked again: somebody may just have anchored. */
function retried(error: unknown): never {
  if (!(error instanceof TerminalError)) throw error
  throw new RetryableError('anchor_refused', `${error.code}: ${error.message}`, { cause: error })
}
