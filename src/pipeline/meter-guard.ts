import type { Hex } from '../domain/bytes.js'
import { ConfigError, RetryableError } from '../domain/errors.js'
import type { Attestor, MeterState } from '../ports/attestor.js'
import type { Meters } from '../ports/meters.js'
import type { Batches } from '../ports/stores.js'
import { lastOfMeter } from './meter-era.js'

export interface MeterGuardParts {
  readonly attestor: Attestor
  readonly batches: Batches
  readonly meters: Meters
  readonly meter: Hex
}

/**
 * The same, before a new number is used: then every batch is anchored, so that a chain that is
 * behind has lost one, and would refuse all that come after it.
 *
 * @throws ConfigError `meter_ahead`; RetryableError `meter_behind`
 */
export async function checkMeterLevel(parts: MeterGuardParts, signal: AbortSignal): Promise<void> {
  const { lastSeq, ours } = await compared(parts, signal)
  if (lastSeq >= ours) return
  throw new RetryableError(
    'meter_behind',
    `batch ${ours} was anchored, and the anchor now ends at ${lastSeq}: the node is behind, or the ` +
      'chain was reorganised. Nothing is sealed until it has caught up.',
  )
}

/**
 * Reads what the anchor holds of our meter and compares it with the store. A chain that is ahead
 * means that another instance signs with this key, or that this store is an old copy.
 *
 * @throws ConfigError `meter_ahead`
 */
export async function checkMeter(parts: MeterGuardParts, signal: AbortSignal): Promise<void> {
  await compared(parts, signal)
}

/** The last numbers of the chain and of the store. */
async function compared(
  { attestor, batches, meters, meter }: MeterGuardParts,
  signal: AbortSignal,
): Promise<{ readonly lastSeq: bigint; readonly ours: bigint }> {
  const seen = await attestor.meterState(meter, signal)
  const last = await lastOfMeter({ batches, meters })
  const ours = last?.header.seq ?? 0n
  const excess = ({ lastSeq, lastRoot }: MeterState): string | undefined => {
    if (lastSeq > ours) return `batch ${lastSeq} is anchored`
    const isAnother = last !== undefined && lastSeq === ours && lastRoot !== last.header.root
    return isAnother ? `batch ${ours} is anchored with another root than this store's` : undefined
  }
  if (excess(seen) === undefined) return { lastSeq: seen.lastSeq, ours }
  // It ends the daemon, so that one node's word is not enough.
  const sure = await attestor.meterState(meter, signal, 'two_nodes')
  const what = excess(sure)
  if (what === undefined) return { lastSeq: sure.lastSeq, ours }
  throw ahead(what, ours)
}

/** Of a chain that knows more of this meter than the store. */
export function ahead(what: string, ours: bigint): ConfigError {
  return new ConfigError(
    'meter_ahead',
    `The chain is ahead of the store: ${what} and this store ends at ${ours}. Another instance uses this meter's key, or the ` +
      'store was restored from a backup. Stop the other instance, or bring back the newest store. If ' +
      'that is lost for good, run: flowmeter adopt --reason "…"',
  )
}
