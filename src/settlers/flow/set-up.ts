import { p256 } from '@noble/curves/nist.js'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { ConfigError } from '../../domain/errors.js'
import { awsKmsKey } from '../../domain/key-reference.js'
import type { KeyNeed, Network, SetUpNeeds } from '../../ports/made-key.js'
import { openSigner } from '../../signers/index.js'
import { flowSettings } from './config.js'
import { deployerSettings, providerSettings } from './desk-config.js'

/** x ‖ y in hex. New accounts get keys of P-256 with SHA3-256, as Flow’s own tools make them. */
function publicKeyOf(privateKey: string): string {
  try {
    const secret = hexToBytes(privateKey.trim().replace(/^0x/, ''))
    return bytesToHex(p256.getPublicKey(secret, false).subarray(1))
  } catch {
    throw new ConfigError('made_key', 'expected a private key of 64 hex digits')
  }
}

const ACCOUNT: Readonly<Record<Network, string>> = {
  testnet:
    'create its account at https://testnet-faucet.onflow.org with this public key ' +
    '(ECDSA_P256, SHA3_256); the 1,000 FLOW that come with it are enough',
  mainnet: 'create its account in a wallet with this public key, and send it 30 FLOW',
  emulator: 'create its account on the local network with this public key, and 100 FLOW',
}

/** The contracts’ account, and those that it makes: the provider’s and the daemon’s. */
export function flowSetUp(network: Network): SetUpNeeds {
  const common = (setting: string) => ({
    make: () => bytesToHex(p256.utils.randomSecretKey()),
    setting,
    publicOf: async (key: string) =>
      awsKmsKey(key) === undefined
        ? publicKeyOf(key)
        : bytesToHex(await openSigner(key, setting).publicKey('p256')),
  })
  const keys: readonly KeyNeed[] = [
    {
      ...common(deployerSettings.privateKey.env),
      file: 'flow-deployer.key',
      use: 'Flow: holds the contracts, governs prices; not for the daemon',
      next: ACCOUNT[network],
    },
    {
      ...common(providerSettings.privateKey.env),
      file: 'flow-provider.key',
      use: 'Flow: publishes plans, corrects, collects; not for the daemon',
    },
    {
      ...common(flowSettings.privateKey.env),
      file: 'flow-account.key',
      use: 'Flow: the daemon’s account, pays for settlement',
    },
  ]
  return { keys, settings: { [flowSettings.network.env]: network } }
}
