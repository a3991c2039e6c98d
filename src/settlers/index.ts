import type { Finding } from '../ports/finding.js'
import type { Settler } from '../ports/settler.js'
import { type FlowConfig, flowConfig, flowSettings } from './flow/config.js'

/** The settings of the chain that is settled on. A second chain makes this a union by `kind`. */
export const settlerConfig = flowConfig
export type SettlerConfig = FlowConfig

/** The environment variable of each setting. */
export const settlerSettings = flowSettings

/** Loads the adapter that was chosen. Asks no network. */
export async function createSettler(config: SettlerConfig): Promise<Settler> {
  switch (config.kind) {
    case 'flow': {
      const { FlowSettler } = await import('./flow/settler.js')
      return new FlowSettler(config)
    }
  }
}

/** Looks at all that settlement needs. Throws only what is a bug. */
export async function settlerDoctor(
  config: SettlerConfig,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  switch (config.kind) {
    case 'flow':
      return (await import('./flow/doctor.js')).examineFlow(config, signal)
  }
}
