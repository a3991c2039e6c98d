import { concat, dataLength, hashMessage, keccak256, type SigningKey, toBeHex } from 'ethers'

/** FDC's number among the protocols whose roots the Relay keeps. */
export const FDC_PROTOCOL_ID = 200

const RELAY_SELECTOR = '0xb59589d1'
const SUBMIT_SIGNATURES_SELECTOR = '0x57eed580'

export interface Voter {
  readonly address: string
  readonly weight: number
}

/** Who signs for the rounds from `startVotingRoundId` on. */
export interface SigningPolicy {
  readonly rewardEpochId: number
  readonly startVotingRoundId: number
  /** The weight that signatures have to exceed. */
  readonly threshold: number
  readonly seed: bigint
  readonly voters: readonly Voter[]
}

export interface RoundMessage {
  readonly protocolId: number
  readonly votingRoundId: number
  readonly isSecureRandom: boolean
  readonly merkleRoot: string
}

/** A voter's signature, with the voter's index in the policy. */
export interface IndexedSignature {
  readonly v: number
  readonly r: string
  readonly s: string
  readonly index: number
}

/** 43 bytes and 22 for each voter, big-endian. */
export function policyBytes(policy: SigningPolicy): string {
  return concat([
    toBeHex(policy.voters.length, 2),
    toBeHex(policy.rewardEpochId, 3),
    toBeHex(policy.startVotingRoundId, 4),
    toBeHex(policy.threshold, 2),
    toBeHex(policy.seed, 32),
    ...policy.voters.flatMap(({ address, weight }) => [address, toBeHex(weight, 2)]),
  ])
}

/** 38 bytes, big-endian. */
export function messageBytes(message: RoundMessage): string {
  return concat([
    toBeHex(message.protocolId, 1),
    toBeHex(message.votingRoundId, 4),
    toBeHex(message.isSecureRandom ? 1 : 0, 1),
    message.merkleRoot,
  ])
}

/** `bound` to a chain id since Flare's second Relay; `older` before. */
export type Digests = 'older' | 'bound'

/** What is signed for a policy's bytes, before the EIP-191 prefix. */
export function policyHash(digests: Digests, chainId: number, policy: string): string {
  if (digests === 'bound') return boundHash(chainId, policy)
  const digits = policy.slice(2)
  const words = digits.padEnd(Math.ceil(digits.length / 64) * 64, '0').match(/.{64}/g) ?? []
  return words
    .map((word) => `0x${word}`)
    .reduce((folded, word) => keccak256(concat([folded, word])))
}

/** What is signed for a message's bytes, before the EIP-191 prefix. */
export function messageHash(digests: Digests, chainId: number, message: string): string {
  return digests === 'bound' ? boundHash(chainId, message) : keccak256(message)
}

/** What is signed for a policy or a message, before the EIP-191 prefix. Names the chain. */
export function boundHash(chainId: number, bytes: string): string {
  return keccak256(concat([toBeHex(chainId, 32), bytes]))
}

/** Signs a bound hash as voters do: over its EIP-191 digest, with v 27 or 28 and low s. */
export function signHash(key: SigningKey, hash: string): Omit<IndexedSignature, 'index'> {
  const { v, r, s } = key.sign(hashMessage(bytesOf(hash)))
  return { v, r, s }
}

/** Calldata of `Relay.relay()` for a message. The signatures have to ascend by index. */
export function relayCalldata(
  policy: string,
  message: string,
  signatures: readonly IndexedSignature[],
): string {
  const packed = signatures.map(({ v, r, s, index }) =>
    concat([toBeHex(v, 1), r, s, toBeHex(index, 2)]),
  )
  return concat([RELAY_SELECTOR, policy, message, toBeHex(signatures.length, 2), ...packed])
}

/**
 * Calldata of `Submission.submitSignatures()` for a provider's signature: after the selector come
 * entries of protocol u8, round u32, size u16 and payload. A payload of type 0 has the message.
 */
export function submissionCalldata(
  { protocolId, votingRoundId }: Pick<RoundMessage, 'protocolId' | 'votingRoundId'>,
  { v, r, s }: Omit<IndexedSignature, 'index'>,
  message?: string,
): string {
  const kind = message === undefined ? ['0x01'] : ['0x00', message]
  const payload = concat([...kind, toBeHex(v, 1), r, s])
  const head = [toBeHex(protocolId, 1), toBeHex(votingRoundId, 4), toBeHex(dataLength(payload), 2)]
  return concat([SUBMIT_SIGNATURES_SELECTOR, ...head, payload])
}

function bytesOf(hash: string): Uint8Array {
  if (dataLength(hash) !== 32) throw new Error(`not a hash: ${hash}`)
  return Buffer.from(hash.slice(2), 'hex')
}
