import { z } from 'zod'
import { assert, ConfigError, RetryableError } from '../../domain/errors.js'
import { formatUfix64, type Ufix64Units } from '../../domain/money.js'
import type { ContractFound, Deployer, DeploymentTerms, Survey } from '../../ports/deployer.js'
import type { Done } from '../../ports/desk.js'
import { HttpClient } from '../../runtime/http-client.js'
import { address, optional, ufix64 } from './arguments.js'
import { CadenceFiles, contractsOn } from './cadence.js'
import { isSameCode } from './cadence-code.js'
import { FlowClient } from './client.js'
import { type FlowConfig, nodesOf } from './config.js'
import { type DeployerConfig, deployerSettings } from './desk-config.js'
import { Errands } from './errand.js'
import { type CadenceValue, string, uint } from './json-cadence.js'
import { readCadence } from './parse.js'
import type { Telling } from './provider.js'
import { accountAnswer } from './rest.js'

/** The account's contracts come in one answer: ours are some 200 kB, a crowded account's more. */
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024
const UNITS_PER_TOKEN = 100_000_000n

const uintView = z.bigint().nonnegative()
const createdAccountView = z.string().nullable()
const lightClientTerms = z.object({
  chainId: uintView,
  firstEpochStartRound: uintView,
  roundsPerEpoch: uintView,
  epochsKept: uintView,
  boundMessageFromRound: uintView,
  boundPolicyFromEpoch: uintView,
})
const targetTerms = z.object({ name: z.string(), anchor: z.string(), sourceId: uintView })

/** Puts the contracts of cadence/contracts on the deployer's own account. */
export class FlowDeployer implements Deployer {
  readonly #config: DeployerConfig
  readonly #client: FlowClient
  readonly #files: CadenceFiles
  readonly #http: HttpClient
  readonly #errands: Errands

  constructor(config: DeployerConfig, telling: Telling) {
    this.#config = config
    const { network, accountAddress: contractsAddress, requestTimeoutMs } = config
    const nodes = nodesOf(config)
    this.#client = new FlowClient(nodes)
    this.#files = new CadenceFiles({ network, contractsAddress })
    this.#http = new HttpClient({
      baseUrl: nodes.accessNodes[0] ?? '',
      codePrefix: 'settler',
      timeoutMs: requestTimeoutMs,
      responseBytesMax: RESPONSE_BYTES_MAX,
    })
    const { accountAddress, privateKey, keyIndex } = deployerSettings
    const variables = { address: accountAddress.env, key: privateKey.env, keyIndex: keyIndex.env }
    const [client, files] = [this.#client, this.#files]
    this.#errands = new Errands({ client, files, config, variables, ...telling })
  }

  async survey(terms: DeploymentTerms, signal: AbortSignal): Promise<Survey> {
    await this.#checkNetwork(signal)
    const { balance, contracts: there } = await this.#account(signal)
    const contracts = contractsOn(this.#config.network).map((name): ContractFound => {
      const source = this.#files.contract(name)
      const found = there.get(name)
      const state = found === undefined ? 'missing' : isSameCode(found, source) ? 'same' : 'other'
      return { name, bytes: Buffer.byteLength(source), state }
    })
    const differences = [
      ...(there.has('FlareLightClient') ? await this.#lightClientDifferences(terms, signal) : []),
      ...(there.has('UsageBatches') ? await this.#targetDifferences(terms, signal) : []),
    ]
    const { network, accountAddress } = this.#config
    return { network, address: accountAddress, balance, contracts, differences }
  }

  async deploy(name: string, terms: DeploymentTerms, signal: AbortSignal): Promise<Done> {
    await this.#checkNetwork(signal)
    const source = this.#files.contract(name)
    return this.#errands.run(
      {
        what: `deploy ${name}`,
        ...deploymentOf(name, source, terms, this.#config.network),
        isDone: async (height, same) =>
          (await this.#account(same, height)).contracts.get(name) === source,
      },
      signal,
    )
  }

  async accountOf(
    publicKey: string,
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<string | undefined> {
    const script = this.#files.script('get_created_account')
    const args = [address(this.#config.accountAddress), string(publicKey)]
    const found = await this.#client.script(script, args, signal, atHeight)
    return readCadence(found, createdAccountView, 'the account of a key') ?? undefined
  }

  async makeAccount(publicKey: string, funds: Ufix64Units, signal: AbortSignal): Promise<Done> {
    await this.#checkNetwork(signal)
    return this.#errands.run(
      {
        what: `make an account with ${formatUfix64(funds)} FLOW`,
        transaction: 'governor/create_account',
        args: [string(publicKey), ufix64(funds)],
        isDone: async (height, same) =>
          (await this.accountOf(publicKey, same, height)) !== undefined,
      },
      signal,
    )
  }

  async #checkNetwork(signal: AbortSignal): Promise<void> {
    const [chainId, expected] = [await this.#client.chainId(signal), `flow-${this.#config.network}`]
    if (chainId === expected) return
    const fix = 'Make FLOW_ACCESS_NODE and FLOW_NETWORK name the same network.'
    const message = `The node is of ${chainId}, the settings are of ${expected}. ${fix}`
    throw new ConfigError('another_network', message)
  }

  async #account(
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<{
    readonly balance: Ufix64Units
    readonly contracts: ReadonlyMap<string, string>
  }> {
    const path = `/v1/accounts/${this.#config.accountAddress.slice(2)}`
    const query = { block_height: atHeight?.toString() ?? 'sealed', expand: 'contracts' }
    const answer = await this.#http.request({ path, query }, signal)
    const parsed = accountAnswer.safeParse(answer.status === 200 ? answer.json() : undefined)
    if (!parsed.success) {
      const { accountAddress, network } = this.#config
      const message =
        `the node shows no account ${accountAddress} on Flow ${network}: status ${answer.status}. ` +
        'Is it the address of the account that "flowmeter init" told you to make?'
      throw new RetryableError('settler_nonsense', message)
    }
    const contracts = Object.entries(parsed.data.contracts ?? {}).map(
      ([name, code]) => [name, Buffer.from(code, 'base64').toString()] as const,
    )
    return { balance: parsed.data.balance as Ufix64Units, contracts: new Map(contracts) }
  }

  async #lightClientDifferences(terms: DeploymentTerms, signal: AbortSignal): Promise<string[]> {
    const found = await this.#run('get_light_client', lightClientTerms, signal)
    return differencesOf(found, {
      chainId: BigInt(terms.flareChainId),
      firstEpochStartRound: BigInt(terms.firstEpochStartRound),
      roundsPerEpoch: BigInt(terms.roundsPerEpoch),
      epochsKept: BigInt(terms.epochsKept),
      boundMessageFromRound: BigInt(terms.boundMessageFromRound ?? 0),
      boundPolicyFromEpoch: BigInt(terms.boundPolicyFromEpoch ?? 0),
    })
  }

  async #targetDifferences(terms: DeploymentTerms, signal: AbortSignal): Promise<string[]> {
    const { network, accountAddress } = this.#config
    const found = await this.#run('get_target', targetTerms, signal)
    return differencesOf(found, {
      name: `flow:${network}:${accountAddress.slice(2)}`,
      anchor: terms.anchor.slice(2),
      sourceId: BigInt(`0x${sourceIdHex(terms.sourceId)}`),
    })
  }

  async #run<T>(name: string, shape: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const json = await this.#client.script(this.#files.script(name), [], signal)
    return readCadence(json, shape, `the result of ${name}`)
  }
}

