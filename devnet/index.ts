import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Wallet } from 'ethers'
import { type FaultPlan, followPlan } from './fault-plan.js'
import { type FaultProxy, startFaultProxy } from './fault-proxy.js'
import { type LocalFlare, startFlare } from './flare/index.js'
import type { FlowAccount, FlowClient } from './flow/client.js'
import {
  deployContracts,
  type OpenedVault,
  openVaults,
  type Provider,
  setFlowPrice,
  setUpProvider,
} from './flow/deploy.js'
import { type Emulator, startEmulator } from './flow/emulator.js'
import type { Signer } from './flow/transaction.js'
import { type Litellm, startLitellm } from './litellm/index.js'
import { DEVNET_USERS, type DevnetUser } from './users.js'

export interface DevnetOptions {
  /** Chains, logs and keys. */
  readonly dir: string
  /** Told what is going on: the first build of the emulator takes minutes. */
  readonly progress: (line: string) => void
  /** 3 unless told: the voting rounds of the real network last 90. */
  readonly roundSeconds?: number
  /** 200 unless told; 1000 costs far less on a network that is left running. */
  readonly flowBlockMs?: number
  /** False leaves LiteLLM to the user. */
  readonly hasLitellm?: boolean
  /** See `FlareOptions`. The light client takes the older digests until then. */
  readonly olderRelayEpochs?: number
  /** A day unless told. */
  readonly checkpointDelaySeconds?: number
  /** Until Flow takes the batches of a meter that follows another; a day unless told. */
  readonly meterDelaySeconds?: number
  /** Calls that LiteLLM has already served; 300 unless told. */
  readonly calls?: number
  /** Two proxies before each chain, which the daemon is told to ask; they misbehave by this plan. */
  readonly faults?: FaultPlan
}

/** A running local network: everything the daemon talks to. */
export interface Devnet {
  /** The settings of a daemon for it, by the names of the environment. */
  readonly env: Readonly<Record<string, string>>
  readonly flare: LocalFlare
  readonly flow: FlowDevnet
  readonly litellm: Litellm | undefined
  readonly vaults: readonly DevnetVault[]
  /** What stands between the daemon and the chains: none without a fault plan. */
  readonly proxies: readonly FaultProxy[]
  stop(): Promise<void>
}

export interface FlowDevnet {
  readonly emulator: Emulator
  /** Resolves imports of the contracts. */
  readonly client: FlowClient
  readonly contractsAddress: string
  /** The account of the contracts. */
  readonly governor: Signer
  readonly provider: Provider
  /** The daemon's account. */
  readonly relayer: FlowAccount
}

export interface DevnetVault extends DevnetUser, OpenedVault {}

/** The reward epochs last 24 s here and are kept for a while. */
const EPOCHS_KEPT = 1_000
const ROUND_SECONDS = 3
const RELAYER_KEYS = 3
const SEED = 20_260_921

