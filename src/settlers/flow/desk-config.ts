import { z } from 'zod'
import { accessNodeOf, type FlowConfig, flowConfig, flowSettings } from './config.js'

/** The settings of people's own commands: a provider's, a customer's, a deployer's. */

/** To read what everybody may see. */
export const publicDeskConfig = flowConfig
  .pick({
    network: true,
    accessNode: true,
    contractsAddress: true,
    requestTimeoutMs: true,
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

export type PublicDeskConfig = z.infer<typeof publicDeskConfig>
export type PersonDeskConfig = z.infer<typeof personDeskConfig>
export type DeployerConfig = z.infer<typeof deployerConfig>

/** The network's public node unless another is named. */
export function nodeOf({
  network,
  accessNode,
}: Pick<FlowConfig, 'network' | 'accessNode'>): string {
  return accessNodeOf({ network, accessNode } as FlowConfig) // All that it looks at.
}

const { network, accessNode, contractsAddress, providerId, ...rest } = flowSettings
const { requestTimeoutMs, transactionExpiryBlocks } = rest

export const publicDeskSettings = {
  ...{ network, accessNode, contractsAddress, providerId },
  ...{ requestTimeoutMs, transactionExpiryBlocks },
} as const

export const providerSettings = { ...publicDeskSettings, ...personSettings('PROVIDER') }
/** The contract account's own say: whoever deployed the contracts governs them. */
export const governorSettings = { ...publicDeskSettings, ...personSettings('DEPLOYER') }
export const customerSettings = { ...publicDeskSettings, ...personSettings('CUSTOMER') }
export const deployerSettings = {
  ...{ network, accessNode, requestTimeoutMs, transactionExpiryBlocks },
  ...personSettings('DEPLOYER'),
}

function personSettings<Role extends string>(role: Role) {
  const whose = role.toLowerCase()
  return {
    accountAddress: { env: `FLOW_${role}_ADDRESS`, help: `the ${whose}'s account` },
    privateKey: {
      env: `FLOW_${role}_PRIVATE_KEY`,
      secret: true,
      help: `its private key, 64 hex digits; never the daemon's`,
    },
    keyIndex: { env: `FLOW_${role}_KEY_INDEX`, help: 'index of its key; 0' },
  } as const
}
