import { concat, getAddress, Interface, zeroPadValue } from 'ethers'
import { CHAIN_ID } from './anvil.js'
import { type Artifact, compiledContracts } from './artifacts.js'
import type { Chain } from './chain.js'
import type { EpochParams } from './epochs.js'
import { EVM_TRANSACTION, nameBytes, TEST_FLARE } from './evm-transaction.js'
import { type Digests, policyBytes, policyHash, type SigningPolicy } from './formats.js'

/** On all of Flare's networks. */
export const REGISTRY_ADDRESS = '0xaD67FE66660Fb8dFE9d6b1b4240d8650e30F6019'
/** Wei, as Coston2 asks for EVMTransaction of testFLR. */
export const REQUEST_FEE_WEI = 1000n
/** Coston2's: a policy outlives its epoch only with six fifths of its threshold. */
const THRESHOLD_INCREASE_BIPS = 12_000
const FINALIZATION_WINDOW_EPOCHS = 30
const RANDOM_NUMBER_PROTOCOL_ID = 100

export interface DeployParts {
  readonly chain: Chain
  /** Unlocked. It governs the stand-ins. */
  readonly governance: string
  readonly params: EpochParams
  /** The policy that everything begins with. */
  readonly initial: SigningPolicy
  /** Rounds between setting a policy and its start, at least. */
  readonly startDelayRounds: number
  readonly finalizationWindowEpochs?: number
  /** Of the Relay; bound to the chain id unless told. */
  readonly digests?: Digests
}

/** A contract with the address and the ABI to call it. */
export interface Deployed {
  readonly address: string
  readonly abi: Interface
}

export interface DeployedRelay extends Deployed {
  readonly digests: Digests
}

export interface Contracts {
  readonly registry: Deployed
  readonly systemsManager: Deployed
  /** The one in the registry. Another takes its place when it is replaced. */
  relay: DeployedRelay
  /** Earlier ones, each with the first round that it does not take. */
  readonly pastRelays: { readonly relay: DeployedRelay; readonly untilRound: number }[]
  readonly feeConfigurations: Deployed
  readonly fdcHub: Deployed
  readonly fdcVerification: Deployed
  readonly usageAnchor: Deployed
  readonly submission: Deployed
  /** Hides what is relayed through it from readers of transactions. */
  readonly encodingRelayer: Deployed
}

/** Puts the stand-ins and the anchor on a fresh chain. Takes a block for each transaction. */
export async function deployContracts(parts: DeployParts): Promise<Contracts> {
  const { chain, governance } = parts
  const artifact = await compiledContracts()
  const deploy = (name: string, args: readonly unknown[] = []): Promise<Deployed> =>
    deployContract(chain, governance, artifact(name), args)

  const registry = await placeRegistry(chain, governance, artifact('FlareContractRegistry'))
  const systemsManager = await deploy('FlareSystemsManager', [
    registry.address,
    clockOf(parts),
    structOf(parts.initial),
  ])
  const relay = await deployRelay(parts, systemsManager.address, artifact)
  const feeConfigurations = await deploy('FdcRequestFeeConfigurations')
  const fdcHub = await deploy('FdcHub', [feeConfigurations.address])
  const fdcVerification = await deploy('FdcVerification', [registry.address])
  const usageAnchor = await deploy('UsageAnchor')
  const submission = await deploy('Submission')
  const encodingRelayer = await deploy('EncodingRelayer')

  await send(chain, governance, feeConfigurations, 'setTypeAndSourceFee', [
    nameBytes(EVM_TRANSACTION),
    nameBytes(TEST_FLARE),
    REQUEST_FEE_WEI,
  ])
  const names = Object.entries({
    FlareContractRegistry: registry,
    FlareSystemsManager: systemsManager,
    Relay: relay,
    FdcRequestFeeConfigurations: feeConfigurations,
    FdcHub: fdcHub,
    FdcVerification: fdcVerification,
    Submission: submission,
  })
  for (const [name, { address }] of names) {
    await send(chain, governance, registry, 'register', [name, address])
  }
  const daemonContracts = { fdcHub, fdcVerification, usageAnchor, submission, encodingRelayer }
  return {
    ...{ registry, systemsManager, relay, feeConfigurations, ...daemonContracts },
    pastRelays: [],
  }
}

/** Where the providers bring a round's root. */
export function relayFor({ relay, pastRelays }: Contracts, round: number): DeployedRelay {
  return pastRelays.find(({ untilRound }) => round < untilRound)?.relay ?? relay
}

