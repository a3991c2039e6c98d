import { createPublicKey } from 'node:crypto'
import type { Curve } from '../../ports/key-signer.js'
import { CURVES } from '../curves.js'

/** KMS's names of the key specs that chains use, and node's of their curves. */
const SPECS: Readonly<Record<string, { readonly curve: Curve; readonly jwk: string }>> = {
  ECC_NIST_P256: { curve: 'p256', jwk: 'P-256' },
  ECC_SECG_P256K1: { curve: 'secp256k1', jwk: 'secp256k1' },
}

export function curveOf(keySpec: string | undefined): Curve | undefined {
  return SPECS[keySpec ?? '']?.curve
}

/** x ‖ y of a SubjectPublicKeyInfo (RFC 5280); undefined where it is none of this curve. */
export function publicKeyOf(der: Uint8Array, curve: Curve): Uint8Array | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' })
    const { crv, x = '', y = '' } = key.export({ format: 'jwk' })
    const isOfCurve = Object.values(SPECS).some((one) => one.curve === curve && one.jwk === crv)
    return isOfCurve ? Buffer.concat([x, y].map((one) => Buffer.from(one, 'base64url'))) : undefined
  } catch {
    return undefined
  }
}

/**
 * r ‖ s of a DER signature, with s in the lower half: KMS takes either, and the EVM only that one.
 * Undefined where it is no signature.
 */
export function signatureOf(der: Uint8Array, curve: Curve): Uint8Array | undefined {
  const { Signature, Point } = CURVES[curve]
  try {
    const signature = Signature.fromBytes(der, 'der')
    if (!signature.hasHighS()) return signature.toBytes('compact')
    return new Signature(signature.r, Point.Fn.neg(signature.s)).toBytes('compact')
  } catch {
    return undefined
  }
}
