import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  attestorConfig,
  attestorSettings,
  createMeterKey,
  openAnchorDeployer,
} from '../attestors/index.js'
import { loadSettings } from '../config.js'
import type { Hex } from '../domain/bytes.js'
import { assert, ConfigError } from '../domain/errors.js'
import {
  formatUfix64,
  formatWad,
  parseUfix64,
  type Ufix64Units,
  type Wad,
} from '../domain/money.js'
import type { AnchorMemory, AnchorSurvey } from '../ports/anchor-deployer.js'
import type { Deployer, DeploymentTerms, Survey } from '../ports/deployer.js'
import type { SignedTx } from '../ports/lane.js'
import { writeDurably } from '../runtime/durable-file.js'
import { SettingLayers } from '../settings.js'
import {
  deployerConfig,
  deployerSettings,
  openDeployer,
  openProviderDesk,
  personDeskConfig,
  providerSettings,
  readDeploymentFile,
  settlerSettings,
  settlerSetUp,
} from '../settlers/index.js'
import { readCheckpoint } from './checkpoint-tools.js'
import type { DeployAllOptions, DeployReport, DeployStep } from './deploy-all.js'
import type { DeskSurroundings } from './desk-tools.js'
import { saveSettings } from './settings-file.js'

/** What was sent and agreed on: to go on from after a crash, and to be kept. */
const FOLDER = 'deployment'
const ANCHOR_FILE = join(FOLDER, 'anchor.json')
const TERMS_FILE = join(FOLDER, 'terms.json')
const READABLE = 0o644
const CHECKPOINT_DELAY_S = 7 * 86_400
const METER_DELAY_S = 86_400
/** A transaction that uses all it may costs 0.4 FLOW; one that deploys uses less. */
const FEE_MOST = parseUfix64('0.4')
/** Room for vaults and batches: 1 FLOW is 100 MB. `doctor` says when it gets full. */
const STORAGE = parseUfix64('5.0')
const DAEMON_FUNDS = parseUfix64('10.0')
const PROVIDER_FUNDS = parseUfix64('2.0')
const NOWHERE: Hex = `0x${'00'.repeat(20)}`

/** What is there and what is to be done, before anything is sent. */
interface Plan {
  readonly anchor: AnchorSurvey
  readonly terms: DeploymentTerms
  readonly isBegun: boolean
  readonly contracts: Survey
  readonly accounts: readonly Account[]
  readonly provider: bigint | undefined
}

interface Account {
  readonly setting: string
  readonly what: string
  readonly publicKey: string | undefined
  readonly address: string | undefined
  readonly funds: Ufix64Units
}

/** The anchor on Flare, the contracts and accounts on Flow, in the order in which they need each other. */
export class Deployment {
  readonly #surroundings: DeskSurroundings
  readonly #options: DeployAllOptions
  readonly #signal: AbortSignal

  constructor(surroundings: DeskSurroundings, options: DeployAllOptions) {
    this.#surroundings = surroundings
    this.#options = options
    this.#signal = surroundings.shutdownSignal()
  }

