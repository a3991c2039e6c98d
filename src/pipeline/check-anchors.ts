import { type BatchHeader, type BatchLife, isSameHeader, isVoid } from '../domain/batch.js'
import type { Hex } from '../domain/bytes.js'
import { RetryableError } from '../domain/errors.js'
import { eraOf } from '../domain/ids.js'
import type { AnchorHistory, AnchorSight, Attestor } from '../ports/attestor.js'
import type { Store, StoredBatch } from '../ports/stores.js'
import type { Course, Stretch } from './laps.js'
import { lastOfMeter } from './meter-era.js'

export interface CheckAnchorsParts {
  readonly store: Pick<Store, 'batches' | 'meters'>
  readonly history: Pick<Attestor, 'meterState'> & AnchorHistory
  /** Where the store does not know the block: through all that the node shows, so not for a daemon. */
  readonly search?: (meter: Hex, header: BatchHeader, signal: AbortSignal) => Promise<AnchorSight>
}

/** A question to a node for each. One that no node shows takes several, and ends the stretch. */
const BATCHES_A_STRETCH = 5
const REST_MS = 600_000
/** What says of one batch alone that nobody can tell. */
const UNTOLD = new Set(['anchor_event_not_found', 'nodes_disagree'])

/** Every batch as Flare has it, and that Flare has no more. */
export function anchorsCourse(parts: CheckAnchorsParts): Course {
  return {
    name: 'anchors',
    checks: ['anchors'],
    parts: {
      batches: (from, signal) => anchorsStretch(from, parts, signal),
      beyond: async (_, signal) => ({
        found: { anchors: await anchoredBeyond(parts, signal) },
        next: undefined,
      }),
    },
    restMs: REST_MS,
  }
}

async function anchorsStretch(
  from: bigint,
  parts: CheckAnchorsParts,
  signal: AbortSignal,
): Promise<Stretch> {
  const { batches, meters } = parts.store
  const eras = await meters.all()
  const page = await batches.page(from, BATCHES_A_STRETCH)
  const [found, unknown] = [{ anchors: 0n }, { anchors: 0n }]
  let next = from
  for (const batch of page) {
    if (unknown.anchors > 0n) break
    next = batch.id + 1n
    if (isVoid(batch.life) || batch.life.state === 'sealed') continue
    const sight = await sightOf(batch, eras[eraOf(batch.id)]?.meter, parts, signal)
    if (sight === 'untold') unknown.anchors += 1n
    // A reorganised chain may have dropped it: `attest` sees that, and anchors it anew.
    else if (sight === 'other' || (sight === 'absent' && !isOnItsWay(batch))) found.anchors += 1n
  }
  const last = page.at(-1)?.id ?? -1n
  const isEnd = page.length < BATCHES_A_STRETCH && next > last
  return { found, unknown, next: isEnd ? undefined : next }
}

async function sightOf(
  batch: StoredBatch,
  meter: Hex | undefined,
  { history, search }: CheckAnchorsParts,
  signal: AbortSignal,
): Promise<AnchorSight | 'untold'> {
  if (meter === undefined) return 'absent'
  const block = blockOf(batch)
  try {
    if (block !== undefined) return await history.sight(meter, batch.header, block, signal)
  } catch (error) {
    if (!(error instanceof RetryableError)) throw error
    // A node that refuses what it has pruned answers everything else.
    if (error.code === 'attestor_unreachable') await history.meterState(meter, signal)
    else if (!UNTOLD.has(error.code)) throw error
  }
  return search === undefined ? 'untold' : search(meter, batch.header, signal)
}

/** Where it was anchored. Of an adopted batch, or one that others proved, the store does not know. */
function blockOf({ proof, life }: StoredBatch): number | undefined {
  if (proof !== undefined) return Number(proof.attested.blockNumber)
  return anchorBlockOf(life)
}

function anchorBlockOf(life: BatchLife): number | undefined {
  if (life.state === 'parked') return anchorBlockOf(life.from)
  return 'anchor' in life ? life.anchor.blockNumber : undefined
}

function isOnItsWay({ life, proof }: StoredBatch): boolean {
  return proof === undefined && 'anchor' in life
}

/** Of a revoked meter more may be anchored: whoever has its key can do so for ever, to no effect. */
async function anchoredBeyond(
  { store, history }: CheckAnchorsParts,
  signal: AbortSignal,
): Promise<bigint> {
  const { meter } = await store.meters.current()
  if (meter === undefined) return 0n
  // The chain first: what is sealed in between cannot be there yet.
  const { lastSeq, lastRoot } = await history.meterState(meter, signal, 'two_nodes')
  const last = await lastOfMeter(store)
  const ours = last?.header.seq ?? 0n
  if (lastSeq > ours) return lastSeq - ours
  const isAnother = last?.life.state === 'sealed' && lastSeq === ours
  return isAnother && lastRoot !== last.header.root ? 1n : 0n
}

/** Searches what a meter has anchored, which is read once and whole. */
export function searchOf({
  history,
}: {
  readonly history: AnchorHistory
}): NonNullable<CheckAnchorsParts['search']> {
  const read = new Map<Hex, ReadonlyMap<bigint, BatchHeader>>()
  return async (meter, header, signal) => {
    const headers =
      read.get(meter) ?? bySeq(await history.anchoredHeaders(meter, () => false, signal))
    read.set(meter, headers)
    const there = headers.get(header.seq)
    if (there === undefined) return 'absent'
    return isSameHeader(there, header) ? 'there' : 'other'
  }
}

function bySeq(headers: readonly BatchHeader[]): ReadonlyMap<bigint, BatchHeader> {
  return new Map(headers.map((header) => [header.seq, header]))
}
