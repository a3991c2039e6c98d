import { isVoid } from '../domain/batch.js'
import { ZERO_HASH } from '../domain/bytes.js'
import { batchId, eraOf } from '../domain/ids.js'
import type { AnchorHistory } from '../ports/attestor.js'
import type { Store, StoredBatch, Stores } from '../ports/stores.js'
import { entriesDifference, isManifestOf, isUnderItsRoot } from './checks.js'
import { guard } from './guard.js'
import type { Course, Stretch } from './laps.js'
import { isHeadLogged, logStretch } from './operator-log.js'
import { replayDifference } from './replay.js'
import { nameOf } from './restate.js'

export interface CheckBatchesParts {
  readonly store: Store
  readonly history: Pick<AnchorHistory, 'signerOf'>
  readonly receiptSecret: string
}

const BATCHES_A_STRETCH = 20
/** Entries and records after which a stretch ends, within a batch that has them all. */
const ROWS_A_STRETCH = 2_000
const REST_MS = 60_000

/** What the store alone shows: every batch with its records, then the operators' log. */
export function batchesCourse(parts: CheckBatchesParts): Course {
  return {
    name: 'batches',
    checks: [
      ...['totals_vs_entries', 'records_vs_entries', 'roots', 'manifests'],
      ...['prev_roots', 'signatures', 'operator_log'],
    ],
    parts: {
      batches: (from, signal) => batchesStretch(from, parts, signal),
      log: (from) => logStretch(from, parts.store),
    },
    restMs: REST_MS,
  }
}

async function batchesStretch(
  from: bigint,
  parts: CheckBatchesParts,
  signal: AbortSignal,
): Promise<Stretch> {
  const { batches } = parts.store
  const found: Record<string, bigint> = {}
  const page = await batches.page(from, BATCHES_A_STRETCH)
  let last: bigint | undefined
  let rows = 0
  for (const batch of page) {
    for (const [check, work] of Object.entries(checksOf(batch, parts))) {
      // A store that was changed into what no batch can say cannot be computed: that is one, too.
      const difference = await guard(work, async () => 1n, signal)
      found[check] = (found[check] ?? 0n) + difference
    }
    last = batch.id
    rows += await batches.size(batch.id)
    if (rows >= ROWS_A_STRETCH) break
  }
  const isEnd = last === undefined || (last === page.at(-1)?.id && page.length < BATCHES_A_STRETCH)
  return { found, next: isEnd || last === undefined ? undefined : last + 1n }
}

/** What has to be 0 of one batch, each for itself: one that is broken must not hide the others. */
function checksOf(
  batch: StoredBatch,
  { store, history, receiptSecret }: CheckBatchesParts,
): Record<string, () => Promise<bigint>> {
  const common = {
    // Of an adopted batch these are the entries that it took the place of: the next ones go on from them.
    records_vs_entries: () => replayDifference(batch, store, receiptSecret),
    prev_roots: async () => countIf(!(await follows(batch, store))),
  }
  if (batch.manifestJson === '') return common // Adopted: only its header is known here.
  return {
    ...common,
    totals_vs_entries: () => store.transaction((stores) => totalsDifference(batch, stores)),
    roots: async () => countIf(!(await isUnderItsRoot(batch, store))),
    manifests: async () => countIf(!isManifestOf(batch)),
    signatures: async () => countIf(await isUnsigned(batch, store, history)),
    operator_log: async () => countIf(!(await isHeadLogged(batch, store))),
  }
}

/** Of one moment: totals change with every batch that is sealed. */
async function totalsDifference(batch: StoredBatch, stores: Stores): Promise<bigint> {
  // Lowered, and stated by the next batch.
  const corrected = new Set((await stores.corrections.unstated()).map(nameOf))
  return entriesDifference(batch, corrected, stores)
}

function countIf(isDifferent: boolean): bigint {
  return isDifferent ? 1n : 0n
}

/** Each meter begins anew. */
async function follows(
  { id, header }: StoredBatch,
  { batches }: Pick<Stores, 'batches'>,
): Promise<boolean> {
  if (header.seq === 1n) return header.prevRoot === ZERO_HASH
  const before = await batches.get(batchId(header.seq - 1n, eraOf(id)))
  return before !== undefined && before.header.root === header.prevRoot
}

/** A batch that only waits for its signature has none yet, and a void one may have none. */
async function isUnsigned(
  { id, header, signature, life }: StoredBatch,
  { meters }: Pick<Stores, 'meters'>,
  history: CheckBatchesParts['history'],
): Promise<boolean> {
  if (signature === undefined) return life.state !== 'sealed' && !isVoid(life)
  const { meter } = (await meters.all())[eraOf(id)] ?? {}
  return history.signerOf(header, signature) !== meter
}
