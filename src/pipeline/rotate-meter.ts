import { advance, isOver } from '../domain/batch.js'
import { TerminalError } from '../domain/errors.js'
import { batchName } from '../domain/ids.js'
import type { Attestor } from '../ports/attestor.js'
import type { MeterKey } from '../ports/meter-key.js'
import type { Era } from '../ports/meters.js'
import type { Settler } from '../ports/settler.js'
import type { Store } from '../ports/stores.js'
import { readFlow } from './adopt.js'
import { allBatches } from './in-parts.js'
import { note } from './operator-log.js'
import type { Ordered } from './record-correction.js'

export interface RotateParts {
  readonly store: Store
  readonly attestor: Attestor
  readonly settler: Settler
  /** The next meter's. */
  readonly meterKey: MeterKey
}

export interface Rotated {
  readonly from: string
  readonly to: string
  /** Flow's number of the new meter. */
  readonly meterEpoch: number
  /** Unix seconds from which Flow takes its batches. */
  readonly activeFrom: number
  /** Batches of the old meter that Flow had not settled. */
  readonly voided: readonly string[]
}

/**
 * Goes on with the meter that the provider has set. The batches of the one before that Flow has not
 * settled are void, and no record is let go for it: totals are cumulative, so the first batch of the
 * new meter states them all, what Flow applied of the old ones counted in.
 *
 * @throws TerminalError `same_meter`, `meter_not_set`, `meter_used_before`, `no_meter_yet`
 */
export async function rotateMeter(
  { store, attestor, settler, meterKey }: RotateParts,
  ordered: Ordered,
  signal: AbortSignal,
): Promise<Rotated> {
  const eras = await store.meters.all()
  const before = await store.meters.current()
  const meter = meterKey.address
  if (before.meter === undefined) {
    throw new TerminalError('no_meter_yet', 'this store has no meter yet: start the daemon')
  }
  if (before.meter === meter) {
    throw new TerminalError('same_meter', `${meter} is the meter of this store already`)
  }
  if (eras.some((one) => one.meter === meter)) {
    throw new TerminalError('meter_used_before', `${meter} was revoked, and cannot come back`)
  }
  const stream = await settler.stream(signal)
  if (stream.meter !== meter) {
    throw new TerminalError(
      'meter_not_set',
      `Flow takes batches of meter ${stream.meter ?? 'nobody'}, not of ${meter}. The provider names ` +
        `it first: flowmeter provider set-meter ${meter}`,
    )
  }
  await meterKey.check?.()
  // After a restored backup the new meter may have settled batches that this store has lost: whose
  // a number is cannot be told then, and what was applied is read from the records anyway.
  const { lastSeq } = await attestor.meterState(meter, signal)
  const next: Era = { era: eras.length, meter, meterEpoch: stream.meterEpoch }
  const reading = { eras: [...eras, next], areResultsOurs: lastSeq === 0n }
  const read = await readFlow({ store, settler }, reading, signal)
  return store.transaction(async (stores) => {
    const voided: string[] = []
    const reason = `void: meter ${before.meter} was revoked, and ${meter} follows it`
    for await (const { id, life } of allBatches(stores)) {
      if (isOver(life)) continue
      await stores.batches.saveLife(id, advance(life, { type: 'voided', reason }))
      voided.push(batchName(id))
    }
    await stores.meters.follow(meter, stream.meterEpoch)
    await stores.books.saveReadHeight(read.untilHeight)
    await stores.books.saveApplied(read.applied)
    await stores.books.saveBalances(read.balances)
    const from = before.meter ?? ''
    const { meterEpoch, activeFrom } = stream
    const epoch = meterEpoch.toString()
    const did = { from, to: meter, meterEpoch: epoch, voided: voided.join(',') }
    await note(stores, 'rotate-meter', did, ordered)
    return { from, to: meter, meterEpoch, activeFrom, voided }
  })
}
