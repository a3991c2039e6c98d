import type { BatchHeader } from '../../../../src/domain/batch.js'
import { type Hash, type Hex, join, keccak, utf8 } from '../../../../src/domain/bytes.js'
import { ConfigError } from '../../../../src/domain/errors.js'
import type { MeterKey } from '../../../../src/ports/meter-key.js'
import { encode } from '../../../../src/store/json.js'

/**
 * Signs like a key whose signatures cannot be made without it, as nobody here tries: 32 bytes that
 * depend on the key and the header, and the address.
 */
export class ModelMeterKey implements MeterKey {
  readonly address: Hex
  /** What the file beside the key remembers: outlives the process. */
  readonly digests = new Map<bigint, Hash>()

  constructor(name: string) {
    this.address = keccak(utf8(`meter ${name}`)).slice(0, 42) as Hex
  }

  async sign(header: BatchHeader): Promise<Hex> {
    const digest = digestOf(header)
    const before = this.digests.get(header.seq)
    if (before !== undefined && before !== digest) {
      throw new ConfigError('meter_second_digest', `batch ${header.seq} was signed before`)
    }
    this.digests.set(header.seq, digest)
    return join(macOf(this.address, digest), this.address, `0x${'00'.repeat(12)}`, '0x1b')
  }
}

export function digestOf(header: BatchHeader): Hash {
  return keccak(utf8(encode(header)))
}

/** Whose signature it is; nobody's meter when it is of none. */
export function meterOf(header: BatchHeader, signature: Hex): Hex {
  const address: Hex = `0x${signature.slice(66, 106)}`
  const isGood = signature.startsWith(macOf(address, digestOf(header)))
  return isGood ? address : `0x${'00'.repeat(20)}`
}

function macOf(address: Hex, digest: Hash): Hash {
  return keccak(address, digest)
}
