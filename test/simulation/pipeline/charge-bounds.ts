import { sql } from 'kysely'
import { batchName } from '../../../src/domain/ids.js'
import { dueOf } from '../../../src/pricing/price.js'
import { type Invariant, readBatches } from './invariants.js'
import { planIn } from './models/vault.js'
import type { World } from './world.js'

/**
 * Goes through all that was sealed, and adds it up: what is above a bound was released before. Not
 * where plans or totals were changed by others, since then nobody else knows what sealing saw.
 */
export async function checkBounds(
  world: World,
  wrong: (name: Invariant, what: string) => void,
): Promise<void> {
  const { schedule, store } = world
  const { multiple, above, dayLimit } = schedule.settings.bounds
  const isChanged = schedule.troubles.includes('planChosen')
  if (isChanged || world.isRestored || (await store.corrections.list(1)).length > 0) return
  const released = await readReleases(world)
  const prices = new Map<string, bigint>()
  let ofDay = 0n // No schedule is longer.
  for (const { id, entries } of await readBatches(world)) {
    const before = new Map(prices)
    for (const { accountNumber, periodStart, rows } of entries) {
      const name = `${accountNumber}/${periodStart}`
      const was = before.get(name) ?? 0n
      const becomes = priceOf(world, accountNumber, periodStart, rows)
      prices.set(name, becomes)
      const seen = released.get(name) ?? 0n
      const unseen = becomes - (seen > was ? seen : was)
      const dearest = dearestOf(before, accountNumber)
      const isSudden = multiple !== undefined && dearest > 0n && unseen > dearest * multiple
      const isTooMuch = dayLimit !== undefined && ofDay + unseen > dayLimit
      if (unseen > 0n && ((isSudden && unseen > above) || isTooMuch)) {
        wrong('above_bounds', `${name} in batch ${batchName(id)} costs ${unseen} more`)
      }
      ofDay += becomes - was
    }
  }
}

function priceOf(
  { flow }: World,
  account: bigint,
  periodStart: number,
  rows: Parameters<typeof dueOf>[1],
): bigint {
  const { vaults, plans } = flow.state()
  const vault = vaults.get(account)
  const plan = vault && plans.get(planIn(vault, periodStart) ?? '')
  return plan === undefined ? 0n : dueOf(plan, rows)
}

function dearestOf(prices: ReadonlyMap<string, bigint>, account: bigint): bigint {
  let dearest = 0n
  for (const [name, price] of prices) {
    if (name.startsWith(`${account}/`) && price > dearest) dearest = price
  }
  return dearest
}

/** The highest ever, by (vault, period). */
async function readReleases({ db }: World): Promise<Map<string, bigint>> {
  const { rows } = await sql<{ account: string; start: bigint; upTo: string }>`
    select account, period_start as start, released_up_to as "upTo" from entry_stops
    where released_up_to is not null`.execute(db)
  const released = new Map<string, bigint>()
  for (const { account, start, upTo } of rows) {
    const name = `${BigInt(account)}/${start}`
    const before = released.get(name) ?? 0n
    released.set(name, BigInt(upTo) > before ? BigInt(upTo) : before)
  }
  return released
}
