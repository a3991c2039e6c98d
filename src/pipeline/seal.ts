import { type BatchHeader, IN_FLIGHT_STATES } from '../domain/batch.js'
import { type Hash, keccak, utf8, ZERO_HASH } from '../domain/bytes.js'
import { canonicalJson } from '../domain/canonical-json.js'
import { chunkHash, chunksOf, entryBytes } from '../domain/entry.js'
import { RetryableError } from '../domain/errors.js'
import { batchId, batchName, batchSeq } from '../domain/ids.js'
import { merkleRoot } from '../domain/merkle.js'
import type { Clock } from '../ports/clock.js'
import type { MovedRecord } from '../ports/corrections.js'
import type { AttributedRecord, Store, StoredBatch, Stores } from '../ports/stores.js'
import { tellSubject } from '../runtime/measures.js'
import type { StepOutcome } from '../runtime/worker.js'
import { whyAdoptionWaits } from './adopt.js'
import { type AttributeSettings, mappingVersion } from './attribute.js'
import type { ChargeBounds } from './bounds.js'
import { BATCH_LIMITS, type BatchLimits, draftBatch } from './draft.js'
import { isSealDue, type SealRules } from './due.js'
import { manifestOf } from './manifest.js'
import { lastOfMeter } from './meter-era.js'
import { billableUnder } from './plan-of.js'
import { nameOf } from './restate.js'
import { withWaiting } from './totals.js'

/** Parked in a row before sealing slows down, and how far back is looked. */
const PARKED_UNSLOWED = 3
const PARKED_LOOKED_AT = 12
const PARKED_INTERVAL_MS_MAX = 3_600_000

export interface SealParts {
  readonly store: Store
  readonly clock: Clock
  /** Of the settlement chain: a batch for one place is worth nothing at another. */
  readonly target: Hash
  readonly attribution: AttributeSettings
  readonly settings: SealSettings
  /** Names of the sources that are configured and that the daemon reads: see `whyAdoptionWaits`. */
  readonly sourcesRead: readonly string[]
  /** Compares store and chain before a number is used; throws ConfigError when they differ. */
  readonly checkMeter: (signal: AbortSignal) => Promise<void>
}

export interface SealSettings {
  readonly rules: SealRules
  /** The key of the receipts' salts. */
  readonly receiptSecret: string
  /** What a charge may be before an operator looks at it. */
  readonly bounds: ChargeBounds
  /** What one batch takes in; BATCH_LIMITS unless given. */
  readonly limits?: BatchLimits
}

/**
 * Seals the next batch when it is time and there is something to state. One transaction fixes the
 * records' vault, period and model, the totals, the entries and the header: all of it or nothing.
 */
export async function sealNext(parts: SealParts, signal: AbortSignal): Promise<StepOutcome> {
  const { store } = parts
  // Totals are cumulative: a queue of batches would gain nothing over the next one.
  if ((await store.batches.oldestIn(...IN_FLIGHT_STATES)) !== undefined) return 'idle'
  const last = await store.batches.last()
  if (!(await isTime(last, parts))) return 'idle'
  await parts.checkMeter(signal)
  return store.transaction((stores) => seal(stores, parts))
}

async function isTime(
  last: StoredBatch | undefined,
  { store, clock, attribution, settings }: SealParts,
): Promise<boolean> {
  const readWaiting = async () => {
    const version = await mappingVersion({ ...store, settings: attribution })
    return version === undefined ? [] : store.records.attributed(version, BATCH_LIMITS.records)
  }
  const lastSealedAtMs = last === undefined ? undefined : last.header.sealedAt * 1000
  const { rules } = settings
  const { intervalMs, isRefused } = await slowed(store, rules.intervalMs)
  if (isRefused && isBefore(lastSealedAtMs, intervalMs, clock.now())) return false
  return isSealDue(store, readWaiting, clock.now(), lastSealedAtMs, { ...rules, intervalMs })
}

/**
 * Each batch that is refused on its way to Flow costs an anchor, and states what the one before did,
 * which is given up for it. Where several of them came one after the other, the next ones are tried
 * less and less often, whatever is at stake: the first that gets through ends it. What Flow has
 * refused slows nothing: one customer's entry may be the reason, and the others are settled.
 */
