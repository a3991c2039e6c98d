import {
  address,
  array,
  type CadenceValue,
  optional,
  type Plain,
  string,
  ufix64,
  uint,
} from './cadence-json.js'
import type { FlowAccount, FlowClient } from './client.js'
import { DEFAULT_MODELS, DEFAULT_PLAN, type Plan, planArguments } from './plan.js'
import { eventsNamed, type TransactionResult } from './results.js'
import { cadenceSource } from './sources.js'
import type { Signer } from './transaction.js'

/** In the order in which they can be deployed. */
export const CONTRACTS = [
  'FlareLightClient',
  'UsageBatches',
  'PricePlans',
  'TokenPrices',
  'SubscriptionVaults',
] as const

/** FLOW for the storage of the contracts: 100 MB for each. */
const CONTRACT_ACCOUNT_FLOW = '100.0'
const PROVIDER_FLOW = '100.0'
const CUSTOMER_FLOW = '1.0'

export interface DeployParts {
  /** Flare's chain id: 114 for Coston2. */
  readonly chainId: bigint
  /** The bytes of the first trusted signing policy, hex. */
  readonly checkpoint: string
  /** Nominal start of reward epoch 0, a voting round. */
  readonly firstEpochStartRound: number
  readonly roundsPerEpoch: number
  /** How many signing policies are kept. */
  readonly epochsKept: number
  readonly checkpointDelaySeconds?: number
  /** First round, and first reward epoch, whose digest is bound to the chain id; null: all are. */
  readonly boundMessageFromRound?: number | null
  readonly boundPolicyFromEpoch?: number | null
  /** Address of UsageAnchor on Flare. */
  readonly anchor: string
  /** FDC's name of the network that the anchor is on: "testFLR". */
  readonly sourceId: string
  /** Flow's own name in targets: "emulator" if not given. */
  readonly network?: string
  readonly meterDelaySeconds?: number
  /** Takes the contracts; a new account if not given. */
  readonly account?: Signer
}

export interface Deployed {
  /** Holds the contracts and the governors' resources. */
  readonly account: Signer
  /** Resolves imports of the contracts. */
  readonly client: FlowClient
}

/** Deploys the contracts of `cadence/contracts`, all to one account. */
export async function deployContracts(plain: FlowClient, parts: DeployParts): Promise<Deployed> {
  const account = parts.account ?? (await plain.createAccount({ fundFlow: CONTRACT_ACCOUNT_FLOW }))
  const imports = Object.fromEntries(CONTRACTS.map((name) => [name, account.address]))
  const client = plain.with({ imports })
  const send = (name: string, args: CadenceValue[]): Promise<TransactionResult> =>
    sendFile(client, `governor/${name}`, args, account)
  const codeOf = (name: string): CadenceValue =>
    string(client.resolveImports(cadenceSource(`contracts/${name}`)))

  await send('deploy_light_client', [codeOf('FlareLightClient'), ...lightClientArguments(parts)])
  await send('deploy_usage_batches', [codeOf('UsageBatches'), ...usageBatchesArguments(parts)])
  for (const name of ['PricePlans', 'TokenPrices', 'SubscriptionVaults']) {
    await send('deploy_contract', [string(name), codeOf(name)])
  }
  return { account, client }
}

function lightClientArguments(parts: DeployParts): CadenceValue[] {
  const boundary = (value: number | null | undefined): CadenceValue =>
    optional(value === null || value === undefined ? null : uint('UInt32', value))
  return [
    uint('UInt64', parts.chainId),
    string(parts.checkpoint),
    uint('UInt32', parts.firstEpochStartRound),
    uint('UInt32', parts.roundsPerEpoch),
    uint('UInt32', parts.epochsKept),
    seconds(parts.checkpointDelaySeconds ?? 86_400),
    boundary(parts.boundMessageFromRound),
    boundary(parts.boundPolicyFromEpoch),
  ]
}

function usageBatchesArguments(parts: DeployParts): CadenceValue[] {
  const sourceId = Buffer.from(parts.sourceId).toString('hex').padEnd(64, '0')
  return [
    string(parts.network ?? 'emulator'),
    string(parts.anchor),
    string(sourceId),
    seconds(parts.meterDelaySeconds ?? 86_400),
  ]
}

export interface FlowPrice {
  readonly currency: string
  /** Wad of the currency for one FLOW, as are the bounds. */
  readonly price: bigint
  readonly minimum: bigint
  readonly maximum: bigint
  readonly maxAgeSeconds: number
}

