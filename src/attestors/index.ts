import type { AnchorDeployer } from '../ports/anchor-deployer.js'
import type { AnchorHistory, Attestor, AttestorMemory, PolicyFollower } from '../ports/attestor.js'
import type { Finding } from '../ports/finding.js'
import type { Network, SetUpNeeds } from '../ports/made-key.js'
import type { MeterKey } from '../ports/meter-key.js'
import { type FlareConfig, flareConfig, flareSettings } from './flare/config.js'

/** The settings of the place of anchors. A second kind makes this a union by `kind`. */
export const attestorConfig = flareConfig

export type AttestorConfig = FlareConfig

export const attestorSettings = flareSettings

/** Loads the adapter that was chosen. Asks the chain nothing yet; a key that is elsewhere is asked. */
export async function createAttestor(
  config: AttestorConfig,
  memory: AttestorMemory,
): Promise<Attestor & PolicyFollower & AnchorHistory> {
  switch (config.kind) {
    case 'flare':
      return (await import('./flare/attestor.js')).flareAttestor(config, memory)
  }
}

/** The key that signs headers, in the form that the chosen place of anchors checks. */
export async function createMeterKey(config: AttestorConfig): Promise<MeterKey> {
  switch (config.kind) {
    case 'flare':
      return (await import('./flare/meter-key.js')).FlareMeterKey.open(config)
  }
}

/** Looks at everything the attestor depends on, and says how to mend it. */
export async function attestorDoctor(
  config: AttestorConfig,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  switch (config.kind) {
    case 'flare':
      return (await import('./flare/doctor.js')).examineFlare(config, signal)
  }
}

/** The keys and settings that a set-up on a network needs of this adapter. */
export async function attestorSetUp(network: Network): Promise<SetUpNeeds> {
  return (await import('./flare/set-up.js')).flareSetUp(network)
}

/** Puts the place of anchors on chain. Asks nothing yet. */
export async function openAnchorDeployer(config: AttestorConfig): Promise<AnchorDeployer> {
  switch (config.kind) {
    case 'flare':
      return (await import('./flare/anchor-deployer.js')).FlareAnchorDeployer.open(config)
  }
}
