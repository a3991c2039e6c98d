import { type BatchHeader, isSameHeader } from '../domain/batch.js'
import { TerminalError } from '../domain/errors.js'
import { batchId, eraOf } from '../domain/ids.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { AnchorHistory, Attestor } from '../ports/attestor.js'
import type { Clock } from '../ports/clock.js'
import type { MeterKey } from '../ports/meter-key.js'
import type { Era } from '../ports/meters.js'
import type { AppliedRecord, Balance, Settler } from '../ports/settler.js'
import type { Store, StoredBatch, Stores } from '../ports/stores.js'
import { applyCorrections } from './apply-correction.js'
import { accountRanges, allBatches } from './in-parts.js'
import { checkStream } from './meter-era.js'
import { note } from './operator-log.js'
import type { Ordered } from './record-correction.js'
import { nameOf } from './restate.js'

export interface AdoptParts {
  readonly store: Store
  readonly attestor: Attestor & AnchorHistory
  readonly settler: Settler
  readonly meterKey: MeterKey
  readonly clock: Clock
  /** Whether a number that was signed and is not anchored may be signed again. */
  readonly isSignedForgotten: boolean
}

export interface Adopted {
  /** Batches that Flare has and this store had not, or had otherwise. */
  readonly batches: number
  readonly lastSeq: bigint
  /** (Vault, period)s that Flow has applied from them. */
  readonly entries: number
}

const WINDOWS_MAX = 100_000
/** The newest alone may have no signature yet. */
const NEWEST_LOOKED_AT = 10

/**
 * Takes over what both chains have and this store has not, as after a backup was restored: the
 * headers from Flare, so that the next batch follows them, and from Flow what was applied. Rows that
 * only the lost store had are read again from their sources. Totals are cumulative, so what was
 * charged before is not charged again; nothing is sealed until every total is at least what Flow
 * holds (see `whyAdoptionWaits`).
 *
 * @throws TerminalError `nothing_to_adopt`, ConfigError `meter_second_digest`
 */
export async function adopt(
  parts: AdoptParts,
  ordered: Ordered,
  signal: AbortSignal,
): Promise<Adopted> {
  const { store, attestor, meterKey, clock } = parts
  const headers = await foreignHeaders(parts, signal)
  const last = headers.at(-1)
  if (last === undefined) return forgetSigned(parts, ordered, signal)
  // First the file beside the key: until it is written, the next start is refused as this one was.
  const eras = await store.meters.all()
  const read = await readFlow(parts, { eras, areResultsOurs: true }, signal)
  await meterKey.adopt?.(last, parts.isSignedForgotten)
  const { lastSeq } = await attestor.meterState(meterKey.address, signal)
  await store.transaction(async (stores) => {
    for (const header of headers) await stores.batches.adopt(header)
    for (const { name } of await stores.records.sources()) {
      await stores.records.saveProgress(name, { rescannedAtMs: 0 })
    }
    await stores.books.saveReadHeight(read.untilHeight)
    await stores.books.saveApplied(read.applied)
    await stores.books.saveBalances(read.balances)
    await stores.books.saveAdoption({ atMs: clock.now(), toSeq: lastSeq })
    await stores.books.forgetLaps() // They were about other batches.
    await stores.operatorLog.append({
      who: ordered.by,
      verb: 'adopt',
      arguments: { batches: headers.length.toString(), lastSeq: lastSeq.toString() },
      reason: ordered.reason,
    })
  })
  return { batches: headers.length, lastSeq, entries: read.entries }
}

/**
 * The store has all that Flare has. The meter may have signed one more, which was lost with the store
 * before it was anchored: told so, the file beside the key goes back to the last that the store has.
 */
async function forgetSigned(
  { store, attestor, meterKey, isSignedForgotten }: AdoptParts,
  ordered: Ordered,
  signal: AbortSignal,
): Promise<Adopted> {
  if (!isSignedForgotten) {
    const message =
      'Flare has no batch of this meter that the store does not have: start the daemon. Where it ends ' +
      'with meter_second_digest, the meter has signed a batch that this store does not know and that is ' +
      'not anchored: once you know that no other instance runs and nothing waits to be mined, say ' +
      '--forget-signed.'
    throw new TerminalError('nothing_to_adopt', message)
  }
  const { lastSeq } = await attestor.meterState(meterKey.address, signal)
  const { era } = await store.meters.current()
  // By the store, and not by a node, which may be behind.
  const newest = (await store.batches.newest(NEWEST_LOOKED_AT)).filter(
    ({ id }) => eraOf(id) === era,
  )
  const last = newest.find(isSigned)
  await meterKey.adopt?.(last?.header, true)
  const done = { batches: '0', lastSeq: lastSeq.toString() }
  await store.transaction((stores) => note(stores, 'adopt', done, ordered))
  return { batches: 0, lastSeq, entries: 0 }
}

/** An adopted one was when it was anchored. */
function isSigned({ signature, manifestJson }: StoredBatch): boolean {
  return signature !== undefined || manifestJson === ''
}

