import { periodAt } from '../domain/period.js'
import type { Vault } from '../ports/settler.js'
import type { AttributedRecord, Books, Totals } from '../ports/stores.js'
import { dueOf } from '../pricing/price.js'
import { planOf } from './plan-of.js'
import { keyOf, nameOf } from './restate.js'
import { addRecords } from './totals.js'

/** When a batch is sealed. */
export interface SealRules {
  /** Least time between two batches, unless one of the others says so. */
  readonly intervalMs: number
  /** Sealed at once when unsealed usage is worth this much, in wad of the plans' currency. */
  readonly exposure: bigint | undefined
}

/** After a period's end its last rows are waited for this long. */
const AFTER_PERIOD_MS = 15 * 60_000

/** Whether it is time: by the interval, by a period that is over, or by what is at stake. */
export async function isSealDue(
  stores: { readonly totals: Totals; readonly books: Books },
  readWaiting: () => Promise<readonly AttributedRecord[]>,
  nowMs: number,
  lastSealedAtMs: number | undefined,
  rules: SealRules,
): Promise<boolean> {
  if (lastSealedAtMs === undefined || nowMs >= lastSealedAtMs + rules.intervalMs) return true
  // A clock that was ahead once must not stop sealing until the others have caught up with it.
  if (lastSealedAtMs > nowMs + rules.intervalMs) return true
  const waiting = await readWaiting()
  const vaults = await stores.books.vaults([...new Set(waiting.map(({ account }) => account))])
  const byAccount = new Map(vaults.map((vault) => [vault.account, vault]))
  const isPeriodOver = waiting.some((record) => {
    const vault = byAccount.get(record.account)
    if (vault === undefined) return false
    const dueAtMs = endOf(record, vault) + AFTER_PERIOD_MS
    return dueAtMs <= nowMs && lastSealedAtMs < dueAtMs // Once a period; late rows wait again.
  })
  if (isPeriodOver) return true
  if (rules.exposure === undefined) return false
  return (await worthOf(waiting, byAccount, stores)) >= rules.exposure
}

function endOf({ periodStart }: AttributedRecord, { periodKind }: Vault): number {
  return periodAt(periodStart * 1000, periodKind).endsUntil * 1000
}

/** What the records will add to the bills, as far as the plans are known. An estimate, in wad. */
async function worthOf(
  waiting: readonly AttributedRecord[],
  vaults: ReadonlyMap<bigint, Vault>,
  { totals, books }: { readonly totals: Totals; readonly books: Books },
): Promise<bigint> {
  const plans = await books.plans()
  const groups = new Map<string, AttributedRecord[]>()
  for (const record of waiting) {
    const group = groups.get(nameOf(keyOf(record))) ?? []
    group.push(record)
    groups.set(nameOf(keyOf(record)), group)
  }
  let value = 0n
  for (const records of groups.values()) {
    const [first] = records
    if (first === undefined) continue
    const plan = planOf(vaults.get(first.account), first.periodStart, plans)
    if (plan === undefined) continue
    const before = await totals.of(keyOf(first))
    value += dueOf(plan, addRecords(before, records)) - dueOf(plan, before)
  }
  return value
}
