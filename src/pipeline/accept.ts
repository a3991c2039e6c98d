import { advance, type BatchEvent } from '../domain/batch.js'
import { assert } from '../domain/errors.js'
import { purpose } from '../domain/ids.js'
import type { Attestor } from '../ports/attestor.js'
import type { Meters } from '../ports/meters.js'
import type { Settler } from '../ports/settler.js'
import type { Batches, Outbox, StoredBatch } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import { aboutBatch } from './about.js'
import { deliver } from './deliver.js'
import { guard } from './guard.js'
import { checkActive } from './meter-era.js'

/** The one step that holds both ports: proofs cross from Flare to Flow here. */
export interface AcceptParts {
  readonly batches: Batches
  readonly meters: Meters
  readonly outbox: Outbox
  readonly attestor: Attestor
  readonly settler: Settler
}

/** Keeps Flow's signing policies up with Flare's, and has the attested batch accepted. */
export async function acceptNext(parts: AcceptParts, signal: AbortSignal): Promise<StepOutcome> {
  const { batches } = parts
  const batch = await batches.oldestIn('attested')
  if (batch === undefined) return followPolicies(parts, signal)
  aboutBatch(batch)
  const { id, life } = batch
  const event = await guard<BatchEvent | undefined>(
    () => accept(batch, parts, signal),
    async (reason) => ({ type: 'parked', reason }),
    signal,
  )
  if (event === undefined) return 'idle'
  await batches.saveLife(id, advance(life, event))
  return 'advanced'
}

async function accept(
  { id, header, proof }: StoredBatch,
  parts: AcceptParts,
  signal: AbortSignal,
): Promise<BatchEvent | undefined> {
  const { meters, outbox, settler } = parts
  checkActive(await settler.stream(signal), await meters.current())
  // Asked first: anybody may have brought the proof.
  const root = await settler.acceptedRoot(header.seq, signal)
  if (root === header.root) return { type: 'accepted' }
  if (root !== undefined) {
    return { type: 'parked', reason: `Flow holds another root for batch ${header.seq}: ${root}` }
  }
  assert(proof !== undefined, 'an attested batch has its proof')
  const { round, rewardEpoch, nominalEpoch = rewardEpoch } = proof.rootProof
  const { lastEpoch } = await settler.lightClient(signal)
  if (lastEpoch < Math.max(rewardEpoch, nominalEpoch)) {
    await followPolicies(parts, signal)
    return undefined
  }
  const way = { lanes: settler.lanes, outbox }
  const sent = await deliver(purpose.accept(id), () => settler.acceptCall(proof), way, signal)
  if (sent !== 'refused') return undefined
  // Refused perhaps because somebody else brought it in the meantime.
  if ((await settler.acceptedRoot(header.seq, signal)) === header.root) return { type: 'accepted' }
  // Flow refuses a root that another policy should have signed, a round with two roots, and one
  // whose policy it holds no longer: then the round is of no use, and a later one may be.
  const isOfNoUse =
    (await settler.lightClient(signal)).lastEpoch > lastEpoch ||
    !(await settler.canProve(round, signal))
  return isOfNoUse
    ? { type: 'missed' }
    : { type: 'parked', reason: `Flow refused the proof of batch ${header.seq}, round ${round}` }
}

/** One policy a step, in order: each is only taken when the one before has signed it. */
async function followPolicies(
  { outbox, attestor, settler }: AcceptParts,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const nextEpoch = (await settler.lightClient(signal)).lastEpoch + 1
  // Flow knows who has to sign, whatever Flare's nodes have forgotten.
  const signersOf = (epoch: number) => settler.policySigners(epoch, signal)
  const proof = await attestor.policyProof(nextEpoch, signal, signersOf)
  if (proof === undefined) return 'idle'
  const way = { lanes: settler.lanes, outbox }
  await deliver(purpose.policy(nextEpoch), () => settler.policyCall(proof), way, signal)
  return 'idle'
}
