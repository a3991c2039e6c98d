import { awsKmsKey } from '../domain/key-reference.js'
import type { KeySigner } from '../ports/key-signer.js'
import { AwsKmsSigner } from './aws-kms/signer.js'
import { LocalSigner } from './local.js'

/**
 * Whoever signs with the key that a setting names: hex digits are the key itself. Nothing is loaded
 * and nobody asked before the first use.
 *
 * @param setting for messages: its variable
 */
export function openSigner(value: string, setting: string): KeySigner {
  const kmsKey = awsKmsKey(value)
  return kmsKey === undefined ? new LocalSigner(value, setting) : new AwsKmsSigner(kmsKey, setting)
}