/** In order: from the first that this store has not, or has otherwise. */
async function foreignHeaders(
  { store, attestor, meterKey }: AdoptParts,
  signal: AbortSignal,
): Promise<BatchHeader[]> {
  const known = new Map<bigint, BatchHeader>()
  const { era } = await store.meters.current()
  for await (const batch of allBatches(store)) {
    const { id, header } = batch
    // One that the copy has without its signature cannot be signed again after those that follow it.
    if (eraOf(id) === era && isSigned(batch)) known.set(header.seq, header)
  }
  const isKnown = (header: BatchHeader): boolean => {
    const ours = known.get(header.seq)
    return ours !== undefined && isSameHeader(ours, header)
  }
  return [...(await attestor.anchoredHeaders(meterKey.address, isKnown, signal))]
}

/** What is read, and whose. */
export interface Reading {
  /** The store's meters. The stream has to be the last one's by now. */
  readonly eras: readonly Era[]
  /** Whether results are of batches of the store's current meter. */
  readonly areResultsOurs: boolean
}

export interface ReadOfFlow {
  readonly untilHeight: number
  readonly applied: readonly AppliedRecord[]
  readonly balances: readonly Balance[]
  /** (Vault, period)s that the store had not. */
  readonly entries: number
}

/**
 * Results, corrections and records since the store last looked. The height is saved with all the rest
 * at the end: an adoption that is begun again has to see every window, since what only the lost
 * batches stated is found in them alone.
 */
export async function readFlow(
  { store, settler }: Pick<AdoptParts, 'store' | 'settler'>,
  { eras, areResultsOurs }: Reading,
  signal: AbortSignal,
): Promise<ReadOfFlow> {
  const { era } = await store.meters.current()
  const last = eras.at(-1) ?? (await store.meters.current())
  const sealed = await settler.sealedHeight(signal)
  const keys = new Map<string, EntryKey>()
  for await (const range of accountRanges(store)) {
    for (const key of await store.totals.all(range)) keys.set(nameOf(key), key)
  }
  let entries = 0
  let from = (await store.books.readHeight()) ?? sealed
  for (let window = 0; from <= sealed && window < WINDOWS_MAX; window += 1) {
    const page = await settler.settledSince(from, signal)
    if (page.stream !== undefined) checkStream(page.stream, last)
    for (const { accountNumber, periodStart } of page.events) {
      const key = { accountNumber, periodStart }
      if (!keys.has(nameOf(key))) entries += 1
      keys.set(nameOf(key), key)
    }
    await store.transaction(async (stores) => {
      for (const event of areResultsOurs ? page.events : []) {
        await stores.batches.saveResult(batchId(event.seq, era), event, event.result, event.txId)
      }
      await applyCorrections(stores, page.corrections, eras)
    })
    from = page.untilHeight
  }
  const all = [...keys.values()]
  const height = await settler.sealedHeight(signal)
  const applied = await settler.applied(all, signal, height)
  const accounts = [...new Set(all.map(({ accountNumber }) => accountNumber))]
  const balances = await settler.balances(accounts, signal, height)
  return { untilHeight: from, applied, balances, entries }
}

/**
 * After an adoption: why nothing may be sealed yet, undefined once it may. Sources have to be read up
 * to the adoption, and no total may be below what Flow has applied, since Flow would refuse it as
 * regressed: the rows that are missing come with the re-scan, or the provider corrects Flow.
 *
 * @param sourcesRead that are configured: one that is gone, or that sends, is never read again
 * @param totalOf 1e-4 tokens of a (vault, period) with all that waits; undefined without a plan
 */
export async function whyAdoptionWaits(
  stores: Stores,
  sourcesRead: readonly string[],
  totalOf: (key: EntryKey) => Promise<bigint | undefined>,
): Promise<string | undefined> {
  const adoption = await stores.books.adoption()
  if (adoption === undefined) return undefined
  for (const { name, readUntilMs, lastReadAtMs } of await stores.records.sources()) {
    const isReadHere = lastReadAtMs !== undefined && sourcesRead.includes(name)
    if (isReadHere && readUntilMs < adoption.atMs) {
      return `source ${name} is not read again up to the adoption yet`
    }
  }
  if ((await stores.records.counts()).unattributed > 0) return 'rows are not attributed yet'
  for await (const range of accountRanges(stores)) {
    for (const record of await stores.books.applied(range)) {
      const total = (await totalOf(record)) ?? 0n
      if (total < record.billable) return whyBehind(record, total)
    }
  }
  return undefined
}

function whyBehind(record: AppliedRecord, total: bigint): string {
  return (
    `account ${record.accountNumber}, period ${record.periodStart}: Flow has applied ` +
    `${record.billable} and the rows that were read add up to ${total} (1e-4 tokens). The ` +
    'missing rows are looked for again; if they are gone for good, or belong to another vault by ' +
    'now, the provider lowers what Flow holds: flowmeter provider correct'
  )
}
