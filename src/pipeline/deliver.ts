import type { Purpose } from '../domain/ids.js'
import type { Call, Lane } from '../ports/lane.js'
import type { Outbox } from '../ports/stores.js'

export type Delivery =
  /** Sent, or waiting for the lane: ask the contract again later. */
  | 'on-its-way'
  /** Our transaction landed; its effect is in the contract's state by now, or never will be. */
  | 'landed'
  /** It landed and failed. The next call signs anew. */
  | 'refused'

/**
 * Gets one call onto its chain. Called again until the effect shows: every call is harmless. A lane
 * carries one transaction at a time, so another purpose's comes first and is brought to its end.
 */
export async function deliver(
  purpose: Purpose,
  makeCall: () => Call | Promise<Call>,
  { lane, outbox }: { lane: Lane; outbox: Outbox },
  signal: AbortSignal,
): Promise<Delivery> {
  const open = await outbox.openOn(lane.name)
  if (open !== undefined) {
    const fate = await lane.fate(open, signal)
    if (fate === 'open') {
      await lane.send(open, signal) // The same bytes: it can only be done once.
      return 'on-its-way'
    }
    // What never will land makes room, what landed is done: the next call signs anew.
    await outbox.close(open, fate)
    if (open.purpose === purpose && fate !== 'gone') return fate
  }
  const tx = await lane.sign(await makeCall(), signal)
  // Saved before sending. Dying in between costs one more send of the same bytes.
  if (await outbox.save(purpose, lane.name, tx)) await lane.send(tx, signal)
  return 'on-its-way'
}

/** Writes down what became of a lane's transaction whose effect was seen before its fate was. */
export async function closeLane(lane: Lane, outbox: Outbox, signal: AbortSignal): Promise<void> {
  const open = await outbox.openOn(lane.name)
  if (open === undefined) return
  const fate = await lane.fate(open, signal)
  if (fate !== 'open') await outbox.close(open, fate)
}
