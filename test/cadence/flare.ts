import { secp256k1 } from '@noble/curves/secp256k1.js'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { array, type CadenceValue, string, uint } from '../../devnet/flow/cadence-json.js'

/** Flare's voters as tests play them: private keys 1, 2, 3, …, as in the vectors. */

export interface PolicyParts {
  readonly epoch: number
  readonly startRound: number
  readonly threshold: number
  /** Weight of voter key 1, 2, 3, … */
  readonly weights: readonly number[]
}

/** The voters of policy A in the vectors. */
export const VOTERS_A = { threshold: 32_768, weights: [30_000, 20_000, 15_535] }

/**
 * Weights of so many voters that sum to 65535, as on Flare. The first `exact` of them weigh about
 * half together, and the same each; the others share the rest.
 */
export function weightsOf(voters: number, exact: number): number[] {
  const each = Math.floor(33_000 / exact)
  const others = Math.floor((65_535 - each * exact) / (voters - exact))
  const weights = Array.from({ length: voters }, (_, i) => (i < exact ? each : others))
  const last = 65_535 - weights.slice(0, -1).reduce((sum, weight) => sum + weight, 0)
  return weights.with(-1, last)
}

/** A signer's position in the policy and the key it signs with. */
export interface SignerOf {
  readonly index: number
  readonly key: number
}

const privateKey = (key: number): Uint8Array => Buffer.from(hex(BigInt(key), 32), 'hex')

const publicKeys = new Map<number, string>()

/** x and y, 128 hex digits. */
export function publicKey(key: number): string {
  const known =
    publicKeys.get(key) ??
    Buffer.from(secp256k1.getPublicKey(privateKey(key), false).subarray(1)).toString('hex')
  publicKeys.set(key, known)
  return known
}

export function voterAddress(key: number): string {
  return keccakHex(publicKey(key)).slice(24)
}

/** The bytes of a signing policy, hex without 0x. */
export function policyHex({ epoch, startRound, threshold, weights }: PolicyParts): string {
  const voters = weights.map((weight, i) => voterAddress(i + 1) + hex(BigInt(weight), 2))
  const head = [hex(BigInt(weights.length), 2), hex(BigInt(epoch), 3), hex(BigInt(startRound), 4)]
  return [...head, hex(BigInt(threshold), 2), hex(0x1234n, 32), ...voters].join('')
}

/** What is signed for a policy: bound to the chain id, or folded as before. */
export function policyHash(policy: string, chainId: bigint | null): string {
  if (chainId !== null) return keccakHex(hex(chainId, 32) + policy)
  const words = policy.padEnd(Math.ceil(policy.length / 64) * 64, '0')
  let hash = keccakHex(words.slice(0, 128))
  for (let at = 128; at < words.length; at += 64) {
    hash = keccakHex(hash + words.slice(at, at + 64))
  }
  return hash
}

/** What is signed for a round's root of FDC. */
export function messageHash(round: number, merkleRoot: bigint, chainId: bigint | null): string {
  const message = `c8${hex(BigInt(round), 4)}00${hex(merkleRoot, 32)}`
  return keccakHex(chainId === null ? message : hex(chainId, 32) + message)
}

/** r and s of a voter over a hash, as wallets sign 32 bytes. */
export function sign(key: number, hash: string): string {
  const prefix = Buffer.from('\x19Ethereum Signed Message:\n32')
  const digest = keccak_256(Buffer.concat([prefix, Buffer.from(hash, 'hex')]))
  return Buffer.from(secp256k1.sign(digest, privateKey(key), { prehash: false })).toString('hex')
}

/** The arguments `signers, publicKeys, signatures`. A number signs at its own position. */
export function signatures(hash: string, by: readonly (number | SignerOf)[]): CadenceValue[] {
  const signers = by.map((one) => (typeof one === 'number' ? { index: one, key: one + 1 } : one))
  return [
    array(signers.map(({ index }) => uint('UInt16', index))),
    array(signers.map(({ key }) => string(publicKey(key)))),
    array(signers.map(({ key }) => string(sign(key, hash)))),
  ]
}

function keccakHex(bytes: string): string {
  return Buffer.from(keccak_256(Buffer.from(bytes, 'hex'))).toString('hex')
}

function hex(value: bigint, bytes: number): string {
  return value.toString(16).padStart(bytes * 2, '0')
}
