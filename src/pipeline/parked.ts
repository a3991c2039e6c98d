import { advance } from '../domain/batch.js'
import { TerminalError } from '../domain/errors.js'
import { type BatchId, batchName } from '../domain/ids.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { Stop } from '../ports/stops.js'
import type { Store, StoredBatch, StoredEntry, Stores } from '../ports/stores.js'
import { billableOf } from '../pricing/price.js'
import { Estimates } from './estimate.js'
import { appliedBatch } from './meter-era.js'
import { planOf } from './plan-of.js'
import type { Ordered } from './record-correction.js'
import { nameOf } from './restate.js'
import { withWaiting } from './totals.js'

/** All that waits for an operator, with what can be done about it. */
export interface Parked {
  readonly batches: readonly {
    /** Its name, such as `7`. */
    readonly seq: string
    readonly reason: string
    /** Entries that no later batch states and Flow has not applied. */
    readonly onlyHere: readonly EntryKey[]
  }[]
  /** (Vault, period)s whose newest statement Flow took note of and did not apply. */
  readonly refused: readonly (EntryKey & {
    /** Its name, such as `7`. */
    readonly seq: string
    readonly result: string
    readonly advice: string
  })[]
  readonly stopped: readonly Stop[]
}

const ADVICE: Readonly<Record<string, string>> = {
  held: 'the provider approves the charge (flowmeter provider approve), then: parked retry-entry',
  badPeriod: 'Flow does not take this period: flowmeter correct moves or waives its usage',
  tooOld: 'Flow takes this period no more: flowmeter correct waive, and bill it elsewhere',
  unknownAccount: 'there is no such vault: flowmeter correct moves its usage, or waives it',
  regressed:
    'Flow holds more than the total: see flowmeter audit, and adopt after a restored backup',
  malformed: 'Flow cannot price it: look at the plan, then: parked retry-entry',
  writtenOff: 'its customer has left: nothing more can be charged',
}

export async function listParked(stores: Stores): Promise<Parked> {
  const standing = await readStanding(stores)
  return {
    batches: await Promise.all(
      (await stores.batches.parked()).map(async (batch) => ({
        seq: batchName(batch.id),
        reason: batch.life.state === 'parked' ? batch.life.reason : '',
        onlyHere: await statedOnlyBy(batch, standing, stores),
      })),
    ),
    refused: (await stores.batches.refused()).map(
      ({ accountNumber, periodStart, batch, result }) => ({
        ...{ accountNumber, periodStart, seq: batchName(batch) },
        result: result ?? '',
        advice: ADVICE[result ?? ''] ?? 'see flowmeter audit',
      }),
    ),
    stopped: await stores.stops.open(),
  }
}

/**
 * The batch goes on from where it stopped.
 *
 * @throws TerminalError `not_parked`
 */
export function retryBatch(store: Store, id: BatchId, ordered: Ordered): Promise<void> {
  return store.transaction(async (stores) => {
    const { life } = await parkedBatch(stores, id)
    await stores.batches.saveLife(id, advance(life, { type: 'retried' }))
    await note(stores, 'parked retry', { batch: batchName(id) }, ordered)
  })
}

/**
 * Gives a batch up that nothing depends on: every entry of it is stated by a later one, or applied.
 *
 * @throws TerminalError `not_parked`, `would_change_money` with what has to be done instead
 */
export function skipBatch(store: Store, id: BatchId, ordered: Ordered): Promise<void> {
  return store.transaction(async (stores) => {
    const batch = await parkedBatch(stores, id)
    const [first, ...more] = await statedOnlyBy(batch, await readStanding(stores), stores)
    if (first !== undefined) {
      throw new TerminalError(
        'would_change_money',
        `batch ${batchName(id)} alone states account ${first.accountNumber}, period ${first.periodStart}` +
          `${more.length === 0 ? '' : ` and ${more.length} more`}. The next batch states them again ` +
          'by itself: skip this one then, or retry it. What should not be charged is taken out with ' +
          'flowmeter correct waive, or given back by the provider as a credit.',
      )
    }
    await stores.batches.saveLife(id, advance(batch.life, { type: 'superseded' }))
    await note(stores, 'parked skip', { batch: batchName(id) }, ordered)
  })
}

