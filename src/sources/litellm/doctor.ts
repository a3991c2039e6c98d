import type { LitellmConfig } from './config.js'

/** What an operator does about a code of the port's errors. */
export function fixOf(code: string, { apiKeyEnv, apiUrl }: LitellmConfig): string {
  switch (code) {
    case 'source_unreachable':
      return `Is LiteLLM running at ${new URL(apiUrl).origin}? Check the address in the settings.`
    case 'source_refused':
      return `Put a valid LiteLLM key into ${apiKeyEnv}.`
    case 'source_role':
      return (
        `Make the key in ${apiKeyEnv} one of a user with the role proxy_admin_viewer ` +
        '(proxy_admin before LiteLLM 1.96).'
      )
    case 'source_no_database':
      return 'Give LiteLLM its database (DATABASE_URL) and see that it is up.'
    default:
      return `Is what answers at ${new URL(apiUrl).origin} really LiteLLM, of 1.81 or later?`
  }
}
