import { ConfigError } from '../../domain/errors.js'
import type { UsageReceiver } from '../../ports/usage-receiver.js'
import type { UsageEventsConfig } from './config.js'
import { parseEvents } from './parse.js'

const TOKEN_CHARS_MIN = 20

/** @throws ConfigError `usage_token` for a token that could be guessed */
export function usageEventsReceiver(config: UsageEventsConfig, token: string): UsageReceiver {
  if (token.length < TOKEN_CHARS_MIN) {
    throw new ConfigError(
      'usage_token',
      `${config.tokenEnv}: expected at least ${TOKEN_CHARS_MIN} characters, such as from: ` +
        'openssl rand -hex 32',
    )
  }
  const rules = { source: config.name, types: config.eventTypes }
  return { name: config.name, token, parse: (events, nowMs) => parseEvents(events, rules, nowMs) }
}
