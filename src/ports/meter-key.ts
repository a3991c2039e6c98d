import type { BatchHeader } from '../domain/batch.js'
import type { Hex } from '../domain/bytes.js'

/** The key that answers for the numbers. It signs headers and nothing else. */
export interface MeterKey {
  /** 20 bytes. */
  readonly address: Hex
  /**
   * The EIP-712 signature, 65 bytes r ‖ s ‖ v; not always the same bytes for the same header. A file
   * beside the key remembers (last seq, digest) before anything is returned.
   *
   * @throws ConfigError `meter_second_digest` when another header with this seq was signed before
   */
  sign(header: BatchHeader): Promise<Hex>
  /** @throws ConfigError `meter_signer_file` where the file beside it belongs to another key */
  check?(): Promise<void>
  /**
   * Goes on after a header that is anchored: the file remembers it as the last one.
   *
   * @param header absent: none is anchored, and the file is as that of a new meter
   * @param isForced also when a later one was signed, which may still be anchored
   * @throws ConfigError `meter_second_digest` when a later one was signed, and not forced
   */
  adopt?(header: BatchHeader | undefined, isForced: boolean): Promise<void>
}
