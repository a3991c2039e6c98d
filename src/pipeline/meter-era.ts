import { ConfigError, RetryableError } from '../domain/errors.js'
import { type BatchId, batchId } from '../domain/ids.js'
import type { Era, Meters } from '../ports/meters.js'
import type { AppliedRecord, Stream } from '../ports/settler.js'
import type { Batches, StoredBatch } from '../ports/stores.js'

/**
 * The batch that Flow applied last, as the contract orders them: first by meter, then by number. Of a
 * meter that this store never had it is one of the meter before.
 */
export function appliedBatch(
  { meterEpoch, lastSeq }: Pick<AppliedRecord, 'meterEpoch' | 'lastSeq'>,
  eras: readonly Era[],
): BatchId {
  const era = eras.findLast((one) => one.meterEpoch <= meterEpoch)
  return batchId(lastSeq, era?.era ?? 0)
}

/** The newest batch of the meter that signs now. */
export async function lastOfMeter({
  batches,
  meters,
}: {
  readonly batches: Pick<Batches, 'last'>
  readonly meters: Pick<Meters, 'current'>
}): Promise<StoredBatch | undefined> {
  const last = await batches.last()
  const { era } = await meters.current()
  return last !== undefined && last.id > batchId(0n, era) ? last : undefined
}

/**
 * Flow takes the batches of one meter only. What is read of it while it is another one's is not ours.
 *
 * @throws ConfigError `meter_revoked`, RetryableError `stream_behind` from a node that is behind
 */
export function checkStream(stream: Stream, { meter, meterEpoch }: Era): void {
  if (meter === undefined || stream.meter === undefined || stream.meter === meter) return
  if (stream.meterEpoch < meterEpoch) {
    const message = `a node of Flow still has meter ${stream.meter}, which ${meter} has followed`
    throw new RetryableError('stream_behind', message)
  }
  throw new ConfigError(
    'meter_revoked',
    `Flow takes batches of meter ${stream.meter} now, not of ${meter}: the provider has set another ` +
      'one, which cannot be undone. Give the daemon its key and a METER_SIGNER_FILE of its own, then ' +
      'run: flowmeter rotate-meter --reason "…"',
  )
}

/**
 * As `checkStream`, before a batch is brought.
 *
 * @throws RetryableError `meter_not_set`, `meter_not_active`
 */
export function checkActive(stream: Stream, era: Era): void {
  checkStream(stream, era)
  if (stream.meter === undefined) {
    const fix = 'the provider sets one: flowmeter provider set-meter'
    throw new RetryableError('meter_not_set', `Flow knows no meter of ours yet; ${fix}`)
  }
  if (stream.isActive) return
  const from = new Date(stream.activeFrom * 1000).toISOString()
  throw new RetryableError(
    'meter_not_active',
    `Flow takes batches of the new meter from ${from} on`,
  )
}
