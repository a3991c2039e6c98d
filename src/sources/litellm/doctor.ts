import { RetryableError } from '../../domain/errors.js'
import type { Finding } from '../../ports/finding.js'
import type { UsageSource } from '../../ports/usage-source.js'
import type { LitellmConfig } from './config.js'

/** Looks at one source from end to end and says what to mend. Throws only what is a bug. */
export async function examineLitellm(
  source: UsageSource,
  config: LitellmConfig,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const check = `source ${config.name}`
  try {
    const { version = 'of unknown version', warnings } = await source.probe(signal)
    const fine: Finding = { check, verdict: 'ok', says: `LiteLLM ${version} can be read` }
    return [fine, ...warnings.map((says): Finding => ({ check, verdict: 'warning', says }))]
  } catch (error) {
    if (!(error instanceof RetryableError)) throw error
    return [{ check, verdict: 'broken', says: error.message, fix: fixOf(error.code, config) }]
  }
}

function fixOf(code: string, { apiKeyEnv, apiUrl }: LitellmConfig): string {
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
