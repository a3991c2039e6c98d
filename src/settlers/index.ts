import type { Deployer } from '../ports/deployer.js'
import type { CustomerDesk, LaneKeys, ProviderDesk, PublicDesk } from '../ports/desk.js'
import type { Finding } from '../ports/finding.js'
import type { Network, SetUpNeeds } from '../ports/made-key.js'
import type { PriceDesk, PriceKeeperDesk } from '../ports/price-desk.js'
import type { Prices } from '../ports/prices.js'
import type { Settler } from '../ports/settler.js'
import { type FlowConfig, flowConfig, flowSettings } from './flow/config.js'
import type { DeploymentFile } from './flow/deployment.js'
import type {
  DeployerConfig,
  LaneKeysConfig,
  PersonDeskConfig,
  PublicDeskConfig,
} from './flow/desk-config.js'
import type { ExpectedElsewhere } from './flow/doctor.js'
import type { PlanFile } from './flow/plan-file.js'
import type { Telling } from './flow/provider.js'

export {
  customerSettings,
  deployerConfig,
  deployerSettings,
  governorSettings,
  laneKeysConfig,
  laneKeysSettings,
  personDeskConfig,
  providerSettings,
  publicDeskConfig,
  publicDeskSettings,
} from './flow/desk-config.js'
export type {
  DeployerConfig,
  DeploymentFile,
  PersonDeskConfig,
  PlanFile,
  PublicDeskConfig,
  Telling,
}

/** The settings of the chain that is settled on. A second chain makes this a union by `kind`. */
export const settlerConfig = flowConfig
export type SettlerConfig = FlowConfig

/** The environment variable of each setting. */
export const settlerSettings = flowSettings

/** Loads the adapter that was chosen. Asks no network. */
export async function createSettler(config: SettlerConfig): Promise<Settler> {
  switch (config.kind) {
    case 'flow': {
      const { FlowSettler } = await import('./flow/settler.js')
      return new FlowSettler(config)
    }
  }
}

/** What customers pay with, and what it is worth. Asks no network. */
export async function createPrices(config: SettlerConfig): Promise<Prices> {
  switch (config.kind) {
    case 'flow':
      return new (await import('./flow/prices.js')).FlowPrices(config)
  }
}

/** Looks at all that settlement needs. Throws only what is a bug. */
export async function settlerDoctor(
  config: SettlerConfig,
  signal: AbortSignal,
  expected: ExpectedElsewhere = {},
): Promise<readonly Finding[]> {
  switch (config.kind) {
    case 'flow':
      return (await import('./flow/doctor.js')).examineFlow(config, signal, expected)
  }
}

/** Reads a plan file's JSON by the rules of the chain that it would be published on. */
export async function readPlanFile(json: unknown): Promise<PlanFile> {
  return (await import('./flow/plan-file.js')).parsePlanFile(json)
}

export async function openPublicDesk(config: PublicDeskConfig): Promise<PublicDesk> {
  return new (await import('./flow/public-desk.js')).FlowPublicDesk(config)
}

export async function openProviderDesk(
  config: PersonDeskConfig,
  telling: Telling,
): Promise<ProviderDesk> {
  return new (await import('./flow/provider.js')).FlowProviderDesk(config, telling)
}

export async function openCustomerDesk(
  config: PersonDeskConfig,
  telling: Telling,
): Promise<CustomerDesk> {
  return new (await import('./flow/customer.js')).FlowCustomerDesk(config, telling)
}

export async function openPriceDesk(config: PublicDeskConfig): Promise<PriceDesk> {
  return new (await import('./flow/price-desk.js')).FlowPriceDesk(config)
}

export async function openPriceKeeperDesk(
  config: PersonDeskConfig,
  role: 'governor' | 'provider',
  telling: Telling,
): Promise<PriceKeeperDesk> {
  const { FlowPriceKeeperDesk } = await import('./flow/price-desk.js')
  return new FlowPriceKeeperDesk(config, role, telling)
}

/** Reads a deployment file's JSON. */
export async function readDeploymentFile(json: unknown): Promise<DeploymentFile> {
  return (await import('./flow/deployment.js')).parseDeploymentFile(json)
}

export async function openDeployer(config: DeployerConfig, telling: Telling): Promise<Deployer> {
  return new (await import('./flow/deploy.js')).FlowDeployer(config, telling)
}

/** Adds keys to the daemon's own account until it has so many. */
export async function ensureLaneKeys(
  config: LaneKeysConfig,
  count: number,
  tell: Telling['tell'],
  signal: AbortSignal,
): Promise<LaneKeys> {
  return (await import('./flow/keys.js')).ensureKeys(config, count, tell, signal)
}

/** The keys and settings that a set-up on a network needs of this adapter. */
export async function settlerSetUp(network: Network): Promise<SetUpNeeds> {
  return (await import('./flow/set-up.js')).flowSetUp(network)
}
