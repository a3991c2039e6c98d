import type { Command } from 'commander'
import { TerminalError } from '../domain/errors.js'
import type { Deployer } from '../ports/deployer.js'
import type { CustomerDesk, LaneKeys, ProviderDesk, PublicDesk } from '../ports/desk.js'
import type { PriceDesk, PriceKeeperDesk } from '../ports/price-desk.js'
import type { DeploymentFile, PlanFile } from '../settlers/index.js'
import type { Checkpoint } from './checkpoint.js'
import type { DeployAllOptions, DeployReport } from './deploy-all.js'

/** A desk with what the settings say of it. */
export interface Opened<Desk> {
  readonly desk: Desk
  /** FLOW_PROVIDER_ID. */
  readonly providerId: bigint | undefined
  readonly signal: AbortSignal
}

export interface SendOptions {
  /** Of a run that was broken off. */
  readonly sequenceNumber?: bigint
}

/** What commands of people with keys of their own are given. */
export interface DeskParts {
  /** @throws ConfigError where there is no such file, or it is no JSON */
  readonly readPlans: (path: string) => Promise<PlanFile>
  readonly openPublicDesk: () => Promise<Opened<PublicDesk>>
  readonly openProviderDesk: (options: SendOptions) => Promise<Opened<ProviderDesk>>
  readonly openCustomerDesk: (options: SendOptions) => Promise<Opened<CustomerDesk>>
  /** Errors as readPlans. */
  readonly readDeployment: (path: string) => Promise<DeploymentFile>
  /** Adds keys to the daemon's account on Flow until it has so many. */
  readonly ensureLaneKeys: (count: number) => Promise<LaneKeys>
  /** Without a key nothing can be sent. A network that is named goes before the settings' own. */
  readonly openDeployer: (options: {
    readonly hasKey: boolean
    readonly network?: string
  }) => Promise<Opened<Deployer>>
  /** Anchor, contracts, accounts and provider, by the settings. */
  readonly deployAll: (options: DeployAllOptions) => Promise<DeployReport>
  readonly openPriceDesk: () => Promise<Opened<PriceDesk>>
  /** With the contract account's key, or a provider's. */
  readonly openPriceKeeperDesk: (
    role: 'governor' | 'provider',
    options: SendOptions,
  ) => Promise<Opened<PriceKeeperDesk>>
  /** Of the reward epoch in force unless told. */
  readonly readCheckpoint: (epoch: number | undefined) => Promise<Checkpoint>
}

/** Loads nothing of the chain before a command needs it. */
export function lazyDesks(load: () => Promise<DeskParts>): DeskParts {
  return {
    readPlans: async (path) => (await load()).readPlans(path),
    openPublicDesk: async () => (await load()).openPublicDesk(),
    openProviderDesk: async (options) => (await load()).openProviderDesk(options),
    openCustomerDesk: async (options) => (await load()).openCustomerDesk(options),
    readDeployment: async (path) => (await load()).readDeployment(path),
    openDeployer: async (options) => (await load()).openDeployer(options),
    ensureLaneKeys: async (count) => (await load()).ensureLaneKeys(count),
    deployAll: async (options) => (await load()).deployAll(options),
    openPriceDesk: async () => (await load()).openPriceDesk(),
    openPriceKeeperDesk: async (role, options) => (await load()).openPriceKeeperDesk(role, options),
    readCheckpoint: async (epoch) => (await load()).readCheckpoint(epoch),
  }
}

/** Says without a stack why the chain refused. That it is silent goes on to the caller. */
export async function told<Result>(command: Command, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof TerminalError) command.error(`error: ${error.message}`, { exitCode: 2 })
    throw error
  }
}

export const PROVIDER = [
  '--provider <number>',
  'the provider; FLOW_PROVIDER_ID unless told',
] as const

export const SEQUENCE_NUMBER = [
  '--sequence-number <number>',
  'of a run that was broken off: the transaction cannot land twice',
] as const

export function sendOptionsOf(
  { sequenceNumber }: { readonly sequenceNumber?: string },
  command: Command,
): SendOptions {
  if (sequenceNumber === undefined) return {}
  return { sequenceNumber: wholeNumber(sequenceNumber, command) }
}

/** A number from 0 to 2^64 - 1; anything else is wrong usage. */
export function wholeNumber(text: string, command: Command): bigint {
  const number = /^\d{1,20}$/.test(text) ? BigInt(text) : -1n
  if (number >= 0n && number < 1n << 64n) return number
  return command.error(`error: "${text}" is no number from 0 to 2^64 - 1`, { exitCode: 2 })
}

/** The provider of the option, else of the settings. */
export function providerOf(
  opened: Opened<PublicDesk>,
  option: string | undefined,
  command: Command,
): bigint {
  if (option !== undefined) return wholeNumber(option, command)
  if (opened.providerId !== undefined) return opened.providerId
  const fix = 'Set FLOW_PROVIDER_ID, or add --provider <number>.'
  return command.error(`error: which provider? ${fix}`, { exitCode: 2 })
}
