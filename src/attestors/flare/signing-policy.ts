import { SigningKey } from 'ethers'
import {
  type Hash,
  type Hex,
  hash,
  join,
  keccak,
  u8,
  u32,
  u256,
  utf8,
  ZERO_HASH,
} from '../../domain/bytes.js'
import type { PolicySignature, PolicySigners } from '../../domain/proof.js'

/*
 * The bytes that Flare's voters sign, and their signatures. All big-endian:
 * policy = voters u16 ‖ reward epoch u24 ‖ start u32 ‖ threshold u16 ‖ seed 32 ‖ (address ‖ weight u16)…
 * message = protocol u8 ‖ round u32 ‖ isSecureRandom u8 ‖ root 32
 * submitSignatures() = selector ‖ (protocol u8 ‖ round u32 ‖ size u16 ‖ payload)…
 * payload = 0 ‖ message ‖ v ‖ r ‖ s ‖ …, or 1 ‖ v ‖ r ‖ s ‖ …
 * relay() = selector ‖ policy ‖ message ‖ count u16 ‖ (v ‖ r ‖ s ‖ index u16)…
 */

/** FDC among the protocols whose roots the Relay keeps. */
export const FDC_PROTOCOL_ID = 200

const POLICY_HEAD = 43
const POLICY_VOTER = 22
const MESSAGE = 38
const VOTE = 67
const RELAY_SELECTOR = 'b59589d1'
const SUBMIT_SELECTOR = '57eed580'
const SUBMITTED_HEAD = 7
const SIGNATURE = 65
/** One for each protocol that a provider takes part in: on Flare some three. */
const SUBMITTED_MAX = 64
const SIGN_POLICY_SELECTOR = '6b4c7bd6'
const SIGN_POLICY_CALL = 4 + 5 * 32
const EIP191_PREFIX = utf8('\x19Ethereum Signed Message:\n32')
/** As many as Flare lets a policy have; the light client refuses more, too. */
const VOTERS_MAX = 300
/**
 * Places of a selector that are looked at in one input. An honest one has one, or a few by chance;
 * whoever sends the transaction writes its input, and reading all of a hostile one takes minutes.
 */
const CALLS_MAX = 256
const REWARD_EPOCHS = 1n << 24n
/** The order of secp256k1. Of s and its negative, Cadence and newer Relays take the lower. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/**
 * How hashes are bound to a chain. `bound` (since Relay v2): keccak of chain id and content.
 * `legacy`: of the content alone, a policy folded word by word.
 */
export type DigestScheme = 'bound' | 'legacy'

export interface SigningPolicy extends PolicySigners {
  readonly bytes: Hex
  readonly rewardEpoch: number
  readonly startRound: number
}

/** A signature before anybody looked at it. Without index, the signer is looked up by address. */
export interface Vote {
  readonly index?: number
  readonly v: number
  readonly r: Hex
  readonly s: Hex
}

/** A call of `relay()` with a protocol's message. */
export interface RelayCall {
  readonly policy: SigningPolicy
  readonly message: Hex
  readonly protocolId: number
  readonly round: number
  readonly root: Hash
  readonly votes: readonly Vote[]
}

/** A call of `signNewSigningPolicy()`. */
export interface PolicyVote extends Vote {
  readonly rewardEpoch: number
  readonly policyHash: Hash
}

/** Reads a policy off the front; undefined when there is none. */
export function readPolicy(data: Hex): SigningPolicy | undefined {
  if (sizeOf(data) < POLICY_HEAD) return undefined
  const count = uint(data, 0, 2)
  const size = POLICY_HEAD + POLICY_VOTER * count
  if (count === 0 || count > VOTERS_MAX || sizeOf(data) < size) return undefined
  const voters = Array.from({ length: count }, (_, i) => {
    const at = POLICY_HEAD + POLICY_VOTER * i
    return { address: cut(data, at, at + 20), weight: uint(data, at + 20, 2) }
  })
  return {
    bytes: cut(data, 0, size),
    rewardEpoch: uint(data, 2, 3),
    startRound: uint(data, 5, 4),
    threshold: uint(data, 9, 2),
    voters,
  }
}

export function policyHash(policy: Hex, scheme: DigestScheme, chainId: number): Hash {
  return scheme === 'bound' ? keccak(u256(chainId), policy) : foldedHash(policy)
}

