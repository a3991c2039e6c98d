import type { BatchHeader } from '../../domain/batch.js'
import type { BatchProof, EntryRun, PolicyProof, PolicySignature } from '../../domain/proof.js'
import type { Call } from '../../ports/lane.js'
import {
  array,
  bool,
  type CadenceValue,
  hashes,
  hexDigits,
  uint,
  uintOfBytes,
} from './json-cadence.js'
import type { FlowCallBody } from './lane.js'

/** What every attestation is asked for with, and FDC repeats in its answer. */
const REQUIRED_CONFIRMATIONS = 1

/** Parameters as in cadence/transactions/anybody/submit_policy.cdc. */
export function policyCall({ rewardEpoch, policy, signatures }: PolicyProof): Call {
  const args = [hexDigits(policy), ...signatureArgs(signatures)]
  return call(`install signing policy ${rewardEpoch}`, 'anybody/submit_policy', args)
}

/** Parameters as in cadence/transactions/anybody/accept_batch.cdc. */
export function acceptCall(
  provider: bigint,
  { header, attested, path, rootProof }: BatchProof,
): Call {
  const args = [
    uint('UInt64', provider),
    uint('UInt32', rootProof.round),
    uintOfBytes('UInt256', rootProof.root),
    ...signatureArgs(rootProof.signatures),
    hashes(path),
    uint('UInt64', header.seq),
    uintOfBytes('UInt256', header.root),
    uintOfBytes('UInt256', header.prevRoot),
    uint('UInt64', header.sealedAt),
    uintOfBytes('UInt256', header.manifest),
    uint('UInt64', attested.timestamp), // Of EVMTransaction, the lowest used timestamp.
    uintOfBytes('UInt256', attested.txHash),
    uint('UInt16', REQUIRED_CONFIRMATIONS),
    uint('UInt32', attested.logIndex),
    uint('UInt64', attested.blockNumber),
    uint('UInt64', attested.timestamp),
    uintOfBytes('UInt256', attested.sourceAddress),
    bool(attested.isDeployment),
    uintOfBytes('UInt256', attested.receivingAddress),
    uint('UInt256', attested.value),
    bool(attested.input === 'zero_byte'),
  ]
  return call(`accept batch ${header.seq}`, 'anybody/accept_batch', args)
}

/** Parameters as in cadence/transactions/anybody/settle_runs.cdc. */
export function settleCall(provider: bigint, header: BatchHeader, runs: readonly EntryRun[]): Call {
  const args = [
    uint('UInt64', provider),
    array(runs.map(() => uint('UInt64', header.seq))),
    array(runs.map(({ leavesBefore }) => hashes(leavesBefore))),
    array(runs.map(({ entries }) => array(entries.map((entry) => uintOfBytes('UInt', entry))))),
    array(runs.map(({ leavesAfter }) => hashes(leavesAfter))),
    array(runs.map(({ path }) => hashes(path))),
  ]
  const count = runs.reduce((sum, { entries }) => sum + entries.length, 0)
  return call(`settle ${count} entries of batch ${header.seq}`, 'anybody/settle_runs', args)
}

/** Positions, public keys, signatures: an array each. */
function signatureArgs(signatures: readonly PolicySignature[]): CadenceValue[] {
  return [
    array(signatures.map(({ index }) => uint('UInt16', index))),
    array(signatures.map(({ publicKey }) => hexDigits(publicKey))),
    array(signatures.map(({ signature }) => hexDigits(signature))),
  ]
}

function call(what: string, transaction: string, args: readonly CadenceValue[]): Call {
  const body: FlowCallBody = { transaction, args }
  return { what, body }
}
