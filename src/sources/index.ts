import { z } from 'zod'
import type { UsageSource } from '../ports/usage-source.js'
import { litellmConfig } from './litellm/config.js'

/** The settings of one source. A new kind is a line here and a case below. */
export const sourceConfig = z.discriminatedUnion('kind', [litellmConfig])

export type SourceConfig = z.infer<typeof sourceConfig>

/**
 * Loads the adapter that was chosen. Asks the source nothing yet.
 *
 * @param secretOf the value of an environment variable, checked to be there with the settings
 */
export async function createSource(
  config: SourceConfig,
  secretOf: (variable: string) => string,
): Promise<UsageSource> {
  switch (config.kind) {
    case 'litellm':
      return (await import('./litellm/source.js')).litellmSource(config, secretOf(config.apiKeyEnv))
  }
}