/** What voters sign for a root of FDC, whose rounds have no random number. */
export function fdcMessage(round: number, root: Hash): Hex {
  return join(u8(FDC_PROTOCOL_ID), u32(round), u8(0), root)
}

export function messageHash(message: Hex, scheme: DigestScheme, chainId: number): Hash {
  return scheme === 'bound' ? keccak(u256(chainId), message) : keccak(message)
}

/** Which scheme gives the hash that the Relay holds for this policy; undefined: not that policy. */
export function schemeOf(policy: Hex, onChain: Hash, chainId: number): DigestScheme | undefined {
  const schemes: readonly DigestScheme[] = ['bound', 'legacy']
  return schemes.find((scheme) => policyHash(policy, scheme, chainId) === onChain)
}

/** What ECDSA signs for a hash of ours. */
export function digestOf(pre: Hash): Hash {
  return keccak(EIP191_PREFIX, pre)
}

/**
 * Every `relay()` call with a message in a transaction's input, be it the input itself or wrapped
 * in the call of another contract.
 */
export function relayCallsIn(input: Hex): RelayCall[] {
  return callsIn(input, RELAY_SELECTOR).flatMap((call) => readRelayCall(call) ?? [])
}

/**
 * What an input of `submitSignatures()` brings for a round of FDC: of several the last, as on Flare.
 * Its message, where it has one, is not looked at: the caller knows what has to be signed.
 */
export function submittedVote(input: Hex, round: number): Vote | undefined {
  if (!input.startsWith(`0x${SUBMIT_SELECTOR}`)) return undefined
  const size = sizeOf(input)
  let vote: Vote | undefined
  let at = 4
  for (let i = 0; i < SUBMITTED_MAX && at + SUBMITTED_HEAD <= size; i += 1) {
    const start = at + SUBMITTED_HEAD
    const end = start + uint(input, at + 5, 2)
    const isOurs = uint(input, at, 1) === FDC_PROTOCOL_ID && uint(input, at + 1, 4) === round
    if (isOurs && end <= size) vote = readSubmitted(cut(input, start, end)) ?? vote
    at = end
  }
  return vote
}

function readSubmitted(payload: Hex): Vote | undefined {
  const type = sizeOf(payload) > 0 ? uint(payload, 0, 1) : undefined
  if (type !== 0 && type !== 1) return undefined
  const at = type === 0 ? 1 + MESSAGE : 1
  if (sizeOf(payload) < at + SIGNATURE) return undefined
  return {
    v: uint(payload, at, 1),
    r: cut(payload, at + 1, at + 33),
    s: cut(payload, at + 33, at + SIGNATURE),
  }
}

/**
 * Every `signNewSigningPolicy()` call in a transaction's input. Anybody may bring a voter's signature,
 * with whatever else in the input: what the manager could not have taken is left out.
 */
export function policyVotesIn(input: Hex): PolicyVote[] {
  return callsIn(input, SIGN_POLICY_SELECTOR).flatMap((call) => {
    if (sizeOf(call) < SIGN_POLICY_CALL) return []
    const word = (i: number): Hex => cut(call, 4 + 32 * i, 36 + 32 * i)
    const [rewardEpoch, v] = [BigInt(word(0)), BigInt(word(2))]
    if (rewardEpoch >= REWARD_EPOCHS || (v !== 27n && v !== 28n)) return []
    const numbers = { rewardEpoch: Number(rewardEpoch), v: Number(v) }
    return { ...numbers, policyHash: hash(word(1)), r: word(3), s: word(4) }
  })
}

/**
 * The fewest valid signatures whose weight exceeds the policy's threshold, the heaviest voters
 * first, then in the order of their indices; undefined when all of them together are too light.
 * A Relay stops reading when it has enough, so what follows may be rubbish: that is left out.
 */
export function enoughSignatures(
  policy: PolicySigners,
  digest: Hash,
  votes: readonly Vote[],
): PolicySignature[] | undefined {
  return fewestOf(policy, validSignatures(policy, digest, votes))
}

/** One for each voter that signed, by its index. */
export function validSignatures(
  policy: PolicySigners,
  digest: Hash,
  votes: readonly Vote[],
): Map<number, PolicySignature> {
  const valid = new Map<number, PolicySignature>()
  for (const vote of votes) {
    const signature = checkedVote(policy, digest, vote)
    if (signature !== undefined) valid.set(signature.index, signature)
  }
  return valid
}

