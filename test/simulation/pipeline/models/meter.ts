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
  /** All that was ever signed, by number. */
  readonly signed = new Map<bigint, Set<Hash>>()
  /** What the file beside the key remembers: outlives the process, and the store. */
  #last: { readonly seq: bigint; readonly digest: Hash } | undefined

  constructor(name: string) {
    this.address = keccak(utf8(`meter ${name}`)).slice(0, 42) as Hex
  }

  async sign(header: BatchHeader): Promise<Hex> {
    const { seq } = header
    const digest = digestOf(header)
    const last = this.#last
    const isAgain = last?.seq === seq && last.digest === digest
    if (last !== undefined && !isAgain && seq <= last.seq) {
      throw new ConfigError('meter_second_digest', `batch ${last.seq} was signed before`)
    }
    this.#last = { seq, digest }
    this.signed.set(seq, (this.signed.get(seq) ?? new Set()).add(digest))
    return join(macOf(this.address, digest), this.address, `0x${'00'.repeat(12)}`, '0x1b')
  }

  async adopt(header: BatchHeader | undefined, isForced: boolean): Promise<void> {
    const last = this.#last
    if (!isForced && last !== undefined && last.seq > (header?.seq ?? 0n)) {
      throw new ConfigError('meter_second_digest', `batch ${last.seq} was signed, and may come`)
    }
    this.#last = header && { seq: header.seq, digest: digestOf(header) }
  }
}

export function digestOf(header: BatchHeader): Hash {
  return keccak(utf8(encode(header)))
}

export const NOBODY: Hex = `0x${'00'.repeat(20)}`

/** Whose signature it is; nobody's meter when it is of none. */
export function meterOf(header: BatchHeader, signature: Hex): Hex {
  const address: Hex = `0x${signature.slice(66, 106)}`
  const isGood = signature.startsWith(macOf(address, digestOf(header)))
  return isGood ? address : NOBODY
}

function macOf(address: Hex, digest: Hash): Hash {
  return keccak(address, digest)
}
