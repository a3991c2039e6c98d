import { p256 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import type { Curve } from '../ports/key-signer.js'

export const CURVES = { p256, secp256k1 } as const satisfies Record<Curve, unknown>

export const CURVE_NAMES: Readonly<Record<Curve, string>> = {
  p256: 'P-256',
  secp256k1: 'secp256k1',
}