/** See `enoughSignatures`. */
export function fewestOf(
  policy: PolicySigners,
  valid: ReadonlyMap<number, PolicySignature>,
): PolicySignature[] | undefined {
  const weightOf = ({ index }: PolicySignature): number => policy.voters[index]?.weight ?? 0
  const chosen: PolicySignature[] = []
  let weight = 0
  for (const signature of [...valid.values()].sort((a, b) => weightOf(b) - weightOf(a))) {
    if (weight > policy.threshold) break
    chosen.push(signature)
    weight += weightOf(signature)
  }
  return weight > policy.threshold ? chosen.sort((a, b) => a.index - b.index) : undefined
}

function checkedVote(policy: PolicySigners, digest: Hash, vote: Vote): PolicySignature | undefined {
  const isHigh = BigInt(vote.s) > ORDER / 2n
  // The negative of s with the other v is the same signer's signature of the same digest.
  const s = isHigh && BigInt(vote.s) < ORDER ? u256(ORDER - BigInt(vote.s)) : vote.s
  const v = isHigh ? 55 - vote.v : vote.v
  const publicKey = recover(digest, { v, r: vote.r, s })
  if (publicKey === undefined) return undefined
  const signer = `0x${keccak(publicKey).slice(-40)}`
  const index = vote.index ?? policy.voters.findIndex(({ address }) => address === signer)
  if (policy.voters[index]?.address !== signer) return undefined
  return { index, publicKey, signature: join(vote.r, s) }
}

/** 64 bytes x ‖ y. */
function recover(digest: Hash, { v, r, s }: { v: number; r: Hex; s: Hex }): Hex | undefined {
  if (v !== 27 && v !== 28) return undefined
  try {
    return cut(SigningKey.recoverPublicKey(digest, { v, r, s }) as Hex, 1)
  } catch {
    return undefined // Not on the curve: nobody's signature.
  }
}

function readRelayCall(call: Hex): RelayCall | undefined {
  const policy = readPolicy(cut(call, 4))
  if (policy === undefined) return undefined
  const rest = cut(call, 4 + sizeOf(policy.bytes))
  // A protocol id of 0 stands for a new policy, which only Relays on other chains take.
  if (sizeOf(rest) < MESSAGE + 2 || uint(rest, 0, 1) === 0) return undefined
  return {
    policy,
    message: cut(rest, 0, MESSAGE),
    protocolId: uint(rest, 0, 1),
    round: uint(rest, 1, 4),
    root: hash(cut(rest, 6, MESSAGE)),
    votes: readVotes(cut(rest, MESSAGE)),
  }
}

function readVotes(data: Hex): Vote[] {
  const count = Math.min(uint(data, 0, 2), Math.floor((sizeOf(data) - 2) / VOTE))
  return Array.from({ length: count }, (_, i): Vote => {
    const vote = cut(data, 2 + VOTE * i, 2 + VOTE * (i + 1))
    return {
      v: uint(vote, 0, 1),
      r: cut(vote, 1, 33),
      s: cut(vote, 33, 65),
      index: uint(vote, 65, 2),
    }
  })
}

/** The input from each place on at which the selector stands: of too many, the first and the last. */
function callsIn(input: Hex, selector: string): Hex[] {
  const places: number[] = []
  for (let at = input.indexOf(selector); at !== -1; at = input.indexOf(selector, at + 1)) {
    if (at % 2 === 0) places.push(at)
  }
  const half = CALLS_MAX / 2
  const looked =
    places.length > CALLS_MAX ? [...places.slice(0, half), ...places.slice(-half)] : places
  return looked.map((at) => `0x${input.slice(at)}` as const)
}

/** Padded to whole words; h = keccak(h ‖ word). */
function foldedHash(content: Hex): Hash {
  const digits = content.slice(2)
  const padded = digits.padEnd(Math.ceil(digits.length / 64) * 64, '0')
  const [first, ...others] = (padded.match(/.{64}/g) ?? []).map((word) => hash(`0x${word}`))
  return others.reduce((folded, word) => keccak(folded, word), first ?? ZERO_HASH)
}

function sizeOf(data: Hex): number {
  return (data.length - 2) / 2
}

function cut(data: Hex, from: number, until?: number): Hex {
  return `0x${data.slice(2 + 2 * from, until === undefined ? undefined : 2 + 2 * until)}`
}

function uint(data: Hex, at: number, size: number): number {
  return Number(cut(data, at, at + size))
}
