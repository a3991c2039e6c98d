import type { AccountNumber } from '../domain/ids.js'
import { formatWad, type Wad, wad } from '../domain/money.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { Clock } from '../ports/clock.js'
import type { StopCause } from '../ports/stops.js'
import type { Stores } from '../ports/stores.js'
import { Estimates } from './estimate.js'

/** What a charge may be before somebody looks at it. Money in wad of the plans' currencies. */
export interface ChargeBounds {
  /** Times what the vault was ever charged in one period; absent: no such bound. */
  readonly multiple?: bigint
  /** A charge below it is never held for its history. */
  readonly above: bigint
  /** Of all new charges of 24 hours; absent: no such bound. */
  readonly dayLimit?: bigint
}

export const NO_BOUNDS: ChargeBounds = { above: 0n }

const DAY_MS = 86_400_000

/** Holds entries against the bounds, one after the other: each counts for those that follow. */
export class BoundsCheck {
  readonly #stores: Stores
  readonly #bounds: ChargeBounds
  readonly #estimates: Estimates
  readonly #ofDay = new Map<string, bigint>()
  /** What the entries that passed add to the bills, by currency. */
  readonly charges = new Map<string, bigint>()
  readonly #sinceMs: number

  private constructor(stores: Stores, bounds: ChargeBounds, estimates: Estimates, nowMs: number) {
    this.#stores = stores
    this.#bounds = bounds
    this.#estimates = estimates
    this.#sinceMs = nowMs - DAY_MS
  }

  /** @param accounts whose entries will be held against the bounds */
  static async begin(
    stores: Stores,
    bounds: ChargeBounds,
    clock: Clock,
    accounts: readonly AccountNumber[],
  ): Promise<BoundsCheck> {
    return new BoundsCheck(stores, bounds, await Estimates.read(stores, accounts), clock.now())
  }

  /** Whether it may be sealed; notes the stop where it may not. Rows as before and as they will be. */
  async mayPass(
    key: EntryKey,
    before: readonly UsageTotal[],
    after: readonly UsageTotal[],
  ): Promise<boolean> {
    const [was, becomes] = [this.#estimates.of(key, before), this.#estimates.of(key, after)]
    // Without a plan nothing can be charged, so there is nothing to bound.
    if (was === undefined || becomes === undefined) return true
    const { currency } = becomes
    const released = (await this.#stores.stops.released(key))?.upTo ?? 0n
    const base = was.price > released ? was.price : released
    const unseen = becomes.price > base ? becomes.price - base : 0n
    const ofDay = await this.#chargedOfDay(currency)
    const cause = await this.#broken(key, unseen, ofDay)
    if (cause !== undefined) {
      await this.#stores.stops.add(key, cause.cause, cause.why)
      return false
    }
    const charge = becomes.price - was.price
    this.charges.set(currency, (this.charges.get(currency) ?? 0n) + charge)
    this.#ofDay.set(currency, ofDay + charge)
    return true
  }

  async #broken(
    key: EntryKey,
    charge: bigint,
    ofDay: bigint,
  ): Promise<{ readonly cause: StopCause; readonly why: string } | undefined> {
    const { multiple, above, dayLimit } = this.#bounds
    if (charge === 0n) return undefined
    if (dayLimit !== undefined && ofDay + charge > dayLimit) {
      const why = `with its new charge, 24 hours would add ${text(ofDay + charge)}; the limit is ${text(dayLimit)}`
      return { cause: 'above_day_limit', why }
    }
    if (multiple === undefined || charge <= above) return undefined
    const history = await this.#highest(key)
    if (history === 0n || charge <= history * multiple) return undefined
    const why = `its new charge of ${text(charge)} is above ${multiple} times ${text(history)}, the vault's dearest period`
    return { cause: 'above_history', why }
  }

  /** The dearest period of the vault so far, by what is sealed. */
  async #highest({ accountNumber }: EntryKey): Promise<Wad | 0n> {
    let highest: Wad | 0n = 0n
    for (const { periodStart } of await this.#stores.totals.periodsOf(accountNumber)) {
      const key = { accountNumber, periodStart }
      const price = this.#estimates.of(key, await this.#stores.totals.of(key))?.price ?? 0n
      if (price > highest) highest = price
    }
    return highest
  }

  async #chargedOfDay(currency: string): Promise<bigint> {
    const known = this.#ofDay.get(currency)
    if (known !== undefined) return known
    const charged = await this.#stores.stops.chargedSince(currency, this.#sinceMs)
    this.#ofDay.set(currency, charged)
    return charged
  }
}

function text(amount: bigint): string {
  return formatWad(wad(amount))
}
