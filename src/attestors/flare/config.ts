import { z } from 'zod'
import { awsKmsKey } from '../../domain/key-reference.js'

/** What differs from one Flare network to the next and is not on chain. By chain id. */
export const FLARE_NETWORKS = {
  14: network('FLR', 'flr', 'flr'),
  16: network('testSGB', 'sgb', 'ctn'),
  19: network('SGB', 'sgb', 'sgb'),
  114: network('testFLR', 'flr', 'ctn2'),
}

/** Names: of the chain as FDC's source, in the verifier's paths, and of the DA layer's host. */
function network(sourceId: string, verifier: string, host: string) {
  return { sourceId, verifier, daUrl: `https://${host}-data-availability.flare.network` }
}

const COSTON2 = 114
const COSTON2_RPC_URL = 'https://coston2-api.flare.network/ext/C/rpc'
const DEFAULT_BUDGET_FLR = 1000
const WEI_DIGITS = 18

const httpUrl = z
  .string()
  .trim()
  .pipe(z.url({ protocol: /^https?$/, error: 'expected a URL with http or https' }))
  .transform((url) => url.replace(/\/+$/, ''))

/** An array, or text with commas between the items. */
const urlList = z.preprocess(
  (value) => (typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value),
  z.array(httpUrl).min(1).max(10),
)

const hexDigits = (digits: number, what: string) =>
  z
    .string()
    .trim()
    .regex(new RegExp(`^(0x)?[0-9a-fA-F]{${digits}}$`), `expected ${what} of ${digits} hex digits`)
    .transform((text): `0x${string}` => `0x${text.replace(/^0x/, '').toLowerCase()}`)

/** The key itself, or where it is kept. */
const signingKey = z
  .string()
  .trim()
  .refine(
    (text) => /^(0x)?[0-9a-fA-F]{64}$/.test(text) || awsKmsKey(text) !== undefined,
    'expected a private key of 64 hex digits, or aws-kms: and the ARN or alias of a key',
  )
  .transform((text) => (awsKmsKey(text) ? text : `0x${text.replace(/^0x/, '').toLowerCase()}`))

const count = (least: number, most: number) => z.coerce.number().int().min(least).max(most)

const chainId = z.coerce
  .number()
  .refine((id): id is keyof typeof FLARE_NETWORKS => id in FLARE_NETWORKS, {
    error: 'expected 114 (Coston2), 14 (Flare), 19 (Songbird) or 16 (Coston)',
  })

/** FLR, with decimals if need be, to wei. */
const flrAsWei = z.coerce
  .string()
  .trim()
  .regex(/^\d{1,12}(\.\d{1,18})?$/, 'expected an amount in FLR, such as 12.5')
  .transform((text) => {
    const [whole = '0', part = ''] = text.split('.')
    return BigInt(whole + part.padEnd(WEI_DIGITS, '0'))
  })

/** Flare as the place of anchors and attestations. */
export const flareConfig = z.strictObject({
  kind: z.literal('flare').default('flare'),
  rpcUrls: urlList.default([COSTON2_RPC_URL]),
  chainId: chainId.default(COSTON2),
  /** 20 bytes of UsageAnchor. */
  anchorAddress: hexDigits(40, 'the address of the UsageAnchor contract'),
  /** No anchor is looked for below this block. */
  anchorFromBlock: count(0, Number.MAX_SAFE_INTEGER).default(0),
  /** Pays for anchors and requests. Signs nothing else. */
  gasKey: signingKey,
  /** Signs batch headers. Holds no money. */
  meterKey: signingKey,
  /** Remembers what the meter key signed last. */
  signerFile: z.string().trim().min(1).default('data/meter-signer.json'),
  daUrl: httpUrl.optional(),
  verifierUrl: httpUrl.optional(),
  /** A verifier that says no is believed only when it has said so for so long. */
  verifierPatienceMs: count(0, 86_400_000).default(60_000),
  /** Sent to the DA layer, to the verifier and to RPC hosts of flare.network. */
  apiKey: z.string().trim().min(1).optional(),
  /** About 20 a minute were measured to be let through without a key. */
  daRequestsPerMinute: count(1, 1_000_000).default(15),
  /** Public nodes of Coston2 take at most 30 blocks. */
  logWindowBlocks: count(1, 100_000).default(30),
  /** How far back from the head events are looked for, at most. */
  logSearchBlocks: count(30, 100_000_000).default(100_000),
  /** A round without a root so long after its end counts as missed. */
  missedAfterRounds: count(2, 10_000).default(20),
  requestTimeoutMs: count(100, 600_000).default(10_000),
  /** Nothing is signed while gas costs more. Coston2 asked for about 650 in 2026. */
  gasPriceMaxGwei: count(1, 10_000_000).default(5_000),
  /** A transaction that waits longer is sent again at a higher price. Blocks come every 2 s. */
  stuckAfterMs: count(0, 86_400_000).default(30_000),
  /** Flare's contracts move every few months, with weeks of notice; a look is cheap. */
  registryRefreshMs: count(0, 86_400_000).default(600_000),
  /** Relays that were in use before this store knew the chain: rounds of then are there. */
  pastRelays: z
    .preprocess(
      (value) => (typeof value === 'string' ? value.split(',').map((one) => one.trim()) : value),
      z.array(hexDigits(40, 'the address of a Relay')).max(10),
    )
    .default([]),
  /** For attestation fees, without gas. */
  dailyFeeBudgetFlr: flrAsWei.default(BigInt(DEFAULT_BUDGET_FLR) * 10n ** BigInt(WEI_DIGITS)),
})

