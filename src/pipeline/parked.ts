import { advance } from '../domain/batch.js'
import { TerminalError } from '../domain/errors.js'
import { type BatchId, batchName } from '../domain/ids.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { Stop } from '../ports/stops.js'
import type { Store, StoredBatch, Stores } from '../ports/stores.js'
import { billableOf } from '../pricing/price.js'
import { Estimates } from './estimate.js'
import { parkedBatches } from './in-parts.js'
import { appliedBatch } from './meter-era.js'
import { note } from './operator-log.js'
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

/** Longer lists end there: nobody reads them, and the counts are in the status. */
const SHOWN_MAX = 1_000

export async function listParked(stores: Stores): Promise<Parked> {
  const batches = []
  for await (const { id, life } of parkedBatches(stores)) {
    const onlyHere = await statedOnlyBy(id, stores)
    batches.push({ seq: batchName(id), reason: life.reason, onlyHere })
    if (batches.length === SHOWN_MAX) break
  }
  return {
    batches,
    refused: (await stores.batches.refused(SHOWN_MAX)).map(
      ({ accountNumber, periodStart, batch, result }) => ({
        ...{ accountNumber, periodStart, seq: batchName(batch) },
        result: result ?? '',
        advice: ADVICE[result ?? ''] ?? 'see flowmeter audit',
      }),
    ),
    stopped: await stores.stops.open(SHOWN_MAX),
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
    const [first, ...more] = await statedOnlyBy(id, stores)
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
  let superseded = 0
  for await (const { id, life } of parkedBatches(stores)) {
    if ((await statedOnlyBy(id, stores)).length > 0) continue
    await stores.batches.saveLife(id, advance(life, { type: 'superseded' }))
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
    if (!(await stores.stops.isOpen(key)) && !(await isRefused(key, stores))) {
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
    const [applied] = await stores.books.appliedOf([key])
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

/** Flow took note of its newest statement and did not apply it. */
async function isRefused(key: EntryKey, { batches }: Stores): Promise<boolean> {
  const [newest] = await batches.statements(key, 1)
  return newest?.result !== undefined && !['applied', 'stale'].includes(newest.result)
}

/** Entries that would be charged by nothing if this batch were not there. */
async function statedOnlyBy(id: BatchId, { batches, books, meters }: Stores): Promise<EntryKey[]> {
  const newest = await batches.newestIn(id)
  const eras = await meters.all()
  const applied = new Map<string, bigint>(
    (await books.appliedOf(newest)).map((one) => [nameOf(one), appliedBatch(one, eras)]),
  )
  return newest
    .filter((entry) => (applied.get(nameOf(entry)) ?? 0n) < id)
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
  const estimates = await Estimates.read(stores, [key.accountNumber])
  return estimates.of(key, await withWaiting(key, stores))?.price ?? 0n
}
