import { purpose } from '../domain/ids.js'
import { formatWad } from '../domain/money.js'
import type { Clock } from '../ports/clock.js'
import type { Lane } from '../ports/lane.js'
import type { PriceSeen, Prices } from '../ports/prices.js'
import type { Watch } from '../ports/sightings.js'
import type { Outbox } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import { deliver } from './deliver.js'

export interface PricesParts {
  readonly prices: Prices
  readonly lanes: readonly Lane[]
  readonly outbox: Outbox
  readonly watch: Pick<Watch, 'savePrices'>
  readonly clock: Clock
  /** A price of an oracle that is older is refreshed; undefined: none ever is. */
  readonly refreshMs: number | undefined
}

/** What this process saw last. It is read anew after a start; the store keeps prices for reports. */
export interface PricesPass {
  seen: readonly PriceSeen[]
  /** When the chain refused a refresh, by price: trying again at once would cost a fee each time. */
  readonly refusedAtMs: Map<string, number>
}

/**
 * Looks whether every token that customers pay with has a price, and refreshes those that follow an
 * oracle. Without a price usage is charged all the same, and payments wait: status and metrics say so.
 */
export async function pricesNext(
  parts: PricesParts,
  pass: PricesPass,
  signal: AbortSignal,
): Promise<StepOutcome> {
  pass.seen = await parts.prices.read(signal)
  await parts.watch.savePrices(
    pass.seen.map(({ token, currency, feed }) => ({ token, currency, price: feed?.lastGood })),
  )
  const due = pass.seen.find((price) => isDue(price, parts, pass))
  if (due === undefined) return 'idle'
  const { token, currency, feed } = due
  const after = feed?.updatedAtS ?? 0
  const delivery = await deliver(
    purpose.price(token, currency, after),
    () => parts.prices.refreshCall(due),
    parts,
    signal,
  )
  if (delivery === 'refused') pass.refusedAtMs.set(keyOf(due), parts.clock.now())
  return 'idle'
}

function isDue(
  price: PriceSeen,
  { refreshMs, clock }: Pick<PricesParts, 'refreshMs' | 'clock'>,
  { refusedAtMs }: PricesPass,
): boolean {
  const { feed, isFollowing } = price
  if (refreshMs === undefined || !isFollowing || feed === undefined) return false
  // At par: the contract takes no rate, however old the price.
  if (feed.minimum === feed.maximum) return false
  const lastMs = Math.max(feed.updatedAtS * 1_000, refusedAtMs.get(keyOf(price)) ?? 0)
  return clock.now() - lastMs >= refreshMs
}

function keyOf({ token, currency }: PriceSeen): string {
  return `${token}/${currency}`
}

/** A price as status shows it. */
export interface PriceStatus {
  readonly token: string
  readonly currency: string
  /** As decimal text; absent while there is none. */
  readonly price?: string
  /** Seconds since it was true. */
  readonly ageS?: number
  readonly source?: string
  /** Why payments wait for it; absent while they do not. */
  readonly paymentsWait?: string
}

export function priceStatus({ seen }: PricesPass, nowMs: number): PriceStatus[] {
  return seen.map(({ token, currency, feed }) => {
    const wait = waitsFor(feed)
    return {
      ...{ token, currency },
      ...(wait === undefined ? {} : { paymentsWait: wait }),
      ...(feed === undefined || feed.source === ''
        ? {}
        : {
            price: formatWad(feed.price),
            source: feed.source,
            ageS: Math.max(0, Math.floor(nowMs / 1_000) - feed.updatedAtS),
          }),
    }
  })
}

function waitsFor(feed: PriceSeen['feed']): string | undefined {
  if (feed === undefined) return 'there is no feed'
  if (feed.current !== undefined) return undefined
  if (feed.source === '') return 'no price was set yet'
  return feed.isInBounds ? 'the price is too old' : 'the price is out of its bounds'
}
