import { z } from 'zod'
import { flowConfig, flowSettings } from './config.js'

/** The settings of people's own commands: a provider's, a customer's, a deployer's. */

/** To read what everybody may see. */
export const publicDeskConfig = flowConfig
  .pick({
    network: true,
    accessNodes: true,
    contractsAddress: true,
    requestTimeoutMs: true,
    scriptsPerSecond: true,
    transactionExpiryBlocks: true,
  })
  .extend({ providerId: flowConfig.shape.providerId.optional() })

/** To act for an account. Its key is never the daemon's, nor does the daemon ever need it. */
export const personDeskConfig = publicDeskConfig.extend({
  accountAddress: flowConfig.shape.accountAddress,
  privateKey: flowConfig.shape.privateKey,
  keyIndex: z.coerce.number().int().min(0).default(0),
})

/** To deploy: the contracts are to be on the account itself. */
export const deployerConfig = personDeskConfig.omit({ contractsAddress: true, providerId: true })

/** The daemon's own settings, as far as its account goes. */
export const laneKeysConfig = flowConfig.omit({
  kind: true,
  contractsAddress: true,
  providerId: true,
})

export type LaneKeysConfig = z.infer<typeof laneKeysConfig>
export type PublicDeskConfig = z.infer<typeof publicDeskConfig>
export type PersonDeskConfig = z.infer<typeof personDeskConfig>
export type DeployerConfig = z.infer<typeof deployerConfig>

const { network, accessNodes, contractsAddress, providerId, ...rest } = flowSettings
const { requestTimeoutMs, scriptsPerSecond, transactionExpiryBlocks } = rest

export const publicDeskSettings = {
  ...{ network, accessNodes, contractsAddress, providerId },
  ...{ requestTimeoutMs, scriptsPerSecond, transactionExpiryBlocks },
} as const

export const providerSettings = { ...publicDeskSettings, ...personSettings('PROVIDER') }
/** The contract account's own say: whoever deployed the contracts governs them. */
export const governorSettings = { ...publicDeskSettings, ...personSettings('DEPLOYER') }
export const customerSettings = { ...publicDeskSettings, ...personSettings('CUSTOMER') }
export const deployerSettings = {
  ...{ network, accessNodes, requestTimeoutMs, scriptsPerSecond, transactionExpiryBlocks },
  ...personSettings('DEPLOYER'),
}

const { contractsAddress: _contracts, providerId: _provider, ...ofTheAccount } = flowSettings
export const laneKeysSettings = ofTheAccount

function personSettings<Role extends string>(role: Role) {
  const whose = role.toLowerCase()
  return {
    accountAddress: { env: `FLOW_${role}_ADDRESS`, help: `the ${whose}'s account` },
    privateKey: {
      env: `FLOW_${role}_PRIVATE_KEY`,
      secret: true,
      help: `its private key, 64 hex digits, or aws-kms: and a key; never the daemon's`,
    },
    keyIndex: { env: `FLOW_${role}_KEY_INDEX`, help: 'index of its key; 0' },
  } as const
}
