import { recoverAddress, Signature } from 'ethers'
import { fromHex, type Hash, type Hex, keccak, toHex } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'
import type { KeySigner } from '../../ports/key-signer.js'
import { openSigner } from '../../signers/index.js'

const ADDRESS_BYTES = 20

/** A key of secp256k1 as the EVM knows it: by its address. */
export class EvmKey {
  /** 20 bytes, lower case. */
  readonly address: Hex
  /** For people: where the private key is. */
  readonly where: string
  readonly #signer: KeySigner

  constructor(signer: KeySigner, publicKey: Uint8Array) {
    this.#signer = signer
    this.where = signer.where
    this.address = toHex(fromHex(keccak(publicKey)).slice(-ADDRESS_BYTES))
  }

  /**
   * @param value of the setting: the key itself, or where it is
   * @throws Error as the port KeySigner says
   */
  static async open(value: string, setting: string): Promise<EvmKey> {
    const signer = openSigner(value, setting)
    return new EvmKey(signer, await signer.publicKey('secp256k1'))
  }

  /** With what tells the address from it: r ‖ s alone fits two. */
  async sign(digest: Hash, signal?: AbortSignal): Promise<Signature> {
    const bytes = await this.#signer.sign('secp256k1', fromHex(digest), signal)
    const [r, s] = [toHex(bytes.slice(0, 32)), toHex(bytes.slice(32))]
    for (const yParity of [0, 1] as const) {
      const signature = Signature.from({ r, s, yParity })
      if (recoverAddress(digest, signature).toLowerCase() === this.address) return signature
    }
    throw new RetryableError('key_nonsense', `a signature that is not of ${this.address}`)
  }

  check(signal?: AbortSignal): Promise<void> {
    return this.#signer.check('secp256k1', signal)
  }
}
