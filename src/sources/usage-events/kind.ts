import type { ReceiverKind } from '../../ports/usage-receiver.js'
import { type UsageEventsConfig, usageEventsConfig } from './config.js'

/** Meters that are not LiteLLM: they send, and are told what was taken. */
export const usageEvents = {
  config: usageEventsConfig,
  receive: async (config, secretOf) =>
    (await import('./receiver.js')).usageEventsReceiver(config, secretOf(config.tokenEnv)),
} satisfies ReceiverKind<UsageEventsConfig> & { readonly config: typeof usageEventsConfig }