/**
 * Puts a new Relay in the old one's place: it begins with the policy that is given, whose rounds and
 * all later ones it takes. Two blocks.
 */
export async function replaceRelay(contracts: Contracts, parts: DeployParts): Promise<void> {
  const { chain, governance, initial } = parts
  const artifact = await compiledContracts()
  const { systemsManager, registry, pastRelays, relay: old } = contracts
  const relay = await deployRelay(parts, systemsManager.address, artifact)
  await send(chain, governance, registry, 'register', ['Relay', relay.address])
  pastRelays.push({ relay: old, untilRound: initial.startVotingRoundId })
  contracts.relay = relay
}

async function deployRelay(
  parts: DeployParts,
  setter: string,
  artifact: (name: string) => Artifact,
): Promise<DeployedRelay> {
  const { chain, governance, digests = 'bound' } = parts
  const name = digests === 'bound' ? 'Relay' : 'OlderRelay'
  const args = [relayConfig(parts), setter]
  return { ...(await deployContract(chain, governance, artifact(name), args)), digests }
}

/** The numbers of a Relay as vectors and Flare's own configuration name them. */
export interface RelayConfig {
  readonly initialRewardEpochId: number
  readonly startingVotingRoundIdForInitialRewardEpochId: number
  readonly initialSigningPolicyHash: string
  readonly randomNumberProtocolId: number
  readonly firstVotingRoundStartTs: number
  readonly votingEpochDurationSeconds: number
  readonly firstRewardEpochStartVotingRoundId: number
  readonly rewardEpochDurationInVotingEpochs: number
  readonly thresholdIncreaseBIPS: number
  readonly messageFinalizationWindowInRewardEpochs: number
}

/** Deploys one contract; a Relay without a setter, for tests, is a mirror. */
export async function deployContract(
  chain: Chain,
  from: string,
  artifact: Artifact,
  args: readonly unknown[],
): Promise<Deployed> {
  const abi = new Interface(artifact.abi)
  const data = concat([artifact.bytecode, abi.encodeDeploy(args)])
  const { contractAddress } = await chain.transact({ from, data })
  if (contractAddress === null) throw new Error('deployed nothing')
  return { address: getAddress(contractAddress), abi }
}

/** The registry's code at its real address. Code placed there runs no constructor. */
export async function placeRegistry(
  chain: Chain,
  governance: string,
  { abi, deployedBytecode }: Artifact,
): Promise<Deployed> {
  const slotOfGovernance = zeroPadValue('0x00', 32)
  const value = zeroPadValue(governance, 32)
  await chain.rpc('anvil_setCode', [REGISTRY_ADDRESS, deployedBytecode])
  await chain.rpc('anvil_setStorageAt', [REGISTRY_ADDRESS, slotOfGovernance, value])
  return { address: REGISTRY_ADDRESS, abi: new Interface(abi) }
}

/** Calls a contract in a transaction of its own. */
export async function send(
  chain: Chain,
  from: string,
  to: Deployed,
  method: string,
  args: readonly unknown[],
): Promise<void> {
  await chain.transact({ from, to: to.address, data: to.abi.encodeFunctionData(method, args) })
}

/** The policy as the contracts take it. */
export function structOf(policy: SigningPolicy): unknown {
  const { voters, ...rest } = policy
  return {
    ...rest,
    voters: voters.map(({ address }) => address),
    weights: voters.map(({ weight }) => weight),
  }
}

function clockOf({ params, startDelayRounds }: DeployParts): unknown {
  return { ...params, startDelayRounds }
}

function relayConfig(parts: DeployParts): RelayConfig {
  const { params, initial, finalizationWindowEpochs, digests = 'bound' } = parts
  return {
    initialRewardEpochId: initial.rewardEpochId,
    startingVotingRoundIdForInitialRewardEpochId: initial.startVotingRoundId,
    initialSigningPolicyHash: policyHash(digests, CHAIN_ID, policyBytes(initial)),
    randomNumberProtocolId: RANDOM_NUMBER_PROTOCOL_ID,
    ...params,
    thresholdIncreaseBIPS: THRESHOLD_INCREASE_BIPS,
    messageFinalizationWindowInRewardEpochs: finalizationWindowEpochs ?? FINALIZATION_WINDOW_EPOCHS,
  }
}