async function slowed(
  { batches }: Pick<Stores, 'batches'>,
  intervalMs: number,
): Promise<{ readonly intervalMs: number; readonly isRefused: boolean }> {
  const newest = await batches.newest(PARKED_LOOKED_AT)
  const life = newest[0]?.life
  const isOnItsWay = life?.state === 'parked' && life.from.state !== 'accepted'
  const through = newest.findIndex((batch) => !isGivenUp(batch))
  const inVain = through === -1 ? newest.length : through
  if (!isOnItsWay || inVain < PARKED_UNSLOWED) return { intervalMs, isRefused: false }
  const slower = intervalMs * 2 ** (inVain - PARKED_UNSLOWED + 1)
  return {
    intervalMs: Math.max(intervalMs, Math.min(slower, PARKED_INTERVAL_MS_MAX)),
    isRefused: true,
  }
}

/** Not an adopted one: another batch of that number did get through. */
function isGivenUp({ life, manifestJson }: StoredBatch): boolean {
  return manifestJson !== '' && (life.state === 'parked' || life.state === 'superseded')
}

function isBefore(lastSealedAtMs: number | undefined, intervalMs: number, nowMs: number): boolean {
  if (lastSealedAtMs === undefined) return false
  // A clock that was ahead once must not stop sealing.
  const isAhead = lastSealedAtMs > nowMs + intervalMs
  return !isAhead && nowMs < lastSealedAtMs + intervalMs
}

async function seal(stores: Stores, parts: SealParts): Promise<StepOutcome> {
  await endAdoption(stores, parts)
  const draft = await draftBatch(stores, parts)
  if (draft.entries.length === 0) return 'idle'
  const last = await lastOfMeter(stores)
  const seq = batchSeq((last?.header.seq ?? 0n) + 1n)
  const id = batchId(seq, (await stores.meters.current()).era)
  const manifestJson = canonicalJson(await manifestOf(seq, draft, stores, parts))

  const bytes = draft.entries.map(entryBytes)
  const leaves = bytes.map((entry) => keccak(entry))
  const header: BatchHeader = {
    seq,
    root: merkleRoot(chunksOf(leaves).map(chunkHash)),
    prevRoot: last?.header.root ?? ZERO_HASH,
    sealedAt: Math.floor(parts.clock.now() / 1000),
    target: parts.target,
    manifest: keccak(utf8(manifestJson)),
  }
  const rows = draft.entries.map((entry, position) => ({
    ...entry,
    position,
    bytes: bytes[position] ?? '0x',
    leaf: leaves[position] ?? ZERO_HASH,
  }))
  await stores.batches.add(header, manifestJson, rows)
  const { root, sealedAt } = header
  tellSubject({ batch: { name: batchName(id), root, sealedAtMs: sealedAt * 1000 } })
  for (const [currency, charge] of draft.charges) {
    await stores.stops.saveCharge(id, currency, charge)
  }
  for (const entry of draft.entries) {
    await stores.totals.save(entry, entry.rows, id)
    const records = draft.records.get(nameOf(entry)) ?? []
    const moved = records.filter(isMoved)
    await stores.records.claim(
      id,
      records.filter((record) => !isMoved(record)),
    )
    await stores.corrections.claimMoved(id, moved)
  }
  await stores.corrections.saveListed(
    draft.corrections.map((one) => one.id),
    id,
  )
  return 'advanced'
}

/**
 * With all that waits, not with what one batch takes in: where many rows were read again, the first
 * batches state less than Flow holds, which Flow refuses as `regressed` until one states the rest.
 *
 * @throws RetryableError `adoption_waits` while a total may still be below what Flow holds
 */
async function endAdoption(stores: Stores, { sourcesRead }: SealParts): Promise<void> {
  if ((await stores.books.adoption()) === undefined) return
  const why = await whyAdoptionWaits(stores, sourcesRead, async (key) =>
    billableUnder(key, await withWaiting(key, stores), stores),
  )
  if (why !== undefined) throw new RetryableError('adoption_waits', why)
  await stores.books.saveAdoption(undefined)
}

function isMoved(record: AttributedRecord): record is MovedRecord {
  return 'correctionId' in record
}