/** Starts all of it. What was started is stopped again when a part fails. */
export async function startDevnet(options: DevnetOptions): Promise<Devnet> {
  mkdirSync(options.dir, { recursive: true })
  const releases: (() => Promise<void>)[] = []
  const stop = async (): Promise<void> => {
    for (const release of releases.splice(0).reverse()) await release()
  }
  try {
    return await assemble(options, releases, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function assemble(
  options: DevnetOptions,
  releases: (() => Promise<void>)[],
  stop: () => Promise<void>,
): Promise<Devnet> {
  const { dir, progress } = options
  progress('Flow: starting the emulator')
  const emulator = await startEmulator({
    dir: join(dir, 'flow'),
    blockTimeMs: options.flowBlockMs ?? 200,
    log: progress,
  })
  releases.push(() => emulator.stop())
  progress('Flare: starting anvil, the contracts and the data providers')
  const roundSeconds = options.roundSeconds ?? ROUND_SECONDS
  const { olderRelayEpochs, checkpointDelaySeconds, meterDelaySeconds } = options
  const flareDir = join(dir, 'flare')
  const flare = await startFlare({
    ...{ dir: flareDir, roundSeconds },
    ...(olderRelayEpochs !== undefined && { olderRelayEpochs }),
  })
  releases.push(() => flare.stop())

  progress('Flow: deploying the contracts')
  const { client, account } = await deployContracts(emulator.client, {
    chainId: BigInt(flare.chainId),
    checkpoint: flare.checkpoint.policyBytes,
    firstEpochStartRound: flare.params.firstRewardEpochStartVotingRoundId,
    roundsPerEpoch: flare.params.rewardEpochDurationInVotingEpochs,
    epochsKept: EPOCHS_KEPT,
    boundMessageFromRound: flare.boundFrom?.round ?? null,
    boundPolicyFromEpoch: flare.boundFrom?.policyEpoch ?? null,
    ...(checkpointDelaySeconds !== undefined && { checkpointDelaySeconds }),
    ...(meterDelaySeconds !== undefined && { meterDelaySeconds }),
    anchor: flare.anchorAddress,
    sourceId: 'testFLR',
  })
  await setFlowPrice(
    { client, account },
    {
      currency: 'USD',
      price: 5n * 10n ** 17n,
      minimum: 10n ** 16n,
      maximum: 10n ** 20n,
      maxAgeSeconds: 7 * 86_400,
    },
  )
  const meter = newWallet()
  progress('Flow: publishing the plan, opening and funding the vaults')
  const provider = await setUpProvider(client, { meter: meter.address })
  const funded = DEVNET_USERS.filter(({ vault }) => vault !== undefined)
  const opened = await openVaults(
    client,
    provider,
    funded.flatMap(({ vault }) => vault ?? []),
  )
  const vaults = funded.flatMap((user, i) => {
    const vault = opened[i]
    return vault === undefined ? [] : [{ ...user, ...vault }]
  })
  const relayer = await client.createAccount({ fundFlow: '100.0', keys: RELAYER_KEYS })

  const litellm = options.hasLitellm === false ? undefined : await startTraffic(options)
  if (litellm !== undefined) releases.push(() => litellm.stop())
  const contractsAddress = account.address
  const flow = { emulator, client, contractsAddress, governor: account, provider, relayer }
  const env = {
    ...settingsOf({ flare, flow, litellm }),
    METER_KEY: meter.privateKey,
    ...ownFiles(dir),
  }
  if (options.faults === undefined) return { env, flare, flow, litellm, vaults, proxies: [], stop }
  const { proxies, urls } = await startProxies({ flare, flow }, options.faults)
  releases.push(async () => {
    for (const proxy of proxies) await proxy.stop()
  })
  return { env: { ...env, ...urls }, flare, flow, litellm, vaults, proxies, stop }
}

/** Two nodes of each chain, as an operator would name them. */
async function startProxies(
  { flare, flow }: Pick<Devnet, 'flare' | 'flow'>,
  plan: FaultPlan,
): Promise<{ proxies: FaultProxy[]; urls: Record<string, string> }> {
  const { rpcUrl } = flare
  const { restUrl } = flow.emulator
  const proxies = await Promise.all([rpcUrl, rpcUrl, restUrl, restUrl].map(startFaultProxy))
  for (const [i, proxy] of proxies.entries()) followPlan(proxy, { ...plan, seed: plan.seed + i })
  const [first, second, third, fourth] = proxies.map(({ url }) => url)
  const urls = {
    FLARE_ENDPOINT: `${first},${second}`,
    FLOW_ACCESS_NODE: `${third},${fourth}`,
    // An answer that never ends must not hold a step for half a minute.
    FLARE_REQUEST_TIMEOUT_MS: '2000',
    FLOW_REQUEST_TIMEOUT_MS: '2000',
  }
  return { proxies, urls }
}

/** Calls since the beginning of the month, at most six hours back. All of them can be read. */
async function startTraffic({ dir, progress, calls = 300 }: DevnetOptions): Promise<Litellm> {
  progress('LiteLLM: starting the proxy, with calls it has served')
  const nowMs = Math.floor(Date.now() / 1000) * 1000
  const now = new Date(nowMs)
  const monthMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1)
  const fromMs = Math.max(monthMs, nowMs - 6 * 3_600_000)
  const table = join(dir, 'litellm')
  mkdirSync(table, { recursive: true })
  const litellm = await startLitellm({
    dir: table,
    traffic: {
      seed: SEED,
      fromMs,
      untilMs: nowMs,
      calls,
      users: DEVNET_USERS.map(({ user }) => user),
    },
  })
  litellm.advance(300_000) // The longest call and the longest write lag are over.
  return litellm
}

function settingsOf({
  flare,
  flow,
  litellm,
}: Pick<Devnet, 'flare' | 'flow' | 'litellm'>): Record<string, string> {
  const [gas] = flare.accounts
  if (gas === undefined) throw new Error('anvil has no account left')
  return {
    ...(litellm === undefined
      ? {}
      : { LITELLM_API_URL: litellm.url, LITELLM_API_KEY: litellm.viewerKey }),
    FLARE_ENDPOINT: flare.rpcUrl,
    FLARE_CHAIN_ID: String(flare.chainId),
    FLARE_ANCHOR_ADDRESS: flare.anchorAddress,
    FLARE_GAS_KEY: gas.privateKey,
    FLARE_DA_URL: flare.daUrl,
    FLARE_VERIFIER_URL: flare.verifierUrl,
    FLARE_API_KEY: flare.verifierKey,
    FLARE_DA_REQUESTS_PER_MINUTE: '600',
    FLOW_NETWORK: 'emulator',
    FLOW_ACCESS_NODE: flow.emulator.restUrl,
    FLOW_ACCOUNT_ADDRESS: flow.relayer.address,
    FLOW_PRIVATE_KEY: Buffer.from(flow.relayer.privateKey).toString('hex'),
    FLOW_CONTRACTS_ADDRESS: flow.contractsAddress,
    FLOW_PROVIDER_ID: String(flow.provider.id),
    FLOW_KEY_INDEXES: `0-${RELAYER_KEYS - 1}`,
    RECEIPT_SECRET: newWallet().privateKey.slice(2),
    // Rounds last seconds here, not minutes, and the rest follows them.
    POLL_INTERVAL: '2000',
    SETTLE_DELAY: '1000',
    SEAL_INTERVAL: '5000',
    WORKER_INTERVAL: '300',
    COLLECT_FROM: new Date(Date.now() - 7 * 3_600_000).toISOString(),
  }
}

function ownFiles(dir: string): Record<string, string> {
  const config = join(dir, 'flowmeter.config.json')
  const chain = ['directory', 'prefix', 'direct', 'hash'].map((kind) => ({ kind }))
  writeFileSync(config, `${JSON.stringify({ mapping: { chain } }, null, 2)}\n`)
  return {
    FLOWMETER_CONFIG: config,
    DATABASE_URL: `sqlite:${join(dir, 'flowmeter.sqlite')}`,
    METER_SIGNER_FILE: join(dir, 'meter-signer.json'),
    LOG_FILE: join(dir, 'connector.log'),
  }
}

function newWallet(): { address: string; privateKey: string } {
  const { address, privateKey } = Wallet.createRandom()
  return { address, privateKey }
}
