import type { SourceKind } from '../../ports/source-kind.js'
import { type LitellmConfig, litellmConfig } from './config.js'
import { fixOf } from './doctor.js'

/** LiteLLM, read through its own API. */
export const litellm = {
  config: litellmConfig,
  create: async (config, { secretOf }) =>
    (await import('./source.js')).litellmSource(config, secretOf(config.apiKeyEnv)),
  fixOf,
  controlTotals: async (config, { secretOf }) =>
    (await import('./control-totals.js')).litellmControlTotals(config, secretOf(config.apiKeyEnv)),
} satisfies SourceKind<LitellmConfig> & { readonly config: typeof litellmConfig }
