import { p256 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { sha3_256 } from '@noble/hashes/sha3.js'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { ConfigError } from '../../domain/errors.js'
import type { AccountKey } from './client.js'

const CURVES = { ECDSA_P256: p256, ECDSA_secp256k1: secp256k1 } as const
const HASHES = { SHA3_256: sha3_256, SHA2_256: sha256 } as const

/** Both in hex: a message to r ‖ s. Deterministic (RFC 6979): signing again gives the same id. */
export type SignHex = (message: string) => string

/**
 * How a private key signs for a key of an account, by the curve and hash that the account names.
 *
 * @param name of the account's key, for messages
 * @throws ConfigError where the two do not belong together, or the account's key cannot pay
 */
export function signerFor(privateKey: string, key: AccountKey, name: string): SignHex {
  const curve = CURVES[key.signingAlgorithm as keyof typeof CURVES]
  const digest = HASHES[key.hashingAlgorithm as keyof typeof HASHES]
  if (curve === undefined || digest === undefined) {
    const algorithms = `${key.signingAlgorithm} with ${key.hashingAlgorithm}`
    throw unusable(`${name} is of ${algorithms}, which is not known here`)
  }
  const secret = hexToBytes(privateKey)
  if (!curve.utils.isValidSecretKey(secret)) {
    throw unusable(`FLOW_PRIVATE_KEY is not a key of ${key.signingAlgorithm}, as ${name} is`)
  }
  const publicKey = bytesToHex(curve.getPublicKey(secret, false).subarray(1))
  if (publicKey !== key.publicKey) {
    throw unusable(`FLOW_PRIVATE_KEY is not the private key of ${name}`)
  }
  if (key.isRevoked) throw unusable(`${name} is revoked`)
  if (key.weight < FULL_WEIGHT) throw unusable(`${name} has weight ${key.weight}, not 1000`)
  return (message) =>
    bytesToHex(curve.sign(digest(hexToBytes(message)), secret, { prehash: false }))
}

/** What a payer's and authorizer's keys have to weigh together; one key signs here. */
export const FULL_WEIGHT = 1000

function unusable(why: string): ConfigError {
  const fix = 'Check FLOW_ACCOUNT_ADDRESS, FLOW_PRIVATE_KEY and FLOW_KEY_INDEXES.'
  return new ConfigError('flow_key_unusable', `${why}. ${fix}`)
}
