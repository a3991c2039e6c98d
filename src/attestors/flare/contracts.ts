import { Interface } from 'ethers'
import { type Hex, ZERO_HASH } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'
import * as abi from './abi.js'
import type { FlareChain } from './chain.js'

/** On all of Flare's networks. */
export const REGISTRY_ADDRESS = '0xad67fe66660fb8dfe9d6b1b4240d8650e30f6019'

export const interfaces = {
  registry: new Interface(abi.flareContractRegistryAbi),
  systemsManager: new Interface(abi.flareSystemsManagerAbi),
  relay: new Interface(abi.relayAbi),
  fdcHub: new Interface(abi.fdcHubAbi),
  feeConfigurations: new Interface(abi.fdcRequestFeeConfigurationsAbi),
  fdcVerification: new Interface(abi.fdcVerificationAbi),
  submission: new Interface(abi.submissionAbi),
  anchor: new Interface(abi.usageAnchorAbi),
}

/** Where Flare's contracts are now, and the clock of voting rounds. */
export interface FlareContracts {
  readonly relay: Hex
  readonly fdcHub: Hex
  readonly feeConfigurations: Hex
  readonly systemsManager: Hex
  /** Where providers show each other what they signed. */
  readonly submission: Hex
  /** Unix seconds at which round 0 began. */
  readonly firstRoundStartsAt: number
  readonly roundSeconds: number
  /** Unix seconds at which reward epoch 0 nominally began. */
  readonly firstEpochStartsAt: number
  readonly epochSeconds: number
}

/** Remembers the Relays that were in use. Part of the store. */
export interface RelayMemory {
  saveRelay(address: Hex): Promise<void>
  /** Newest first. */
  relays(): Promise<readonly Hex[]>
}

export interface BookParts {
  readonly chain: FlareChain
  readonly refreshMs: number
  /** Relays from before the memory began, newest first. */
  readonly pastRelays: readonly Hex[]
  readonly memory: RelayMemory
}

/** Everything but the registry's own address is read from the chain, again on a schedule. */
export class ContractBook {
  readonly #chain: FlareChain
  readonly #parts: BookParts
  #known: { readonly contracts: FlareContracts; readonly readAtMs: number } | undefined

  constructor(parts: BookParts) {
    this.#chain = parts.chain
    this.#parts = parts
  }

  /**
   * The Relay of today, and after it those that it replaced: a round that was finalised before the
   * cut-over has its root on an older one, and so have the policies of then.
   */
  async relays(signal: AbortSignal): Promise<readonly Hex[]> {
    const { relay } = await this.current(signal)
    const { memory, pastRelays } = this.#parts
    return [...new Set([relay, ...(await memory.relays()), ...pastRelays])]
  }

  /**
   * The first of the Relays, newest first, that has an answer. One that was replaced long ago may
   * not know the question.
   */
  async onRelays<Answer>(
    ask: (relay: Hex) => Promise<Answer | undefined>,
    signal: AbortSignal,
  ): Promise<Answer | undefined> {
    const [current, ...past] = await this.relays(signal)
    const found = current && (await ask(current))
    if (found !== undefined) return found
    for (const relay of past) {
      const answer = await ask(relay).catch(unlessNonsense)
      if (answer !== undefined) return answer
    }
    return undefined
  }

  async current(signal: AbortSignal): Promise<FlareContracts> {
    // A monotonic clock: this is about an interval, and no setting of the time should change it.
    const nowMs = performance.now()
    if (this.#known === undefined || nowMs - this.#known.readAtMs > this.#parts.refreshMs) {
      const contracts = await this.#read(signal)
      const isOtherRelay = this.#known?.contracts.relay !== contracts.relay
      if (isOtherRelay) await this.#parts.memory.saveRelay(contracts.relay)
      this.#known = { contracts, readAtMs: nowMs }
    }
    return this.#known.contracts
  }

  async #read(signal: AbortSignal): Promise<FlareContracts> {
    const addressOf = (name: string): Promise<Hex> => this.#addressOf(name, signal)
    const [relay, fdcHub, feeConfigurations, systemsManager, submission] = await Promise.all([
      addressOf('Relay'),
      addressOf('FdcHub'),
      addressOf('FdcRequestFeeConfigurations'),
      addressOf('FlareSystemsManager'),
      addressOf('Submission'),
    ])
    const number = async (method: string): Promise<number> => {
      const args = [interfaces.systemsManager, systemsManager, method, [], signal] as const
      return Number((await this.#chain.view(...args))[0])
    }
    const duration = async (method: string): Promise<number> => {
      const seconds = await number(method)
      if (seconds > 0) return seconds
      throw new RetryableError('attestor_nonsense', `${method} is ${seconds} s`)
    }
    const [firstRoundStartsAt, roundSeconds, firstEpochStartsAt, epochSeconds] = await Promise.all([
      number('firstVotingRoundStartTs'),
      duration('votingEpochDurationSeconds'),
      number('firstRewardEpochStartTs'),
      duration('rewardEpochDurationSeconds'),
    ])
    const timing = { firstRoundStartsAt, roundSeconds, firstEpochStartsAt, epochSeconds }
    return { relay, fdcHub, feeConfigurations, systemsManager, submission, ...timing }
  }

  async #addressOf(name: string, signal: AbortSignal): Promise<Hex> {
    const method = 'getContractAddressByName'
    const view = [interfaces.registry, REGISTRY_ADDRESS, method, [name], signal] as const
    // Fees go to one of these: no single node may name it.
    const address = (await this.#chain.agreed(...view)).toLowerCase() as Hex
    if (BigInt(address) !== 0n) return address
    throw new RetryableError('attestor_nonsense', `Flare's registry knows no ${name}`)
  }
}

/** The round that a block of this time belongs to. */
export function roundAt(timestamp: number, contracts: FlareContracts): number {
  return Math.floor((timestamp - contracts.firstRoundStartsAt) / contracts.roundSeconds)
}

/** Unix seconds at which a round begins, which is when the one before ends. */
export function roundStartsAt(round: number, contracts: FlareContracts): number {
  return contracts.firstRoundStartsAt + round * contracts.roundSeconds
}

/** The reward epoch in which a round lies by the calendar; its policy may come later. */
export function nominalEpochOf(round: number, contracts: FlareContracts): number {
  const { firstEpochStartsAt, epochSeconds } = contracts
  return Math.floor((roundStartsAt(round, contracts) - firstEpochStartsAt) / epochSeconds)
}

/** An event's topic 0. */
export function topicOf(contract: Interface, event: string): Hex {
  const fragment = contract.getEvent(event)
  if (fragment === null) throw new Error(`no event ${event}`)
  return fragment.topicHash.toLowerCase() as Hex
}

/** A number or an address as a topic. */
export function asTopic(value: bigint | number | Hex): Hex {
  const digits = BigInt(value).toString(16)
  return `0x${digits.padStart(ZERO_HASH.length - 2, '0')}`
}

function unlessNonsense(error: unknown): undefined {
  if (error instanceof RetryableError && error.code === 'attestor_nonsense') return undefined
  throw error
}
