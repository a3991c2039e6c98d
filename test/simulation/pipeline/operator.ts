import { TerminalError } from '../../../src/domain/errors.js'
import { releaseEntry } from '../../../src/pipeline/parked.js'
import { callOf, recordRemapping, recordWaiver } from '../../../src/pipeline/record-correction.js'
import { ATTRIBUTION } from './daemon.js'
import type { CorrectBody } from './models/contracts.js'
import type { World } from './world.js'

const ORDERED = { reason: 'a correction', by: 'the operator' }

/** Writes a correction down: records go where the mapping has them now, or count nowhere. */
export async function orderCorrection({ store, schedule, random }: World): Promise<boolean> {
  try {
    if (random.next() < 0.5) await recordRemapping(store, ATTRIBUTION, undefined, ORDERED)
    else await recordWaiver(store, [random.pick(schedule.rows).record.key], ORDERED)
    return true
  } catch (error) {
    if (error instanceof TerminalError) return false // There was nothing to correct.
    throw error
  }
}

/** Puts on Flow what is written down and not seen there, as `flowmeter correct` does when repeated. */
export async function sendCorrections(world: World): Promise<boolean> {
  const { store, flow } = world
  const pending = await store.corrections.pending()
  for (const correction of pending) {
    const { accountNumber, periodStart } = correction
    const { callBillable: billable, callAfterSeq: afterSeq } = await callOf(correction, store)
    const body = { accountNumber, periodStart, billable, afterSeq }
    // The desk looks first: what is so already is not sent again, nor a number far above the stream's.
    const isAhead = afterSeq > flow.state().stream.highestSeq + 1n
    if (!isAhead && !isDone(world, body)) flow.runAsStranger({ kind: 'correct', ...body })
  }
  return pending.length > 0
}

/** What waits for an operator, who has mended the cause, or looked at it, by now. */
export async function releaseStops({ store }: World): Promise<boolean> {
  const stops = await store.stops.open()
  for (const stop of stops) {
    const isHeld = stop.cause.startsWith('above_')
    await releaseEntry(store, stop, isHeld ? 'held release' : 'parked retry-entry', ORDERED)
  }
  return stops.length > 0
}

function isDone({ flow }: World, { accountNumber, periodStart, billable, afterSeq }: CorrectBody) {
  const { vaults, stream } = flow.state()
  const record = vaults.get(accountNumber)?.records.get(periodStart)
  if (record === undefined || record.meterEpoch !== stream.meterEpoch) return false
  return record.billable === billable && record.lastSeq >= afterSeq
}

/** A desk that sends whatever it once sent again, some time later. */
export function resendCorrections({ flow }: World): void {
  const { run } = flow
  const sent: CorrectBody[] = []
  flow.run = (state, body, now) => {
    const outcome = run(state, body, now)
    if (body.kind === 'correct') sent.push(body)
    if (body.kind !== 'settle') return outcome
    let { state: after } = outcome
    for (const one of sent) {
      try {
        after = run(after, { kind: 'correct', ...one }, now).state
      } catch {
        // It would raise the total: refused.
      }
    }
    return { ...outcome, state: after }
  }
}
