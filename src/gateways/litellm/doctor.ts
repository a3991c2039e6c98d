import type { LitellmGatewayConfig } from './config.js'

/** What an operator does about a code of the port's errors. Shows no secret. */
export function fixOf(code: string, { adminKeyEnv }: LitellmGatewayConfig, apiUrl: string): string {
  switch (code) {
    case 'keys_unreachable':
      return `Is LiteLLM running at ${new URL(apiUrl).origin}? Check budgets.apiUrl.`
    case 'keys_refused':
      return `Put a valid LiteLLM key of the role proxy_admin into ${adminKeyEnv}.`
    case 'keys_role':
      return `Make the key in ${adminKeyEnv} one of a user with the role proxy_admin.`
    case 'keys_no_database':
      return 'Give LiteLLM its database (DATABASE_URL) and see that it is up.'
    default:
      return `Is what answers at ${new URL(apiUrl).origin} really LiteLLM, of 1.81 or later?`
  }
}
