import type { Hex } from '../domain/bytes.js'
import type { Ufix64Units } from '../domain/money.js'
import type { Done } from './desk.js'

/** What the contracts are told once, when they are deployed. */
export interface DeploymentTerms {
  /** Of the Flare network whose rounds prove batches. */
  readonly flareChainId: number
  /** FDC's name of that network. */
  readonly sourceId: string
  /** Of UsageAnchor there, 20 bytes. */
  readonly anchor: Hex
  /** Bytes of the signing policy that is trusted from the start. */
  readonly checkpoint: Hex
  /** Nominal start of reward epoch 0. */
  readonly firstEpochStartRound: number
  readonly roundsPerEpoch: number
  /** Signing policies that are kept, with the roots of their rounds. */
  readonly epochsKept: number
  readonly checkpointDelayS: number
  readonly meterDelayS: number
  /** First round, and first epoch, whose digest is bound to the chain id; undefined: all are. */
  readonly boundMessageFromRound: number | undefined
  readonly boundPolicyFromEpoch: number | undefined
}

export interface ContractFound {
  readonly name: string
  /** Of our source, with its imports as they are sent. */
  readonly bytes: number
  /** `other`: there is a contract of this name with other code. */
  readonly state: 'missing' | 'same' | 'other'
}

export interface Survey {
  readonly network: string
  readonly address: string
  readonly balance: Ufix64Units
  /** In the order of deployment. */
  readonly contracts: readonly ContractFound[]
  /** Where what is deployed was told something else than these terms. */
  readonly differences: readonly string[]
}

/** Puts the contracts on their account. May be run again at any time: it goes on where it was. */
export interface Deployer {
  /** @throws ConfigError where the node is of another network */
  survey(terms: DeploymentTerms, signal: AbortSignal): Promise<Survey>
  /** Deploys one that is missing; the ones before it have to be there. */
  deploy(name: string, terms: DeploymentTerms, signal: AbortSignal): Promise<Done>
  /**
   * The account that was made for a key; undefined: none yet.
   *
   * @param publicKey as the key's adapter shows it
   */
  accountOf(publicKey: string, signal: AbortSignal): Promise<string | undefined>
  /** Makes an account for a key, with FLOW of the deployer's. That there is one is a success. */
  makeAccount(publicKey: string, funds: Ufix64Units, signal: AbortSignal): Promise<Done>
}
