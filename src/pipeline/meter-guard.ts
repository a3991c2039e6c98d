import type { Hex } from '../domain/bytes.js'
import { ConfigError } from '../domain/errors.js'
import type { Attestor } from '../ports/attestor.js'
import type { Batches } from '../ports/stores.js'

/**
 * Reads what the anchor holds of our meter and compares it with the store. A chain that is ahead
 * means that another instance signs with this key, or that this store is an old copy.
 *
 * @throws ConfigError `meter_ahead`
 */
export async function checkMeter(
  { attestor, batches, meter }: { attestor: Attestor; batches: Batches; meter: Hex },
  signal: AbortSignal,
): Promise<void> {
  const { lastSeq, lastRoot } = await attestor.meterState(meter, signal)
  const last = await batches.last()
  const ours = last?.header.seq ?? 0n
  if (lastSeq > ours) {
    throw ahead(`batch ${lastSeq} is anchored and this store ends at ${ours}`)
  }
  if (last !== undefined && lastSeq === ours && lastRoot !== last.header.root) {
    throw ahead(`batch ${ours} is anchored with another root than this store's`)
  }
}

function ahead(what: string): ConfigError {
  return new ConfigError(
    'meter_ahead',
    `The chain is ahead of the store: ${what}. Another instance uses this meter's key, or the ` +
      'store was restored from a backup. Stop the other instance, or bring back the newest store.',
  )
}
