import { z } from 'zod'
import { awsKmsKey } from '../../domain/key-reference.js'

/** Flow refuses a transaction whose reference block is this many blocks old (flow-go v0.51). */
const TRANSACTION_EXPIRY_BLOCKS = 600

const flowAddress = z
  .string()
  .transform((text) => text.trim().toLowerCase().replace(/^0x/, ''))
  .pipe(z.string().regex(/^[0-9a-f]{16}$/, 'a Flow address is 16 hex digits, with or without 0x'))
  .transform((digits) => `0x${digits}` as const)

/** The key itself, or where it is kept. */
const privateKey = z
  .string()
  .trim()
  .transform((text) => (awsKmsKey(text) ? text : text.toLowerCase().replace(/^0x/, '')))
  .refine(
    (text) => /^[0-9a-f]{64}$/.test(text) || awsKmsKey(text) !== undefined,
    'a Flow private key is 64 hex digits, or aws-kms: and the ARN or alias of a key',
  )

const count = z.union([
  z.int().min(0),
  z
    .string()
    .regex(/^\s*\d+\s*$/, 'a number without sign or point')
    .transform(Number),
])

/** `0-3,7`: with both ends. */
const KEYS_MAX = 100

const keyIndexes = z
  .preprocess(
    (raw) => (typeof raw === 'string' ? raw.split(',').flatMap(rangeOf) : raw),
    z.array(count),
  )
  .refine((indexes) => indexes.length <= KEYS_MAX, `at most ${KEYS_MAX} keys`)
  .refine((indexes) => indexes.length > 0, 'name at least one key, e.g. 0')
  .refine((indexes) => new Set(indexes).size === indexes.length, 'a key index is named twice')

function rangeOf(part: string): readonly (string | number)[] {
  const [, from, to] = /^\s*(\d{1,6})-(\d{1,6})\s*$/.exec(part) ?? []
  const length = Number(to) - Number(from) + 1
  if (!(length >= 1 && length <= KEYS_MAX)) return [part]
  return Array.from({ length }, (_, i) => Number(from) + i)
}

const nodeUrl = z
  .url({ protocol: /^https?$/, error: 'the URL of an access node’s REST API, http or https' })
  .transform((url) => url.replace(/\/+$/, ''))

const uint64 = z
  .union([
    z.bigint(),
    z.int().transform(BigInt),
    z
      .string()
      .regex(/^\s*\d+\s*$/)
      .transform(BigInt),
  ])
  .refine((id) => id >= 0n && id < 1n << 64n, 'a number from 0 to 2^64 - 1')

/** Settlement on Flow. */
export const flowConfig = z.strictObject({
  kind: z.literal('flow').default('flow'),
  /** Bound into every batch: a batch for one network is worth nothing on another. */
  network: z
    .enum(['mainnet', 'testnet', 'emulator'], 'use mainnet, testnet or emulator')
    .default('testnet'),
  /** REST APIs of access nodes; the later ones stand by. Absent: the network's public one. */
  accessNodes: z
    .preprocess(
      (raw) => (typeof raw === 'string' ? raw.split(',').map((url) => url.trim()) : raw),
      z.array(nodeUrl).min(1).max(10),
    )
    .optional(),
  /** Proposes, pays for and authorizes every transaction. Holds no provider power. */
  accountAddress: flowAddress,
  /** Of all its keys. The curve and the hash are read from the account. */
  privateKey,
  /** Keys of the account with that public key and full weight: so many transactions go at once. */
  keyIndexes: keyIndexes.default([0]),
  /** Where FlareLightClient, UsageBatches, PricePlans and SubscriptionVaults are. */
  contractsAddress: flowAddress,
  /** The provider whose vaults are served: the number in its ProviderCreated event. */
  providerId: uint64,
  transactionExpiryBlocks: count.default(TRANSACTION_EXPIRY_BLOCKS),
  requestTimeoutMs: count.default(30_000),
  /** Of each access node. Absent: what public nodes allow; without a limit on an emulator. */
  scriptsPerSecond: count.refine((number) => number > 0, 'at least 1').optional(),
  /** Prices of Band's oracle that are older are refreshed, from the daemon's account. */
  priceRefreshSeconds: count.optional(),
})

export type FlowConfig = z.infer<typeof flowConfig>

/** The environment variable of each setting; a secret may also come as NAME_FILE (a path). */
export const flowSettings = {
  network: { env: 'FLOW_NETWORK', help: 'mainnet, testnet or emulator' },
  accessNodes: {
    env: 'FLOW_ACCESS_NODE',
    help: 'URLs of access nodes’ REST APIs, comma-separated; the later ones stand by',
  },
  accountAddress: {
    env: 'FLOW_ACCOUNT_ADDRESS',
    madeBy: 'deploy',
    help: 'account that pays for transactions',
  },
  privateKey: {
    env: 'FLOW_PRIVATE_KEY',
    secret: true,
    madeBy: 'init',
    help: 'its private key, 64 hex digits, or aws-kms: and a key',
  },
  keyIndexes: { env: 'FLOW_KEY_INDEXES', help: 'indexes of its keys: 0,2 or 0-9' },
  contractsAddress: {
    env: 'FLOW_CONTRACTS_ADDRESS',
    madeBy: 'deploy',
    help: 'account of the Flowmeter contracts',
  },
  providerId: {
    env: 'FLOW_PROVIDER_ID',
    madeBy: 'deploy',
    help: 'number of the provider on Flow',
  },
  transactionExpiryBlocks: {
    env: 'FLOW_TRANSACTION_EXPIRY_BLOCKS',
    help: 'blocks after which Flow refuses a transaction; only an emulator may differ from 600',
  },
  requestTimeoutMs: { env: 'FLOW_REQUEST_TIMEOUT_MS', help: 'time limit of one request, in ms' },
  scriptsPerSecond: {
    env: 'FLOW_SCRIPTS_PER_SECOND',
    help: 'scripts that a node is asked to run; 5 unless set, as public nodes allow',
  },
  priceRefreshSeconds: {
    env: 'FLOW_PRICE_REFRESH_SECONDS',
    help: 'age at which prices that follow Band’s oracle are refreshed; never unless set',
  },
} as const

/** The public REST endpoints, as fcl names them; the emulator's default port. */
const ACCESS_NODES: Readonly<Record<FlowConfig['network'], string>> = {
  mainnet: 'https://rest-mainnet.onflow.org',
  testnet: 'https://rest-testnet.onflow.org',
  emulator: 'http://127.0.0.1:8888',
}

/** What public nodes run for one address. */
const SCRIPTS_PER_SECOND = 5

/** How the chain is reached. */
export function nodesOf({
  network,
  accessNodes,
  requestTimeoutMs,
  scriptsPerSecond,
}: Pick<FlowConfig, 'network' | 'accessNodes' | 'requestTimeoutMs' | 'scriptsPerSecond'>) {
  return {
    accessNodes: accessNodes ?? [ACCESS_NODES[network]],
    requestTimeoutMs,
    scriptsPerSecond: scriptsPerSecond ?? (network === 'emulator' ? undefined : SCRIPTS_PER_SECOND),
  }
}