/** Parked batches that nothing depends on any more are given up by themselves. Returns how many. */
export async function supersedeParked(stores: Stores): Promise<number> {
  const parked = await stores.batches.parked()
  if (parked.length === 0) return 0
  const standing = await readStanding(stores)
  let superseded = 0
  for (const batch of parked) {
    if ((await statedOnlyBy(batch, standing, stores)).length > 0) continue
    await stores.batches.saveLife(batch.id, advance(batch.life, { type: 'superseded' }))
    superseded += 1
  }
  return superseded
}

/**
 * Lets an entry be sealed up to what it costs now, or have it stated once more.
 *
 * @throws TerminalError `no_such_entry`
 */
export function releaseEntry(
  store: Store,
  key: EntryKey,
  verb: 'held release' | 'parked retry-entry',
  ordered: Ordered,
): Promise<void> {
  return store.transaction(async (stores) => {
    const isStopped = (await stores.stops.open()).some((stop) => nameOf(stop) === nameOf(key))
    const isRefused = (await stores.batches.refused()).some((one) => nameOf(one) === nameOf(key))
    if (!isStopped && !isRefused) {
      const where = `account ${key.accountNumber}, period ${key.periodStart}`
      throw new TerminalError('no_such_entry', `nothing of ${where} is held, stopped or refused`)
    }
    await stores.stops.release(key, await priceWithWaiting(key, stores))
    const args = { account: key.accountNumber.toString(), period: key.periodStart.toString() }
    await note(stores, verb, args, ordered)
  })
}

/**
 * A refused entry can only be forgotten where nothing is left to charge for.
 *
 * @throws TerminalError `would_change_money` with what has to be done instead
 */
export function skipEntry(store: Store, key: EntryKey, ordered: Ordered): Promise<void> {
  return store.transaction(async (stores) => {
    const [vault] = await stores.books.vaults([key.accountNumber])
    const plan = planOf(vault, key.periodStart, await stores.books.plans())
    const total = plan === undefined ? undefined : billableOf(plan, await stores.totals.of(key))
    const applied = (await stores.books.applied()).find((one) => nameOf(one) === nameOf(key))
    if (total === undefined || total !== (applied?.billable ?? 0n)) {
      throw new TerminalError(
        'would_change_money',
        `account ${key.accountNumber}, period ${key.periodStart} has usage that Flow has not ` +
          'applied. Move it to the right vault (flowmeter correct), take it out for good (flowmeter ' +
          'correct waive), or have it stated once more (flowmeter parked retry-entry).',
      )
    }
    await stores.stops.release(key, 0n)
    const args = { account: key.accountNumber.toString(), period: key.periodStart.toString() }
    await note(stores, 'parked skip-entry', args, ordered)
  })
}

/** By (vault, period): the batches that stated it last, and that Flow has applied last. */
interface Standing {
  readonly stated: ReadonlyMap<string, bigint>
  readonly applied: ReadonlyMap<string, bigint>
}

async function readStanding({ totals, books, meters }: Stores): Promise<Standing> {
  const eras = await meters.all()
  return {
    stated: new Map((await totals.all()).map((one) => [nameOf(one), one.statedBy])),
    applied: new Map((await books.applied()).map((one) => [nameOf(one), appliedBatch(one, eras)])),
  }
}

/** Entries that would be charged by nothing if this batch were not there. */
async function statedOnlyBy(
  { id }: StoredBatch,
  { stated, applied }: Standing,
  { batches }: Stores,
): Promise<EntryKey[]> {
  const isOnly = (entry: StoredEntry): boolean =>
    (stated.get(nameOf(entry)) ?? 0n) <= id && (applied.get(nameOf(entry)) ?? 0n) < id
  return (await batches.entries(id))
    .filter(isOnly)
    .map(({ accountNumber, periodStart }) => ({ accountNumber, periodStart }))
}

async function parkedBatch({ batches }: Stores, id: BatchId): Promise<StoredBatch> {
  const batch = await batches.get(id)
  if (batch?.life.state === 'parked') return batch
  const is = batch === undefined ? 'is not there' : `is ${batch.life.state}`
  throw new TerminalError('not_parked', `batch ${batchName(id)} ${is}, not parked`)
}

/** What the period costs with all that waits to be sealed: so far an operator has looked at it. */
async function priceWithWaiting(key: EntryKey, stores: Stores): Promise<bigint> {
  const estimates = await Estimates.read(stores)
  return estimates.of(key, await withWaiting(key, stores))?.price ?? 0n
}

async function note(
  { operatorLog }: Stores,
  verb: string,
  args: Readonly<Record<string, string>>,
  { by, reason }: Ordered,
): Promise<void> {
  await operatorLog.append({ who: by, verb, arguments: args, reason })
}