/** Parameters as in the transactions cadence/transactions/governor/deploy_*.cdc. */
function deploymentOf(
  name: string,
  source: string,
  terms: DeploymentTerms,
  network: FlowConfig['network'],
): { readonly transaction: string; readonly args: readonly CadenceValue[] } {
  const code = string(source)
  switch (name) {
    case 'FlareLightClient':
      return {
        transaction: 'governor/deploy_light_client',
        args: [
          ...[code, uint('UInt64', terms.flareChainId), string(terms.checkpoint)],
          uint('UInt32', terms.firstEpochStartRound),
          uint('UInt32', terms.roundsPerEpoch),
          uint('UInt32', terms.epochsKept),
          seconds(terms.checkpointDelayS),
          boundary(terms.boundMessageFromRound),
          boundary(terms.boundPolicyFromEpoch),
        ],
      }
    case 'UsageBatches':
      return {
        transaction: 'governor/deploy_usage_batches',
        args: [
          ...[code, string(network), string(terms.anchor), string(sourceIdHex(terms.sourceId))],
          seconds(terms.meterDelayS),
        ],
      }
    default:
      assert(contractsOn(network).includes(name), `not a contract of ours: ${name}`)
      return { transaction: 'governor/deploy_contract', args: [string(name), code] }
  }
}

function differencesOf<Terms extends object>(found: Terms, wanted: Terms): string[] {
  return Object.entries(wanted).flatMap(([name, value]) => {
    const there: unknown = found[name as keyof Terms]
    return there === value ? [] : [`${name} is ${there}, not ${value}`]
  })
}

/** FDC's name of a network as its 32 bytes. */
function sourceIdHex(name: string): string {
  return Buffer.from(name).toString('hex').padEnd(64, '0')
}

function seconds(count: number): CadenceValue {
  return ufix64((BigInt(count) * UNITS_PER_TOKEN) as Ufix64Units)
}

function boundary(first: number | undefined): CadenceValue {
  return optional(first === undefined ? undefined : uint('UInt32', first))
}
