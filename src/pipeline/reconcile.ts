import type { AccountRange } from '../domain/ids.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { Clock } from '../ports/clock.js'
import type { Lane } from '../ports/lane.js'
import type { Settler } from '../ports/settler.js'
import type { Store, Stores } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import { computeChecks } from './checks.js'
import { closeLane } from './deliver.js'
import { accountRanges } from './in-parts.js'
import { appliedBatch } from './meter-era.js'
import { supersedeParked } from './parked.js'
import { nameOf } from './restate.js'
import { readResults } from './results.js'

export interface ReconcileParts {
  readonly store: Store
  readonly settler: Settler
  readonly lanes: readonly Lane[]
  readonly clock: Clock
}

/** What this process has done once already, and when the larger readings are due again, ms. */
export interface ReconcilePass {
  isComplete?: boolean
  viewDueAtMs?: number
  readBackDueAtMs?: number
}

/** A reading of twenty thousand vaults takes a while: it is rested from as many times as long. */
const REST_FACTOR = 10
/** A vault that was just opened is not seen before; a node that hangs must not put it off for long. */
const REST_MS_MAX = 2 * 60_000

/**
 * Reads back what Flow holds, from sealed blocks alone: vaults and plans for attribution, results
 * and records for settlement and the checks. Nothing is decided here.
 */
export async function reconcileNext(
  parts: ReconcileParts,
  pass: ReconcilePass,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const { store } = parts
  await beginReading(parts, signal)
  const before = await store.books.version()
  if (isDue(pass.viewDueAtMs, parts)) {
    pass.viewDueAtMs = await restAfter(() => saveChainView(parts, signal), parts)
  }
  const results = await readResults(parts, signal)
  for (const lane of parts.lanes) await closeLane(lane, store.outbox, signal)

  const isNews = results > 0 || (await isSettledSinceChecked(store))
  if (isNews || isDue(pass.readBackDueAtMs, parts)) {
    pass.readBackDueAtMs = await restAfter(async () => {
      const isFirst = pass.isComplete !== true
      await readBack(parts, { isFirst, isNews }, signal)
    }, parts)
    pass.isComplete = true
  }
  await store.transaction(supersedeParked)
  const isChanged = results > 0 || before !== (await store.books.version())
  return isChanged ? 'advanced' : 'idle'
}

/** Before a vault is known here, so before anything is sealed, or corrected, that has to be read. */
async function beginReading(
  { store, settler }: ReconcileParts,
  signal: AbortSignal,
): Promise<void> {
  if ((await store.books.readHeight()) !== undefined) return
  await store.books.saveReadHeight(await settler.sealedHeight(signal))
}

/** `settle` reads results too, and then there are none left for us to see. */
async function isSettledSinceChecked({
  batches,
  books,
}: Pick<Stores, 'batches' | 'books'>): Promise<boolean> {
  const last = await batches.last()
  if (last?.life.state !== 'settled') return false
  return last.changedAtMs > ((await books.checks())?.atMs ?? 0)
}

function isDue(dueAtMs: number | undefined, { clock }: ReconcileParts): boolean {
  const nowMs = clock.now()
  // A clock that was set back must not put it off.
  return dueAtMs === undefined || nowMs >= dueAtMs || dueAtMs > nowMs + REST_MS_MAX
}

/** When to do it again, so that it never takes more than a small part of the time. */
async function restAfter(work: () => Promise<void>, { clock }: ReconcileParts): Promise<number> {
  const startedAtMs = clock.now()
  await work()
  const tookMs = clock.now() - startedAtMs
  return clock.now() + Math.min(tookMs * REST_FACTOR, REST_MS_MAX)
}

async function saveChainView(
  { store, settler }: ReconcileParts,
  signal: AbortSignal,
): Promise<void> {
  const vaults = await settler.vaults(signal)
  const models = await settler.models(signal)
  const planIds = new Set(vaults.flatMap(({ plans }) => plans.map(({ planId }) => planId)))
  const plans = await settler.plans([...planIds], signal)
  await store.transaction(({ books }) => books.saveChainView({ vaults, models, plans }))
}

/** What Flow was last seen to hold of them is older than what was stated. */
async function keysBehind(
  range: AccountRange,
  corrected: ReadonlySet<string>,
  { totals, books, meters }: Pick<Stores, 'totals' | 'books' | 'meters'>,
): Promise<EntryKey[]> {
  const eras = await meters.all()
  const applied = new Map<string, bigint>(
    (await books.applied(range)).map((one) => [nameOf(one), appliedBatch(one, eras)]),
  )
  const stated = await totals.all(range)
  return stated.filter(
    (one) => (applied.get(nameOf(one)) ?? 0n) < one.statedBy || corrected.has(nameOf(one)),
  )
}

/**
 * Copies records and balances, one range of accounts after the other, then compares everything with
 * everything. A process that has not done it yet copies all of them; later ones those that are behind.
 */
async function readBack(
  { store, settler, clock }: ReconcileParts,
  { isFirst, isNews }: { readonly isFirst: boolean; readonly isNews: boolean },
  signal: AbortSignal,
): Promise<void> {
  const corrected = new Set((await store.corrections.unstated()).map(nameOf))
  // Of one block: between two of them a settlement would look like a difference.
  let height: number | undefined
  for await (const range of accountRanges(store)) {
    const keys = isFirst ? await store.totals.all(range) : await keysBehind(range, corrected, store)
    if (keys.length === 0) continue
    height ??= await settler.sealedHeight(signal)
    const accounts = [...new Set(keys.map(({ accountNumber }) => accountNumber))]
    const applied = await settler.applied(keys, signal, height)
    const balances = await settler.balances(accounts, signal, height)
    await store.transaction(async ({ books }) => {
      await books.saveApplied(applied)
      await books.saveBalances(balances)
    })
  }
  if (height === undefined && !isFirst && !isNews) return
  height ??= await settler.sealedHeight(signal)
  const conservation = await settler.conservation(signal, height)
  await store.transaction(async (stores) => {
    const { applied, balances } = stores.books
    const checks = await computeChecks(stores, { applied, balances, conservation })
    await stores.books.saveChecks(checks, conservation, clock.now())
  })
}
