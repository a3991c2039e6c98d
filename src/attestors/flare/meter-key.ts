import { recoverAddress, TypedDataEncoder } from 'ethers'
import type { BatchHeader } from '../../domain/batch.js'
import { type Hash, type Hex, hash } from '../../domain/bytes.js'
import { ConfigError } from '../../domain/errors.js'
import type { MeterKey } from '../../ports/meter-key.js'
import { type FlareConfig, flareSettings } from './config.js'
import { EvmKey } from './evm-key.js'
import { forgetSignerFile, readSignerFile, writeSignerFile } from './signer-file.js'

/** Design, section 3: what the anchor contract checks. */
const TYPES = {
  UsageBatch: [
    { name: 'seq', type: 'uint64' },
    { name: 'root', type: 'bytes32' },
    { name: 'prevRoot', type: 'bytes32' },
    { name: 'sealedAt', type: 'uint64' },
    { name: 'target', type: 'bytes32' },
    { name: 'manifest', type: 'bytes32' },
  ],
}

export type MeterKeyConfig = Pick<
  FlareConfig,
  'chainId' | 'anchorAddress' | 'meterKey' | 'signerFile'
>

/** The EIP-712 digest that a meter signs. */
export function headerDigest(
  { chainId, anchorAddress }: Pick<FlareConfig, 'chainId' | 'anchorAddress'>,
  header: BatchHeader,
): Hash {
  const domain = { name: 'Flowmeter', version: '1', chainId, verifyingContract: anchorAddress }
  return hash(TypedDataEncoder.hash(domain, TYPES, header))
}

/** Whose signature of a header it is; undefined where it is nobody's. */
export function signerOf(
  config: Pick<FlareConfig, 'chainId' | 'anchorAddress'>,
  header: BatchHeader,
  signature: Hex,
): Hex | undefined {
  try {
    return recoverAddress(headerDigest(config, header), signature).toLowerCase() as Hex
  } catch {
    return undefined
  }
}

/** The meter's key, with its signer file. */
export class FlareMeterKey implements MeterKey {
  readonly address: Hex
  readonly #config: MeterKeyConfig
  readonly #key: EvmKey
  /** Signatures are made one after the other: each reads what the one before it wrote. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(config: MeterKeyConfig, key: EvmKey) {
    this.#config = config
    this.#key = key
    this.address = key.address
  }

  static async open(config: MeterKeyConfig): Promise<FlareMeterKey> {
    return new FlareMeterKey(config, await EvmKey.open(config.meterKey, flareSettings.meterKey.env))
  }

  sign(header: BatchHeader): Promise<Hex> {
    const signed = this.#last.then(() => this.#sign(header))
    this.#last = signed.catch(() => {})
    return signed
  }

  async check(): Promise<void> {
    const { signerFile } = this.#config
    const memory = await readSignerFile(signerFile)
    const signer = this.#signer
    if (memory !== undefined && memory.signer !== signer) {
      throw otherSigner(signerFile, memory.signer, signer)
    }
  }

  get #signer(): string {
    const { chainId, anchorAddress } = this.#config
    return `${this.address}@${chainId}/${anchorAddress}`
  }

  async adopt(header: BatchHeader | undefined, isForced: boolean): Promise<void> {
    const { signerFile } = this.#config
    const signer = this.#signer
    const memory = isForced ? undefined : await readSignerFile(signerFile)
    if (memory !== undefined && memory.signer !== signer) {
      throw otherSigner(signerFile, memory.signer, signer)
    }
    const seq = header?.seq ?? 0n
    if (memory !== undefined && memory.seq > seq) throw signedAhead(signerFile, memory.seq, seq)
    if (header === undefined) return forgetSignerFile(signerFile)
    const digest = headerDigest(this.#config, header)
    await writeSignerFile(signerFile, { signer, seq, digest })
  }

  async #sign(header: BatchHeader): Promise<Hex> {
    const { signerFile } = this.#config
    const signer = this.#signer
    const digest = headerDigest(this.#config, header)
    const memory = await readSignerFile(signerFile)
    if (memory !== undefined) {
      if (memory.signer !== signer) throw otherSigner(signerFile, memory.signer, signer)
      const isAgain = memory.seq === header.seq && memory.digest === digest
      if (!isAgain && header.seq <= memory.seq) throw secondDigest(header.seq, memory.seq)
    }
    await writeSignerFile(signerFile, { signer, seq: header.seq, digest })
    return (await this.#key.sign(digest)).serialized as Hex
  }
}

function signedAhead(path: string, signed: bigint, anchored: bigint): ConfigError {
  const message =
    `the signer file ${path} says that batch ${signed} was signed, and ${anchored} is the last that ` +
    'is anchored: the signed one may still come. Wait until it is anchored; or, once you know that ' +
    'no other instance runs and nothing waits to be mined, say --forget-signed.'
  return new ConfigError('meter_second_digest', message)
}

function otherSigner(path: string, kept: string, actual: string): ConfigError {
  const fix = 'Set METER_SIGNER_FILE to a file of its own for every key and anchor.'
  const message = `the signer file ${path} belongs to ${kept}, not to ${actual}. ${fix}`
  return new ConfigError('meter_signer_file', message)
}

function secondDigest(seq: bigint, lastSeq: bigint): ConfigError {
  const message =
    `the meter signed batch ${lastSeq} before, and is asked for another batch ${seq}: another ` +
    'instance or a restored store. Stop the other one, or run "flowmeter adopt".'
  return new ConfigError('meter_second_digest', message)
}
