import { Interface } from 'ethers'
import { type Hex, ZERO_HASH } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'
import * as abi from './abi.js'
import type { FlareChain } from './chain.js'

/** On all of Flare's networks. */
export const REGISTRY_ADDRESS = '0xad67fe66660fb8dfe9d6b1b4240d8650e30f6019'
/** Contracts are redeployed every few months, with weeks of notice; our look is cheap. */
const REFRESH_MS = 10 * 60_000

export const interfaces = {
  registry: new Interface(abi.flareContractRegistryAbi),
  systemsManager: new Interface(abi.flareSystemsManagerAbi),
  relay: new Interface(abi.relayAbi),
  fdcHub: new Interface(abi.fdcHubAbi),
  feeConfigurations: new Interface(abi.fdcRequestFeeConfigurationsAbi),
  fdcVerification: new Interface(abi.fdcVerificationAbi),
  anchor: new Interface(abi.usageAnchorAbi),
}

/** Where Flare's contracts are now, and the clock of voting rounds. */
export interface FlareContracts {
  readonly relay: Hex
  readonly fdcHub: Hex
  readonly feeConfigurations: Hex
  readonly systemsManager: Hex
  /** Unix seconds at which round 0 began. */
  readonly firstRoundStartsAt: number
  readonly roundSeconds: number
}

/** Everything but the registry's own address is read from the chain, again every ten minutes. */
export class ContractBook {
  readonly #chain: FlareChain
  #known: { readonly contracts: FlareContracts; readonly readAtMs: number } | undefined

  constructor(chain: FlareChain) {
    this.#chain = chain
  }

  async current(signal: AbortSignal): Promise<FlareContracts> {
    // A monotonic clock: this is about an interval, and no setting of the time should change it.
    const nowMs = performance.now()
    if (this.#known === undefined || nowMs - this.#known.readAtMs > REFRESH_MS) {
      this.#known = { contracts: await this.#read(signal), readAtMs: nowMs }
    }
    return this.#known.contracts
  }

  async #read(signal: AbortSignal): Promise<FlareContracts> {
    const [relay, fdcHub, feeConfigurations, systemsManager] = await Promise.all(
      ['Relay', 'FdcHub', 'FdcRequestFeeConfigurations', 'FlareSystemsManager'].map((name) =>
        this.#addressOf(name, signal),
      ),
    )
    if (!relay || !fdcHub || !feeConfigurations || !systemsManager) throw new Error('unreachable')
    const number = async (method: string): Promise<number> => {
      const args = [interfaces.systemsManager, systemsManager, method, [], signal] as const
      return Number((await this.#chain.view(...args))[0])
    }
    const [firstRoundStartsAt, roundSeconds] = await Promise.all([
      number('firstVotingRoundStartTs'),
      number('votingEpochDurationSeconds'),
    ])
    const timing = { firstRoundStartsAt, roundSeconds }
    return { relay, fdcHub, feeConfigurations, systemsManager, ...timing }
  }

  async #addressOf(name: string, signal: AbortSignal): Promise<Hex> {
    const method = 'getContractAddressByName'
    const [found] = await this.#chain.view(
      interfaces.registry,
      REGISTRY_ADDRESS,
      method,
      [name],
      signal,
    )
    const address = String(found).toLowerCase() as Hex
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
