import { hexToBytes } from '@noble/hashes/utils.js'
import { ConfigError } from '../domain/errors.js'
import type { Curve, KeySigner } from '../ports/key-signer.js'
import { CURVE_NAMES, CURVES } from './curves.js'

/** A key in this process's memory. Deterministic (RFC 6979). */
export class LocalSigner implements KeySigner {
  readonly where = 'read from the settings, in the memory of this process'
  readonly #hex: string
  readonly #setting: string

  /** @param hex 32 bytes, with or without 0x */
  constructor(hex: string, setting: string) {
    this.#hex = hex.replace(/^0x/, '')
    this.#setting = setting
  }

  async publicKey(curve: Curve): Promise<Uint8Array> {
    return CURVES[curve].getPublicKey(this.#secret(curve), false).subarray(1)
  }

  async sign(curve: Curve, digest: Uint8Array): Promise<Uint8Array> {
    return CURVES[curve].sign(digest, this.#secret(curve), { prehash: false })
  }

  async check(curve: Curve): Promise<void> {
    this.#secret(curve)
  }

  #secret(curve: Curve): Uint8Array {
    const secret = /^[0-9a-f]{64}$/i.test(this.#hex) ? hexToBytes(this.#hex) : new Uint8Array()
    if (CURVES[curve].utils.isValidSecretKey(secret)) return secret
    const message = `${this.#setting} is not a private key of ${CURVE_NAMES[curve]}`
    throw new ConfigError('key_unusable', message)
  }
}
