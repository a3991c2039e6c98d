import type { Hex } from '../domain/bytes.js'
import type { DeploymentTerms } from './deployer.js'
import type { SignedTx } from './lane.js'

export interface AnchorSurvey {
  /** Of the network that the node is on: it is the one of the settings, or this was not reached. */
  readonly chainId: number
  /** `other`: there is a contract at the address with other code. */
  readonly state: 'missing' | 'same' | 'other'
  /** Where it is, or where the next deployment puts it. */
  readonly address: Hex
  readonly payer: Hex
  /** Wei. */
  readonly balance: bigint
  /** Wei, at today's price of gas; 0 where nothing is to be sent. */
  readonly cost: bigint
}

/** What a deployment must not forget: kept before anything is sent. */
export interface AnchorMemory {
  /** Oldest first: the transaction and those that paid more for the same. */
  load(): Promise<readonly SignedTx[]>
  save(txs: readonly SignedTx[]): Promise<void>
}

export interface AnchorPlace {
  readonly address: Hex
  readonly block: number
}

/** Puts the contract that takes batch headers on its chain, once. */
export interface AnchorDeployer {
  /**
   * @param address of one that is there, as far as anybody knows
   * @throws RetryableError where the chain cannot be asked
   * @throws ConfigError `wrong_chain`
   */
  survey(address: Hex | undefined, signal: AbortSignal): Promise<AnchorSurvey>
  /**
   * Goes on with what the memory has, or signs and sends. Run again after a crash at any point, it
   * deploys no second one, for as long as the memory is kept.
   *
   * @throws RetryableError as survey, and where the wallet cannot pay
   * @throws TerminalError `transaction_refused`
   */
  deploy(
    memory: AnchorMemory,
    tell: (line: string) => void,
    signal: AbortSignal,
  ): Promise<AnchorPlace>
  /**
   * What the settlement chain's contracts are told of this network as it is now: the policy in force
   * is what all later trust begins with.
   *
   * @throws ConfigError `legacy_digests` where the network still signs in a way that has to be bounded by hand
   */
  terms(
    anchor: Hex,
    policy: Hex,
    rewardEpoch: number,
    signal: AbortSignal,
  ): Promise<Omit<DeploymentTerms, 'epochsKept' | 'checkpointDelayS' | 'meterDelayS'>>
}
