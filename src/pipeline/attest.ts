import {
  type Anchor,
  advance,
  type BatchEvent,
  type BatchHeader,
  type BatchLife,
} from '../domain/batch.js'
import type { Hex } from '../domain/bytes.js'
import { assert, RetryableError } from '../domain/errors.js'
import { purpose } from '../domain/ids.js'
import type { Attestor } from '../ports/attestor.js'
import type { Batches, Outbox, StoredBatch } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import { aboutBatch } from './about.js'
import { deliver } from './deliver.js'
import { guard } from './guard.js'

export interface AttestParts {
  readonly batches: Batches
  readonly outbox: Outbox
  readonly attestor: Attestor
  readonly meter: Hex
}

/** Rounds that lacked our leaf before an operator is asked to look. */
const MISSED_ROUNDS_MAX = 10

type InAttestation = Extract<BatchLife, { readonly anchor: unknown }>

/** Brings an anchored batch one state on, up to `attested`: with the whole proof in hand. */
export async function attestNext(parts: AttestParts, signal: AbortSignal): Promise<StepOutcome> {
  const { batches } = parts
  const batch = await batches.oldestIn('anchored', 'requested', 'finalised')
  if (batch === undefined) return 'idle'
  aboutBatch(batch)
  const { id, life } = batch
  assert('anchor' in life, `a batch that is ${life.state} has no anchor`)
  const event = await guard<BatchEvent | undefined>(
    () => nextEvent(batch, life, parts, signal),
    async (reason) => ({ type: 'parked', reason }),
    signal,
  )
  if (event === undefined) return 'idle'
  await batches.saveLife(id, advance(life, event))
  return 'advanced'
}

async function nextEvent(
  batch: StoredBatch,
  life: InAttestation,
  parts: AttestParts,
  signal: AbortSignal,
): Promise<BatchEvent | undefined> {
  switch (life.state) {
    case 'anchored':
      return request(batch, life, parts, signal)
    case 'requested': {
      const isFinalised = await parts.attestor.isFinalised(life.round, signal)
      return isFinalised ? { type: 'finalised' } : notFinalised(batch, life, parts, signal)
    }
    case 'finalised':
      return prove(batch, life, parts, signal)
    case 'attested':
      return undefined
  }
}

async function request(
  { id, header }: StoredBatch,
  { anchor, missedRounds }: InAttestation,
  { attestor, outbox, meter }: AttestParts,
  signal: AbortSignal,
): Promise<BatchEvent | undefined> {
  if (!(await isAnchoredAt(anchor, header, { attestor, meter }, signal)))
    return { type: 'vanished' }
  // Anybody may have asked for it, or we did before a crash.
  const name = purpose.request(id, missedRounds.length)
  const own = await outbox.landed(name)
  const round = await attestor.findRequest(anchor, missedRounds, signal, own)
  if (round !== undefined) return { type: 'requested', round }
  if (missedRounds.length >= MISSED_ROUNDS_MAX) {
    return { type: 'parked', reason: `not attested in ${missedRounds.length} rounds` }
  }
  if (!(await attestor.isRequestDue(missedRounds, signal))) return undefined
  const makeCall = () => attestor.requestCall(anchor, signal)
  const sent = await deliver(name, makeCall, { lanes: [attestor.lane], outbox }, signal)
  if (sent === 'refused') throw new RetryableError('request_refused', `batch ${header.seq}`)
  return undefined
}

async function prove(
  { id, header }: StoredBatch,
  life: InAttestation,
  { attestor, batches, meter }: AttestParts,
  signal: AbortSignal,
): Promise<BatchEvent | undefined> {
  assert('round' in life)
  if (!(await isAnchoredAt(life.anchor, header, { attestor, meter }, signal))) {
    return { type: 'vanished' }
  }
  const answer = await attestor.fetchProof(meter, header, life.anchor, life.round, signal)
  if (answer.outcome === 'pending') return undefined
  if (answer.outcome === 'missed') return { type: 'missed' }
  await batches.saveProof(id, answer.proof)
  return { type: 'attested' }
}

/**
 * A reorganised chain may drop the anchor while its round is still open; and a round in which nothing
 * was confirmed never gets a root, so it has to be given up some time after its end.
 */
async function notFinalised(
  { header }: StoredBatch,
  { anchor, round }: Extract<InAttestation, { readonly round: number }>,
  { attestor, meter }: AttestParts,
  signal: AbortSignal,
): Promise<BatchEvent | undefined> {
  if (!(await isAnchoredAt(anchor, header, { attestor, meter }, signal)))
    return { type: 'vanished' }
  const answer = await attestor.fetchProof(meter, header, anchor, round, signal)
  return answer.outcome === 'missed' ? { type: 'missed' } : undefined
}

/** A reorganised chain may have the event in another block, where it is another thing to attest. */
async function isAnchoredAt(
  anchor: Anchor,
  header: BatchHeader,
  { attestor, meter }: Pick<AttestParts, 'attestor' | 'meter'>,
  signal: AbortSignal,
): Promise<boolean> {
  const found = await attestor.findAnchor(meter, header, signal, anchor)
  return (
    found?.txHash === anchor.txHash &&
    found.blockNumber === anchor.blockNumber &&
    found.logIndex === anchor.logIndex
  )
}
