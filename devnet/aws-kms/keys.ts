import { createPublicKey, randomBytes, randomUUID } from 'node:crypto'
import { p256 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'

/** KMS's names. Symmetric keys cannot sign; they are here to be refused. */
export type KeySpec = 'ECC_NIST_P256' | 'ECC_SECG_P256K1' | 'SYMMETRIC_DEFAULT'
export type KeyState = 'Enabled' | 'Disabled' | 'PendingDeletion' | 'Creating'

const CURVES = {
  ECC_NIST_P256: { curve: p256, jwk: 'P-256' },
  ECC_SECG_P256K1: { curve: secp256k1, jwk: 'secp256k1' },
}
const POINT_BYTES = 32

export interface KmsKey {
  readonly arn: string
  readonly keyId: string
  readonly spec: KeySpec
  readonly secret: Uint8Array
  state: KeyState
}

export function newKey(
  spec: KeySpec,
  region: string,
  secret: Uint8Array = randomBytes(POINT_BYTES),
): KmsKey {
  const keyId = randomUUID()
  const arn = `arn:aws:kms:${region}:111122223333:key/${keyId}`
  return { arn, keyId, spec, secret, state: 'Enabled' }
}

/** SubjectPublicKeyInfo in DER. */
export function publicKeyOf({ spec, secret }: KmsKey): Buffer {
  const { curve, jwk } = ellipticOf(spec)
  const point = curve.getPublicKey(secret, false).subarray(1)
  const [x, y] = [point.subarray(0, POINT_BYTES), point.subarray(POINT_BYTES)].map((part) =>
    Buffer.from(part).toString('base64url'),
  )
  const key = { kty: 'EC', crv: jwk, x: x ?? '', y: y ?? '' }
  return createPublicKey({ key, format: 'jwk' }).export({ format: 'der', type: 'spki' })
}

/**
 * As KMS signs: another signature each time (it is not deterministic), in DER, and with s in either
 * half.
 */
export function signDigest({ spec, secret }: KmsKey, digest: Uint8Array, isHigh: boolean): Buffer {
  const { curve } = ellipticOf(spec)
  const bytes = curve.sign(digest, secret, {
    prehash: false,
    lowS: true,
    extraEntropy: randomBytes(POINT_BYTES),
  })
  const r = bigIntOf(bytes.subarray(0, POINT_BYTES))
  const s = bigIntOf(bytes.subarray(POINT_BYTES))
  return sequence([r, isHigh ? curve.Point.CURVE().n - s : s].map(integer))
}

export function isElliptic(spec: KeySpec): boolean {
  return spec in CURVES
}

function ellipticOf(spec: KeySpec) {
  if (spec === 'SYMMETRIC_DEFAULT') throw new Error('a symmetric key has no curve')
  return CURVES[spec]
}

function bigIntOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

/** Shortest form, with a zero in front where the first bit would read as a sign. */
function integer(value: bigint): Buffer {
  const hex = value.toString(16)
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  const body = (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes
  return Buffer.concat([Buffer.of(0x02, body.length), body])
}

function sequence(parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(0x30, body.length), body])
}
