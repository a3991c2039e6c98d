import { randomBytes } from 'node:crypto'
import { computeAddress, SigningKey } from 'ethers'
import { ConfigError } from '../../domain/errors.js'
import { awsKmsKey } from '../../domain/key-reference.js'
import type { KeyNeed, Network, SetUpNeeds } from '../../ports/made-key.js'
import { flareSettings } from './config.js'
import { EvmKey } from './evm-key.js'

/** The order of secp256k1 begins with thirty-one f: a number of 32 bytes outside it is not met. */
function make(): string {
  const key = `0x${randomBytes(32).toString('hex')}`
  addressOf(key)
  return key
}

function addressOf(key: string): string {
  try {
    return computeAddress(new SigningKey(key.startsWith('0x') ? key : `0x${key}`)).toLowerCase()
  } catch {
    throw new ConfigError('made_key', 'expected a private key of 64 hex digits')
  }
}

/** What a deployment and about a hundred batches cost on Coston2 in 2026, and on Flare by FIP.16. */
const FUNDS: Readonly<Record<Network, string>> = {
  testnet:
    'send it 20 C2FLR: about 1 deploys the anchor, 0.11 is a batch. ' +
    'https://faucet.flare.network/coston2 gives them',
  mainnet: 'send it FLR: about 20 a batch are the attestation’s fee, 0.1 is gas',
  emulator: 'send it some FLR of the local network',
}

const NETWORK_SETTINGS: Readonly<Record<Network, Readonly<Record<string, string>>>> = {
  testnet: {},
  mainnet: {
    [flareSettings.chainId.env]: '14',
    [flareSettings.rpcUrls.env]: 'https://flare-api.flare.network/ext/C/rpc',
  },
  emulator: {},
}

/** The meter’s key and the gas wallet’s. */
export function flareSetUp(network: Network): SetUpNeeds {
  const common = (setting: string) => ({
    make,
    setting,
    publicOf: async (key: string) =>
      awsKmsKey(key) === undefined ? addressOf(key) : (await EvmKey.open(key, setting)).address,
  })
  const keys: readonly KeyNeed[] = [
    {
      ...common(flareSettings.meterKey.env),
      file: 'meter.key',
      use: 'Flare: signs batches, holds no money',
    },
    {
      ...common(flareSettings.gasKey.env),
      file: 'flare-gas.key',
      use: 'Flare: pays for anchors and attestations',
      next: FUNDS[network],
    },
  ]
  return { keys, settings: NETWORK_SETTINGS[network] }
}
