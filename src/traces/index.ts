import type { Logger } from '../runtime/log.js'
import { learnSecret } from '../runtime/redaction.js'
import type { TracesConfig } from './config.js'

export { type TracesConfig, tracesConfig, tracesSettings } from './config.js'

/**
 * Sends traces of what is measured from here on; nothing where no setting says to whom. Returns what
 * ends it.
 */
export async function startTraces(
  config: TracesConfig,
  version: string,
  log: Logger,
): Promise<() => Promise<void>> {
  const { endpoint } = config
  if (endpoint === undefined) return async () => {}
  // As a setting they are one text; whoever refuses one may repeat it alone.
  for (const value of Object.values(config.headers)) learnSecret(value)
  const { sendTraces } = await import('./otlp.js')
  return sendTraces({ ...config, endpoint, version }, log)
}