  /**
   * Run again it goes on where it was, and sends nothing that is there.
   *
   * @throws ConfigError where something else is there, or coins are missing: nothing was sent then
   */
  async run(): Promise<DeployReport> {
    const plan = await this.#look()
    const problems = problemsOf(plan)
    if (this.#options.isDry) return { ...reportOf(plan), problems, isDry: true }
    if (problems.length > 0) {
      const lines = problems.map((problem) => `  - ${problem}`).join('\n')
      throw new ConfigError('deployment', `Nothing was sent:\n${lines}`)
    }
    await this.#save({ [deployerSettings.accountAddress.env]: plan.contracts.address })
    await this.#deployAnchor(plan)
    await this.#deployContracts(plan)
    await this.#makeAccounts(plan)
    await this.#setUpProvider()
    return { ...reportOf(await this.#look()), problems: [], isDry: false }
  }

  async #look(): Promise<Plan> {
    const known = this.#find(attestorSettings.anchorAddress.env) as Hex | undefined
    const config = this.#attestorConfig(known ?? NOWHERE)
    const anchors = await openAnchorDeployer(config)
    const anchor = await anchors.survey(known, this.#signal)
    const isBegun = (await this.#anchorMemory(config.chainId).load()).length > 0
    const deployer = await this.#deployer()
    const terms = await this.#terms(anchor.address)
    const contracts = await deployer.survey(terms, this.#signal)
    const accounts = await this.#accounts(deployer, contracts)
    const id = this.#find(settlerSettings.providerId.env)
    return { anchor, terms, isBegun, contracts, accounts, provider: id ? BigInt(id) : undefined }
  }

  async #deployAnchor({ anchor }: Plan): Promise<void> {
    if (anchor.state === 'same') return
    const anchors = await openAnchorDeployer(this.#attestorConfig(NOWHERE))
    const memory = this.#anchorMemory(anchor.chainId)
    const place = await anchors.deploy(memory, this.#surroundings.tell, this.#signal)
    await this.#save({
      [attestorSettings.anchorAddress.env]: place.address,
      [attestorSettings.anchorFromBlock.env]: String(place.block),
    })
  }

  async #deployContracts({ contracts }: Plan): Promise<void> {
    const address = this.#find(attestorSettings.anchorAddress.env) as Hex
    const terms = await this.#terms(address)
    // What the contracts are told is kept first: the policy in force is another one tomorrow.
    await this.#keep(TERMS_FILE, fileOf(terms))
    const deployer = await this.#deployer()
    for (const { name, state } of contracts.contracts) {
      if (state === 'missing') await deployer.deploy(name, terms, this.#signal)
    }
    await this.#save({ [settlerSettings.contractsAddress.env]: contracts.address })
  }

  async #makeAccounts({ accounts }: Plan): Promise<void> {
    const deployer = await this.#deployer()
    for (const { setting, publicKey, address, funds } of accounts) {
      if (address !== undefined && publicKey === undefined) continue
      assert(publicKey !== undefined, `${setting} has neither account nor key`)
      await deployer.makeAccount(publicKey, funds, this.#signal)
      const made = await deployer.accountOf(publicKey, this.#signal)
      assert(made !== undefined, 'an account that was made is there')
      await this.#save({ [setting]: made })
    }
  }

  async #setUpProvider(): Promise<void> {
    const { env, folder, tell } = this.#surroundings
    const config = loadSettings(personDeskConfig, providerSettings, env, folder)
    const desk = await openProviderDesk(config, { tell })
    await desk.setUp(this.#signal)
    const id = await desk.ownId(this.#signal)
    assert(id !== undefined, 'an account that was set up is a provider')
    const anchor = this.#find(attestorSettings.anchorAddress.env) as Hex
    const meter = await createMeterKey(this.#attestorConfig(anchor))
    await desk.setMeter(meter.address, this.#signal)
    await this.#save({ [settlerSettings.providerId.env]: String(id) })
  }

  /** Agreed on before, or as Flare is now. */
  async #terms(anchor: Hex): Promise<DeploymentTerms> {
    const { folder, env } = this.#surroundings
    const path = join(folder, TERMS_FILE)
    if (existsSync(path)) {
      const parsed = await readDeploymentFile(JSON.parse(await readFile(path, 'utf8')))
      if (parsed.ok && parsed.terms.anchor === anchor) return parsed.terms
      const fix =
        'They are what an earlier run agreed on: correct the settings, or use another folder.'
      throw new ConfigError('deployment_terms', `${path} is not of the anchor ${anchor}. ${fix}`)
    }
    const anchored = { ...env, [attestorSettings.anchorAddress.env]: anchor }
    const surroundings = {
      ...this.#surroundings,
      env: anchored,
      shutdownSignal: () => this.#signal,
    }
    const { policy, rewardEpoch } = await readCheckpoint(undefined, surroundings)
    if (policy === undefined) {
      const fix = 'Run it again when the next reward epoch has begun.'
      throw new ConfigError(
        'no_checkpoint',
        `No node shows the policy of epoch ${rewardEpoch}. ${fix}`,
      )
    }
    const anchors = await openAnchorDeployer(this.#attestorConfig(anchor))
    const network = await anchors.terms(anchor, policy, rewardEpoch, this.#signal)
    return {
      ...network,
      epochsKept: this.#options.epochsKept,
      checkpointDelayS: CHECKPOINT_DELAY_S,
      meterDelayS: METER_DELAY_S,
    }
  }

  async #accounts(deployer: Deployer, { network }: Survey): Promise<readonly Account[]> {
    const { keys } = await settlerSetUp(network as 'testnet')
    const wanted = [
      {
        setting: providerSettings.accountAddress.env,
        key: providerSettings.privateKey.env,
        what: 'provider’s account',
        funds: PROVIDER_FUNDS,
      },
      {
        setting: settlerSettings.accountAddress.env,
        key: settlerSettings.privateKey.env,
        what: 'daemon’s account',
        funds: DAEMON_FUNDS,
      },
    ]
    const accounts: Account[] = []
    for (const { key, ...one } of wanted) {
      const known = this.#find(one.setting)
      if (known !== undefined) {
        accounts.push({ ...one, address: known, publicKey: undefined })
        continue
      }
      const secret = this.#layers().secret(key)
      if (secret === undefined) {
        const fix = `Run "flowmeter init", or set ${one.setting} to an account that you have.`
        throw new ConfigError('settings', `${key}: is missing. ${fix}`)
      }
      const publicKey = await keys.find(({ setting }) => setting === key)?.publicOf(secret)
      const address = publicKey && (await deployer.accountOf(publicKey, this.#signal))
      accounts.push({ ...one, publicKey, address })
    }
    return accounts
  }

  /** A dry run needs no key. */
  async #deployer(): Promise<Deployer> {
    const { env, folder, tell } = this.#surroundings
    const { deployer, isDry } = this.#options
    const setting = deployerSettings.accountAddress.env
    if (deployer === undefined && this.#find(setting) === undefined) {
      const fix = '"flowmeter init" says how to create it; then add --deployer <address>.'
      throw new ConfigError(
        'settings',
        `${setting}: which account is to hold the contracts? ${fix}`,
      )
    }
    const named = deployer === undefined ? env : { ...env, [setting]: deployer }
    const { privateKey: _, ...keyless } = deployerSettings
    const config = isDry
      ? {
          ...loadSettings(deployerConfig.omit({ privateKey: true }), keyless, named, folder),
          privateKey: '',
        }
      : loadSettings(deployerConfig, deployerSettings, named, folder)
    return openDeployer(config, { tell })
  }

  #attestorConfig(anchor: Hex) {
    const { env, folder } = this.#surroundings
    const anchored = { ...env, [attestorSettings.anchorAddress.env]: anchor }
    return loadSettings(attestorConfig, attestorSettings, anchored, folder)
  }

  #anchorMemory(chainId: number): AnchorMemory {
    const path = join(this.#surroundings.folder, ANCHOR_FILE)
    return {
      load: async () => {
        if (!existsSync(path)) return []
        const kept = JSON.parse(await readFile(path, 'utf8')) as {
          readonly chainId: number
          readonly transactions: readonly SignedTx[]
        }
        if (kept.chainId === chainId) return kept.transactions
        const fix = 'Deploy to each network from a folder of its own.'
        throw new ConfigError('deployment', `${path} is of Flare chain ${kept.chainId}. ${fix}`)
      },
      save: (transactions) => this.#keep(ANCHOR_FILE, { chainId, transactions }),
    }
  }

  #keep(file: string, value: unknown): Promise<void> {
    const text = `${JSON.stringify(value, null, 2)}\n`
    return writeDurably(join(this.#surroundings.folder, file), text, READABLE)
  }

  async #save(values: Readonly<Record<string, string>>): Promise<void> {
    const { env, folder, tell } = this.#surroundings
    for (const name of await saveSettings(values, env, folder)) {
      tell(`flowmeter.config.json: ${name}=${values[name]}`)
    }
  }

  #find(name: string): string | undefined {
    return this.#layers().find({ env: name })?.value
  }

  #layers(): SettingLayers {
    return new SettingLayers(this.#surroundings.env, this.#surroundings.folder)
  }
}

function problemsOf({ anchor, contracts, accounts, isBegun }: Plan): string[] {
  const problems: string[] = []
  if (anchor.state === 'other') problems.push(`${anchor.address} has other code than UsageAnchor`)
  // The price may double until it lands.
  const needed = 2n * anchor.cost
  if (anchor.state === 'missing' && !isBegun && anchor.balance < needed) {
    const has = `${anchor.payer} has ${formatWad(anchor.balance as Wad)} FLR`
    problems.push(`${has}, ${formatWad(needed as Wad)} are needed: see flowmeter init`)
  }
  for (const { name, state } of contracts.contracts) {
    if (state === 'other') problems.push(`${contracts.address} has a ${name} with other code`)
  }
  problems.push(...contracts.differences.map((one) => `${contracts.address}: ${one}`))
  const flow = flowNeeded(contracts, accounts)
  if (contracts.balance < flow) {
    const has = `${contracts.address} has ${formatUfix64(contracts.balance)} FLOW`
    problems.push(`${has}, ${formatUfix64(flow)} are needed: see flowmeter init`)
  }
  return problems
}

function flowNeeded({ contracts }: Survey, accounts: readonly Account[]): Ufix64Units {
  const missing = contracts.filter(({ state }) => state === 'missing').length
  const made = accounts.filter(({ address }) => address === undefined)
  const fees = BigInt(missing + made.length) * FEE_MOST
  const funds = made.reduce((sum, one) => sum + one.funds, 0n)
  return (fees + funds + (missing > 0 ? STORAGE : 0n)) as Ufix64Units
}

function reportOf(plan: Plan): Omit<DeployReport, 'problems' | 'isDry'> {
  const { anchor, contracts, accounts, terms, provider, isBegun } = plan
  const fee = `at most ${formatUfix64(FEE_MOST)} FLOW`
  const isAnchored = anchor.state === 'same'
  const steps: DeployStep[] = [
    {
      what: `UsageAnchor on Flare chain ${anchor.chainId}`,
      at: anchor.address,
      by: anchor.payer,
      isThere: isAnchored,
      ...(isAnchored
        ? {}
        : { cost: isBegun ? 'begun before' : `about ${formatWad(anchor.cost as Wad)} FLR` }),
    },
    ...contracts.contracts.map(({ name, bytes, state }) => ({
      what: `${name} (${bytes} bytes) on Flow ${contracts.network}`,
      at: contracts.address,
      by: contracts.address,
      isThere: state !== 'missing',
      ...(state === 'missing' ? { cost: fee } : {}),
    })),
    ...accounts.map(({ what, address, funds }) => ({
      what,
      at: address ?? 'a new address',
      by: contracts.address,
      isThere: address !== undefined,
      ...(address === undefined ? { cost: `${formatUfix64(funds)} FLOW for it, and ${fee}` } : {}),
    })),
    {
      what: 'provider, with its meter',
      at: provider === undefined ? 'the next number' : `number ${provider}`,
      by: accounts[0]?.address ?? 'the provider’s account',
      isThere: provider !== undefined,
      ...(provider === undefined
        ? { cost: `at most ${formatUfix64((2n * FEE_MOST) as Ufix64Units)} FLOW` }
        : {}),
    },
  ]
  return { steps, checkpoint: terms.checkpoint }
}

/** As docs/vaults.md has it. */
function fileOf(terms: DeploymentTerms): unknown {
  const { sourceId: _, checkpointDelayS, meterDelayS, ...same } = terms
  return {
    format: 'flowmeter.deployment.v1',
    ...same,
    checkpointDelaySeconds: checkpointDelayS,
    meterDelaySeconds: meterDelayS,
  }
}
