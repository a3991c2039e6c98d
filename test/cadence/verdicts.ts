import { secp256k1 } from '@noble/curves/secp256k1.js'
import { keccak_256 } from '@noble/hashes/sha3.js'

/*
 * The light client's rules, written a second time from their description, for tests to compare the
 * contract with. It says what the contract says, word for word.
 */

export interface VoterOf {
  /** 40 lower-case hex digits. */
  readonly address: string
  readonly weight: number
}

/** What is brought as signatures of a hash. All of it hex without 0x. */
export interface Brought {
  /** 64 hex digits. */
  readonly hash: string
  readonly signers: readonly number[]
  readonly publicKeys: readonly string[]
  readonly signatures: readonly string[]
}

const PREFIX = Buffer.from('\x19Ethereum Signed Message:\n32')
const POLICY_HEAD = 43
const POLICY_VOTER = 22

/** "<weight> <refusal, or enough>" */
export function weighed(voters: readonly VoterOf[], threshold: number, brought: Brought): string {
  const { hash, signers, publicKeys, signatures } = brought
  const counts = [signers, publicKeys, signatures].map(({ length }) => length)
  if (new Set(counts).size > 1) {
    return `0 ${counts[0]} signers, ${counts[1]} keys and ${counts[2]} signatures`
  }
  let weight = 0
  let last = -1
  for (const [i, signer] of signers.entries()) {
    const voter = voters[signer]
    if (signer <= last || voter === undefined) {
      return `${weight} Signer ${signer} is out of order, or not one of ${voters.length}`
    }
    const key = publicKeys[i] ?? ''
    if (keccakHex(key).slice(24) !== voter.address) {
      return `${weight} The public key is not that of voter ${signer}`
    }
    if (!isSigned(key, signatures[i] ?? '', hash)) {
      return `${weight} The signature is not one of voter ${signer}`
    }
    weight += voter.weight
    last = signer
  }
  if (weight > threshold) return `${weight} enough`
  return `${weight} A weight of ${weight} is not above the threshold of ${threshold}`
}

/** "<epoch> <start> <threshold> <voters> <what is wrong, or fine>" of a policy's bytes. */
export function policyRead(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  const stated = bytes.readUInt16BE(0)
  const epoch = bytes.readUIntBE(2, 3)
  const threshold = bytes.readUInt16BE(9)
  const voters = (bytes.length - POLICY_HEAD) / POLICY_VOTER
  const weights = Array.from({ length: voters }, (_, i) =>
    bytes.readUInt16BE(POLICY_HEAD + POLICY_VOTER * i + 20),
  )
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const head = `${epoch} ${bytes.readUInt32BE(5)} ${threshold} ${voters}`
  if (stated !== voters) return `${head} It says ${stated} voters and lists ${voters}`
  if (total > 0xffff) return `${head} The weights add up to ${total}, not below 65536`
  if (2 * threshold < total || 100 * threshold > 66 * total) {
    return `${head} A threshold of ${threshold} does not fit a weight of ${total}`
  }
  return `${head} fine`
}

const known = new Map<string, boolean>()

/** Either of the two values of s counts. Bytes that can be no signature are none. */
function isSigned(publicKey: string, signature: string, hash: string): boolean {
  const name = `${publicKey} ${signature} ${hash}`.toLowerCase()
  const before = known.get(name)
  if (before !== undefined) return before
  const digest = keccak_256(Buffer.concat([PREFIX, Buffer.from(hash, 'hex')]))
  const found = verify(publicKey, signature, digest)
  known.set(name, found)
  return found
}

function verify(publicKey: string, signature: string, digest: Uint8Array): boolean {
  if (signature.length !== 128) return false
  const key = Buffer.from(`04${publicKey}`, 'hex')
  const options = { prehash: false, lowS: false }
  try {
    return secp256k1.verify(Buffer.from(signature, 'hex'), digest, key, options)
  } catch {
    return false // r or s is zero, or not below the order.
  }
}

function keccakHex(hex: string): string {
  return Buffer.from(keccak_256(Buffer.from(hex, 'hex'))).toString('hex')
}
