import { batchId, eraOf } from '../domain/ids.js'
import type { Settler } from '../ports/settler.js'
import type { Store } from '../ports/stores.js'
import type { Course, Stretch } from './laps.js'
import { lastOfMeter } from './meter-era.js'

export interface CheckRootsParts {
  readonly store: Pick<Store, 'batches' | 'meters'>
  readonly settler: Pick<Settler, 'acceptedRoots'>
}

/** Flow keeps the roots of the newest batches only, and drops them with their meter. */
const ROOTS_HELD = 256n
/** In one script. */
const ROOTS_A_STRETCH = 128
const REST_MS = 600_000

/** The roots that Flow has accepted, and still holds. */
export function rootsCourse(parts: CheckRootsParts): Course {
  return {
    name: 'accepted_roots',
    checks: ['accepted_roots'],
    parts: { roots: (from, signal) => rootsStretch(from, parts, signal) },
    restMs: REST_MS,
  }
}

async function rootsStretch(
  from: bigint,
  { store, settler }: CheckRootsParts,
  signal: AbortSignal,
): Promise<Stretch> {
  const last = await lastOfMeter(store)
  if (last === undefined) return { found: {}, next: undefined }
  const held = [from, batchId(1n, eraOf(last.id)), last.id - ROOTS_HELD + 1n]
  const first = held.reduce((a, b) => (a > b ? a : b))
  const page = await store.batches.page(first, ROOTS_A_STRETCH)
  const roots = await settler.acceptedRoots(
    page.map(({ header }) => header.seq),
    signal,
  )
  const differing = page.filter(({ header }, i) => (roots[i] ?? header.root) !== header.root)
  const end = page.at(-1)
  const isEnd = end === undefined || page.length < ROOTS_A_STRETCH
  return {
    found: { accepted_roots: BigInt(differing.length) },
    next: isEnd ? undefined : end.id + 1n,
  }
}
