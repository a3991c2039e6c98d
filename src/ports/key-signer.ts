/** Of the chains' keys. */
export type Curve = 'secp256k1' | 'p256'

/** A private key, wherever it is. What it signs are digests of 32 bytes. */
export interface KeySigner {
  /** For people: where the private key is. */
  readonly where: string
  /**
   * x ‖ y, 64 bytes.
   *
   * @throws ConfigError `key_unusable` where it is no key of this curve, `key_denied` where we may not use it
   * @throws RetryableError `key_unreachable`, `key_throttled`
   */
  publicKey(curve: Curve, signal?: AbortSignal): Promise<Uint8Array>
  /**
   * r ‖ s, 64 bytes, with s in the lower half, valid under `publicKey`. Not always the same bytes for
   * the same digest: who needs them again keeps them. Errors as above, and RetryableError
   * `key_nonsense`.
   */
  sign(curve: Curve, digest: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>
  /** Whether `sign` would be let, without signing anything. Errors as above. */
  check(curve: Curve, signal?: AbortSignal): Promise<void>
}
