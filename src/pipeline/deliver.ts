import { RetryableError } from '../domain/errors.js'
import type { Purpose } from '../domain/ids.js'
import type { Call, Fate, Lane, TxId } from '../ports/lane.js'
import type { Outbox, SavedTx } from '../ports/stores.js'

export type Delivery =
  /** Sent, or waiting for the lane: ask the contract again later. */
  | 'on-its-way'
  /** Our transaction landed; its effect is in the contract's state by now, or never will be. */
  | 'landed'
  /** It landed and failed. The next call signs anew. */
  | 'refused'

/** Ways onto a chain that may be used at the same time, and where what goes on them is kept. */
export interface Ways {
  readonly lanes: readonly Lane[]
  readonly outbox: Outbox
}

/**
 * Gets one call onto its chain. Called again until the effect shows: every call is harmless. A lane
 * carries one transaction at a time, so where none is free another purpose's comes first and is
 * brought to its end.
 */
export async function deliver(
  purpose: Purpose,
  makeCall: () => Call | Promise<Call>,
  { lanes, outbox }: Ways,
  signal: AbortSignal,
): Promise<Delivery> {
  const loads = await loadsOf({ lanes, outbox })
  const own = loads.find(({ open }) => open?.purpose === purpose)
  if (own?.open !== undefined) {
    const fate = await bring(own.open, { lane: own.lane, outbox }, signal)
    if (fate === 'open') return 'on-its-way'
    if (fate !== 'gone') return fate
    // What never will land is signed anew, at once.
  }
  const lane = own?.lane ?? (await freeLane(loads, outbox, signal))
  if (lane !== undefined) await sendCall(purpose, makeCall, { lane, outbox }, signal)
  return 'on-its-way'
}

export interface Load {
  readonly lane: Lane
  readonly open: SavedTx | undefined
}

/** What is on each lane. */
export function loadsOf({ lanes, outbox }: Ways): Promise<Load[]> {
  return Promise.all(lanes.map(async (lane) => ({ lane, open: await outbox.openOn(lane.name) })))
}

/** A lane that carries nothing; where all do, one whose transaction just came to its end. */
export async function freeLane(
  loads: readonly Load[],
  outbox: Outbox,
  signal: AbortSignal,
): Promise<Lane | undefined> {
  const free = loads.find(({ open }) => open === undefined)
  if (free !== undefined) return free.lane
  for (const { lane, open } of loads) {
    if (open === undefined) continue
    if ((await bring(open, { lane, outbox }, signal)) !== 'open') return lane
  }
  return undefined
}

/** Sends an open transaction on, or closes it: what landed, failed or never will land makes room. */
export async function bring(open: SavedTx, way: Way, signal: AbortSignal): Promise<Fate> {
  const { fate, landedId } = await fateOf(open, way, signal)
  if (fate === 'open') await push(open, way, signal)
  else await way.outbox.close(open, fate, landedId)
  return fate
}

/** Signs a call on a lane that is free. Another step may have taken it: then nothing happens. */
export async function sendCall(
  purpose: Purpose,
  makeCall: () => Call | Promise<Call>,
  { lane, outbox }: Way,
  signal: AbortSignal,
): Promise<void> {
  const tx = await lane.sign(await makeCall(), signal)
  // Saved before sending. Dying in between costs one more send of the same bytes.
  if (await outbox.save(purpose, lane.name, tx)) await lane.send(tx, signal)
}

/**
 * Writes down what became of a lane's transaction whose effect was seen before its fate was. A
 * refusal is left to the step that sent it: it alone knows what that means.
 */
export async function closeLane(lane: Lane, outbox: Outbox, signal: AbortSignal): Promise<void> {
  const open = await outbox.openOn(lane.name)
  if (open === undefined) return
  const { fate, landedId } = await fateOf(open, { lane, outbox }, signal)
  if (fate === 'landed' || fate === 'gone') await outbox.close(open, fate, landedId)
}

export type Way = { readonly lane: Lane; readonly outbox: Outbox }

/** Of a transaction with all its variants: they share a number, so at most one of them lands. */
async function fateOf(
  open: SavedTx,
  { lane, outbox }: Way,
  signal: AbortSignal,
): Promise<{ readonly fate: Fate; readonly landedId?: TxId }> {
  if (lane.rescue === undefined) return { fate: await lane.fate(open, signal) }
  let isOpen = false
  // Newest first: mostly it is the one that lands.
  for (const variant of [...(await outbox.variants(open))].reverse()) {
    const fate = await lane.fate(variant, signal)
    if (fate === 'open') isOpen = true
    else if (fate !== 'gone')
      return { fate, ...(variant.id === open.id ? {} : { landedId: variant.id }) }
  }
  return { fate: isOpen ? 'open' : 'gone' }
}

/** Sends it again, or what helps it. The same number each time: it can only be done once. */
async function push(open: SavedTx, { lane, outbox }: Way, signal: AbortSignal): Promise<void> {
  if (lane.rescue === undefined) return lane.send(open, signal)
  const variants = await outbox.variants(open)
  const newest = variants.at(-1) ?? open
  const rescue = await lane.rescue(variants, signal).catch(async (error: unknown) => {
    // The pool may have lost it, whatever stands in the way of more.
    await lane.send(newest, signal).catch(unlessRetryable)
    throw error
  })
  const isSaved = rescue !== undefined && (await outbox.addVariant(open, rescue))
  if (isSaved && rescue.role === 'variant') return lane.send(rescue.tx, signal)
  // Whatever else waits under the filler's number fills the gap as well.
  if (isSaved) await lane.send(rescue.tx, signal).catch(unlessRetryable)
  await lane.send(newest, signal)
}

function unlessRetryable(error: unknown): void {
  if (!(error instanceof RetryableError)) throw error
}
