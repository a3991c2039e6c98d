import type { SourceKind } from '../../ports/source-kind.js'
import { type GroupedUsageConfig, groupedUsageConfig } from './config.js'

/** Gateways that sum: their totals are read, and each increase is counted. */
export const groupedUsage = {
  config: groupedUsageConfig,
  create: async (config, { secretOf, readings }) =>
    (await import('./source.js')).groupedUsageSource(config, secretOf(config.apiKeyEnv), readings),
  fixOf(code, { apiUrl, apiKeyEnv, endpoint }) {
    switch (code) {
      case 'source_unreachable':
        return `Is the gateway running at ${new URL(apiUrl).origin}? Check the address.`
      case 'source_refused':
        return `Put a valid key of the gateway into ${apiKeyEnv}.`
      case 'source_role':
        return `Give the key in ${apiKeyEnv} the right to read the usage of all users.`
      case 'source_no_database':
        return 'The gateway says that it keeps no usage: give it its database.'
      default:
        return `Does the gateway really offer the "${endpoint}" endpoint? Ask it by hand.`
    }
  },
} satisfies SourceKind<GroupedUsageConfig> & { readonly config: typeof groupedUsageConfig }
