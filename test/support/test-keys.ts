import { secp256k1 } from '@noble/curves/secp256k1.js'
import { EvmKey } from '../../src/attestors/flare/evm-key.js'
import { FlareMeterKey, type MeterKeyConfig } from '../../src/attestors/flare/meter-key.js'
import { fromHex, type Hex } from '../../src/domain/bytes.js'
import { openSigner } from '../../src/signers/index.js'

/** A key of a test, at once: a product's own may have to be asked for. */
export function evmKeyOf(privateKey: string): EvmKey {
  const publicKey = secp256k1.getPublicKey(fromHex(privateKey as Hex), false).subarray(1)
  return new EvmKey(openSigner(privateKey, 'the key of a test'), publicKey)
}

export function meterKeyOf(config: MeterKeyConfig): FlareMeterKey {
  return new FlareMeterKey(config, evmKeyOf(config.meterKey))
}