export type FlareConfig = z.infer<typeof flareConfig>

/** The environment variable of each setting; a secret may also come as NAME_FILE (a path). */
export const flareSettings = {
  rpcUrls: { env: 'FLARE_ENDPOINT', help: 'RPC URLs, comma-separated; the later ones stand by' },
  chainId: { env: 'FLARE_CHAIN_ID', help: '114 for Coston2 (the default), 14 for Flare' },
  anchorAddress: {
    env: 'FLARE_ANCHOR_ADDRESS',
    madeBy: 'deploy',
    help: 'address of the UsageAnchor contract',
  },
  anchorFromBlock: { env: 'FLARE_ANCHOR_FROM_BLOCK', help: 'block in which it was deployed' },
  gasKey: {
    env: 'FLARE_GAS_KEY',
    secret: true,
    madeBy: 'init',
    help: 'private key that pays for transactions, or aws-kms: and a key',
  },
  meterKey: {
    env: 'METER_KEY',
    secret: true,
    madeBy: 'init',
    help: 'private key that signs batch headers, or aws-kms: and a key',
  },
  signerFile: { env: 'METER_SIGNER_FILE', help: 'file that keeps what the meter signed last' },
  daUrl: { env: 'FLARE_DA_URL', help: 'data availability layer; the public one unless set' },
  verifierUrl: {
    env: 'FLARE_VERIFIER_URL',
    help: 'verifier that is asked before a request is paid for; none unless set',
  },
  verifierPatienceMs: {
    env: 'FLARE_VERIFIER_PATIENCE',
    help: 'ms for which its no may only mean "not yet"; 60000',
  },
  apiKey: { env: 'FLARE_API_KEY', secret: true, help: 'API key for Flare’s public services' },
  daRequestsPerMinute: { env: 'FLARE_DA_REQUESTS_PER_MINUTE', help: '15 unless set' },
  logWindowBlocks: { env: 'FLARE_LOG_WINDOW_BLOCKS', help: 'blocks a log query; 30 unless set' },
  logSearchBlocks: { env: 'FLARE_LOG_SEARCH_BLOCKS', help: 'how far back events are looked for' },
  missedAfterRounds: { env: 'FLARE_MISSED_AFTER_ROUNDS', help: '20 unless set' },
  requestTimeoutMs: { env: 'FLARE_REQUEST_TIMEOUT_MS', help: 'limit of one request; 10000' },
  gasPriceMaxGwei: { env: 'FLARE_GAS_PRICE_MAX_GWEI', help: 'nothing is sent above; 5000' },
  stuckAfterMs: {
    env: 'FLARE_STUCK_AFTER',
    help: 'ms until a transaction is paid more for; 30000',
  },
  registryRefreshMs: {
    env: 'FLARE_REGISTRY_REFRESH',
    help: 'how often addresses are read again, ms; 600000',
  },
  pastRelays: { env: 'FLARE_PAST_RELAYS', help: 'earlier addresses of the Relay, comma-separated' },
  dailyFeeBudgetFlr: {
    env: 'FLARE_DAILY_FEE_BUDGET',
    help: 'FLR a day for attestation fees; 1000',
  },
} as const
