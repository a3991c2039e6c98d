import { AbiCoder, id, toBeHex, zeroPadValue } from 'ethers'
import {
  EVM_TRANSACTION,
  type EvmTransactionResponse,
  encodeResponse,
  nameBytes,
  TEST_FLARE,
} from '../../../devnet/flare/evm-transaction.js'
import {
  boundHash,
  FDC_PROTOCOL_ID,
  messageBytes,
  policyBytes,
  type SigningPolicy,
  signHash,
} from '../../../devnet/flare/formats.js'
import { MerkleTree } from '../../../devnet/flare/merkle.js'
import { keyOf, seedOf, thresholdOf, votersOf } from '../../../devnet/flare/voters.js'
import type { BatchHeader } from '../../../src/domain/batch.js'
import { type Hex, hash, keccak } from '../../../src/domain/bytes.js'
import type {
  AttestedAnchor,
  BatchProof,
  PolicyProof,
  PolicySignature,
} from '../../../src/domain/proof.js'

export const CHAIN_ID = 114
export const ANCHOR: Hex = `0x${'a2'.repeat(20)}`
export const METER: Hex = `0x${'3e'.repeat(20)}`
export const ROUNDS_PER_EPOCH = 1_000
/** The first policy that the light client trusts. */
export const FIRST_EPOCH = 7
const SENDER: Hex = `0x${'5e'.repeat(20)}`
const ANCHORED = id('UsageBatchAnchored(address,uint64,bytes32,bytes32,uint64,bytes32,bytes32)')

/** Starts where it nominally does: the rounds before are not used. */
export function policyOf(rewardEpochId: number): SigningPolicy {
  const voters = votersOf(rewardEpochId)
  return {
    rewardEpochId,
    startVotingRoundId: rewardEpochId * ROUNDS_PER_EPOCH,
    threshold: thresholdOf(voters),
    seed: seedOf(rewardEpochId),
    voters,
  }
}

/** A policy, signed by the voters of the one before. */
export function policyProofOf(rewardEpoch: number): PolicyProof {
  const policy = policyBytes(policyOf(rewardEpoch)) as Hex
  const signatures = signaturesBy(policyOf(rewardEpoch - 1), boundHash(CHAIN_ID, policy))
  return { rewardEpoch, policy, signatures }
}

/** What Flare's providers would say about a header that a meter had anchored. */
export function attest(
  header: BatchHeader,
  round: number,
  input: AttestedAnchor['input'],
  meter = METER,
): BatchProof {
  const attested: AttestedAnchor = {
    round,
    txHash: keccak(header.root),
    logIndex: 3,
    blockNumber: 1_000n + header.seq,
    timestamp: BigInt(header.sealedAt) + 5n,
    sourceAddress: SENDER,
    receivingAddress: ANCHOR,
    isDeployment: false,
    value: 0n,
    input,
  }
  const leaf = keccak(encodeResponse(responseOf(header, attested, meter)) as Hex)
  const tree = new MerkleTree([leaf, id(`other ${round}`), id(`another ${round}`)])
  const rewardEpoch = Math.floor(round / ROUNDS_PER_EPOCH)
  const message = messageBytes({
    protocolId: FDC_PROTOCOL_ID,
    votingRoundId: round,
    isSecureRandom: false,
    merkleRoot: tree.root,
  })
  const signatures = signaturesBy(policyOf(rewardEpoch), boundHash(CHAIN_ID, message))
  return {
    header,
    meter,
    attested,
    path: tree.proof(leaf).map(hash),
    rootProof: { round, root: hash(tree.root), rewardEpoch, signatures },
  }
}

function responseOf(
  header: BatchHeader,
  attested: AttestedAnchor,
  meter: Hex,
): EvmTransactionResponse {
  const logIndex = String(attested.logIndex)
  const data = AbiCoder.defaultAbiCoder().encode(
    ['bytes32', 'uint64', 'bytes32', 'bytes32'],
    [header.prevRoot, header.sealedAt, header.target, header.manifest],
  )
  const topics = [ANCHORED, zeroPadValue(meter, 32), toBeHex(header.seq, 32), header.root]
  return {
    attestationType: nameBytes(EVM_TRANSACTION),
    sourceId: nameBytes(TEST_FLARE),
    votingRound: String(attested.round),
    lowestUsedTimestamp: String(attested.timestamp),
    requestBody: {
      transactionHash: attested.txHash,
      requiredConfirmations: '1',
      provideInput: false,
      listEvents: true,
      logIndices: [logIndex],
    },
    responseBody: {
      blockNumber: String(attested.blockNumber),
      timestamp: String(attested.timestamp),
      sourceAddress: attested.sourceAddress,
      isDeployment: attested.isDeployment,
      receivingAddress: attested.receivingAddress,
      value: String(attested.value),
      input: attested.input === 'zero_byte' ? '0x00' : '0x',
      status: '1',
      events: [{ logIndex, emitterAddress: ANCHOR, topics, data, removed: false }],
    },
  }
}

/** The fewest voters, heaviest first in the policy, whose weight is above the threshold. */
function signaturesBy({ voters, threshold }: SigningPolicy, bound: string): PolicySignature[] {
  const signatures: PolicySignature[] = []
  let weight = 0
  for (const [index, voter] of voters.entries()) {
    if (weight > threshold) break
    weight += voter.weight
    const key = keyOf(voter.address)
    const { r, s } = signHash(key, bound)
    const publicKey = `0x${key.publicKey.slice(4)}` as Hex
    signatures.push({ index, publicKey, signature: `${r}${s.slice(2)}` as Hex })
  }
  return signatures
}