/** Sets bounds, greatest age and price of FLOW. */
export async function setFlowPrice({ client, account }: Deployed, feed: FlowPrice): Promise<void> {
  const pair = [string(flowVaultType(client)), string(feed.currency)]
  const wad = (value: bigint): CadenceValue => uint('UInt128', value)
  const bounds = [wad(feed.minimum), wad(feed.maximum), seconds(feed.maxAgeSeconds)]
  await sendFile(client, 'governor/set_token_feed', [...pair, ...bounds], account)
  await sendFile(client, 'governor/set_token_price', [...pair, wad(feed.price)], account)
}

export interface ProviderParts {
  /** The meter's address on Flare. */
  readonly meter: string
  readonly models?: readonly string[]
  readonly plan?: Plan
}

export interface Provider {
  readonly account: FlowAccount
  readonly id: bigint
  readonly planId: bigint
  /** Model ids by name. */
  readonly models: ReadonlyMap<string, number>
}

/** Makes a new account a provider: model table, plan and meter. */
export async function setUpProvider(client: FlowClient, parts: ProviderParts): Promise<Provider> {
  const { meter, models = DEFAULT_MODELS, plan = DEFAULT_PLAN } = parts
  const account = await client.createAccount({ fundFlow: PROVIDER_FLOW })
  const send = (name: string, args: CadenceValue[]): Promise<TransactionResult> =>
    sendFile(client, `provider/${name}`, args, account)

  const created = await send('set_up_provider', [])
  await send('register_models', [array(models.map(string))])
  const published = await send('publish_plan', planArguments(plan))
  await send('set_meter', [string(meter)])
  return {
    account,
    id: bigintOf(created, 'SubscriptionVaults.ProviderCreated', 'provider'),
    planId: bigintOf(published, 'PricePlans.PlanPublished', 'plan'),
    models: new Map(models.map((name, i) => [name, i + 1])),
  }
}

export interface VaultParts {
  /** A number to reserve for this vault; the next free one if not given. */
  readonly number?: bigint
  /** FLOW put in at once: "25.0". */
  readonly deposit: string
  /** Opens it; a new account if not given. */
  readonly customer?: FlowAccount
}

export interface OpenedVault {
  readonly customer: FlowAccount
  readonly number: bigint
}

/** Opens vaults with a provider, one after the other, and funds them. */
export async function openVaults(
  client: FlowClient,
  provider: Provider,
  vaults: readonly VaultParts[],
): Promise<OpenedVault[]> {
  const opened: OpenedVault[] = []
  for (const vault of vaults) opened.push(await openVault(client, provider, vault))
  return opened
}

async function openVault(
  client: FlowClient,
  provider: Provider,
  vault: VaultParts,
): Promise<OpenedVault> {
  // Beyond the deposit: fees, and what opening takes for storage.
  const customer = vault.customer ?? (await client.createAccount({ fundFlow: CUSTOMER_FLOW }))
  await client.fund(customer.address, vault.deposit)
  if (vault.number !== undefined) {
    const args = [uint('UInt64', vault.number), address(customer.address)]
    await sendFile(client, 'provider/reserve_account_number', args, provider.account)
  }
  const number = optional(vault.number === undefined ? null : uint('UInt64', vault.number))
  const ids = [uint('UInt64', provider.id), uint('UInt64', provider.planId)]
  const args = [...ids, number, ufix64(vault.deposit)]
  const sent = await sendFile(client, 'customer/open_vault', args, customer)
  return { customer, number: bigintOf(sent, 'SubscriptionVaults.VaultOpened', 'account') }
}

/** Runs a script of `cadence/scripts`. */
export async function runFile(
  client: FlowClient,
  name: string,
  args: readonly CadenceValue[],
): Promise<Plain> {
  return client.script(cadenceSource(`scripts/${name}`), args)
}

/** Sends a transaction of `cadence/transactions`. @throws Error when its body fails. */
export async function sendFile(
  client: FlowClient,
  name: string,
  args: readonly CadenceValue[],
  signer: Signer,
): Promise<TransactionResult> {
  const cadence = cadenceSource(`transactions/${name}`)
  const result = await client.send({ cadence, args, signers: [signer] })
  if (result.error !== null) throw new Error(`${name} failed: ${result.error}`)
  return result
}

/** The identifier of FLOW's vault type. */
export function flowVaultType(client: FlowClient): string {
  return `A.${client.imports.FlowToken?.replace(/^0x/, '')}.FlowToken.Vault`
}

function seconds(count: number): CadenceValue {
  return ufix64(BigInt(count) * 10n ** 8n)
}

function bigintOf(result: TransactionResult, event: string, field: string): bigint {
  const value = eventsNamed(result, event)[0]?.[field]
  if (typeof value !== 'bigint') throw new Error(`${result.id} has no ${event} with ${field}`)
  return value
}
