import { sha256 } from '@noble/hashes/sha2.js'
import { sha3_256 } from '@noble/hashes/sha3.js'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { ConfigError } from '../../domain/errors.js'
import type { Curve, KeySigner } from '../../ports/key-signer.js'
import type { AccountKey } from './client.js'

const CURVES: Readonly<Record<string, Curve>> = {
  ECDSA_P256: 'p256',
  ECDSA_secp256k1: 'secp256k1',
}
const HASHES = { SHA3_256: sha3_256, SHA2_256: sha256 } as const

/** Both in hex: a message to r ‖ s. */
export type SignHex = (message: string) => Promise<string>

/**
 * How a private key signs for a key of an account, by the curve and hash that the account names.
 *
 * @param name of the account's key, for messages
 * @throws ConfigError where the two do not belong together, or the account's key cannot pay; and as
 *   the port KeySigner says
 */
export async function signerFor(
  signer: KeySigner,
  key: AccountKey,
  name: string,
  signal?: AbortSignal,
): Promise<SignHex> {
  const curve = await checkKey(signer, key, name, signal)
  const digest = HASHES[key.hashingAlgorithm as keyof typeof HASHES]
  return async (message) =>
    bytesToHex(await signer.sign(curve, digest(hexToBytes(message)), signal))
}

/** Whether the two belong together and can pay. Returns the curve of both; errors as above. */
export async function checkKey(
  signer: KeySigner,
  key: AccountKey,
  name: string,
  signal?: AbortSignal,
): Promise<Curve> {
  const curve = CURVES[key.signingAlgorithm]
  if (curve === undefined || !(key.hashingAlgorithm in HASHES)) {
    const algorithms = `${key.signingAlgorithm} with ${key.hashingAlgorithm}`
    throw unusable(`${name} is of ${algorithms}, which is not known here`)
  }
  if (bytesToHex(await signer.publicKey(curve, signal)) !== key.publicKey) {
    throw unusable(`FLOW_PRIVATE_KEY is not the private key of ${name}`)
  }
  if (key.isRevoked) throw unusable(`${name} is revoked`)
  if (key.weight < FULL_WEIGHT) throw unusable(`${name} has weight ${key.weight}, not 1000`)
  return curve
}

/** What a payer's and authorizer's keys have to weigh together; one key signs here. */
export const FULL_WEIGHT = 1000

function unusable(why: string): ConfigError {
  const fix = 'Check FLOW_ACCOUNT_ADDRESS, FLOW_PRIVATE_KEY and FLOW_KEY_INDEXES.'
  return new ConfigError('flow_key_unusable', `${why}. ${fix}`)
}
