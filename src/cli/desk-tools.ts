import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { loadSettings } from '../config.js'
import { ConfigError } from '../domain/errors.js'
import {
  customerSettings,
  deployerConfig,
  deployerSettings,
  ensureLaneKeys,
  governorSettings,
  laneKeysConfig,
  laneKeysSettings,
  openCustomerDesk,
  openDeployer,
  openPriceDesk,
  openPriceKeeperDesk,
  openProviderDesk,
  openPublicDesk,
  type PersonDeskConfig,
  personDeskConfig,
  providerSettings,
  publicDeskConfig,
  publicDeskSettings,
  readDeploymentFile,
  readPlanFile,
  type Telling,
} from '../settlers/index.js'
import type { DeskParts, Opened } from './desk-parts.js'

export interface DeskSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly folder: string
  readonly tell: (line: string) => void
  readonly shutdownSignal: () => AbortSignal
}

/** The desks of this machine's settings. */
export function deskParts(surroundings: DeskSurroundings): DeskParts {
  const { env, folder, shutdownSignal, tell } = surroundings
  const openWith =
    <Desk>(
      settings: typeof providerSettings | typeof customerSettings | typeof governorSettings,
      open: (config: PersonDeskConfig, telling: Telling) => Promise<Desk>,
    ) =>
    async (options: Omit<Telling, 'tell'>): Promise<Opened<Desk>> => {
      const config = loadSettings(personDeskConfig, settings, env, folder)
      const desk = await open(config, { tell, ...options })
      return { desk, providerId: config.providerId, signal: shutdownSignal() }
    }
  return {
    readPlans: async (path) => readPlanFile(await readJson(resolve(folder, path))),
    readDeployment: async (path) => readDeploymentFile(await readJson(resolve(folder, path))),
    async openDeployer({ hasKey, network }) {
      const named = network === undefined ? env : { ...env, FLOW_NETWORK: network }
      const keyless = deployerConfig.omit({ privateKey: true })
      const { privateKey: _, ...keylessSettings } = deployerSettings
      const config = hasKey
        ? loadSettings(deployerConfig, deployerSettings, named, folder)
        : { ...loadSettings(keyless, keylessSettings, named, folder), privateKey: '' }
      const desk = await openDeployer(config, { tell })
      return { desk, providerId: undefined, signal: shutdownSignal() }
    },
    async deployAll(options) {
      const { Deployment } = await import('./deploy-tools.js')
      return new Deployment(surroundings, options).run()
    },
    async openPublicDesk() {
      const config = loadSettings(publicDeskConfig, publicDeskSettings, env, folder)
      const desk = await openPublicDesk(config)
      return { desk, providerId: config.providerId, signal: shutdownSignal() }
    },
    async ensureLaneKeys(count) {
      const config = loadSettings(laneKeysConfig, laneKeysSettings, env, folder)
      return ensureLaneKeys(config, count, tell, shutdownSignal())
    },
    async openPriceDesk() {
      const config = loadSettings(publicDeskConfig, publicDeskSettings, env, folder)
      return {
        desk: await openPriceDesk(config),
        providerId: config.providerId,
        signal: shutdownSignal(),
      }
    },
    openPriceKeeperDesk: (role, options) =>
      openWith(role === 'governor' ? governorSettings : providerSettings, (config, telling) =>
        openPriceKeeperDesk(config, role, telling),
      )(options),
    async readCheckpoint(epoch) {
      const { readCheckpoint } = await import('./checkpoint-tools.js')
      return readCheckpoint(epoch, surroundings)
    },
    openProviderDesk: openWith(providerSettings, openProviderDesk),
    openCustomerDesk: openWith(customerSettings, openCustomerDesk),
  }
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown
  } catch (error) {
    const why = error instanceof SyntaxError ? 'is not JSON' : 'cannot be read'
    throw new ConfigError('input_file', `${path} ${why}`)
  }
}
